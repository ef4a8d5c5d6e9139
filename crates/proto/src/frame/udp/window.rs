//! A bit for each of the [`WINDOW`] numbers from a floor on: what came of them.

use super::WINDOW;

const WORDS: usize = WINDOW as usize / 64;
const _: () = assert!(WINDOW.is_multiple_of(64));

/// Bit `n` stands for floor + `n`. 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window(pub(super) [u64; WORDS]);

impl Window {
    pub(super) const fn has(&self, n: u32) -> bool {
        n < WINDOW && self.0[n as usize / 64] >> (n % 64) & 1 == 1
    }

    /// Panics beyond the window.
    pub(super) const fn set(&mut self, n: u32) {
        self.0[n as usize / 64] |= 1 << (n % 64);
    }

    /// How many bits are set in a row, from the first on.
    pub(super) fn row(&self) -> u32 {
        let full = self.0.iter().take_while(|word| **word == u64::MAX).count();
        full as u32 * 64 + self.0.get(full).map_or(0, |word| word.trailing_ones())
    }

    /// The floor goes up by `n`.
    pub(super) fn slide(&mut self, n: u32) {
        let (words, bits) = (n as usize / 64, n % 64);
        let word = |at: usize| self.0.get(at).copied().unwrap_or(0);
        self.0 = std::array::from_fn(|at| {
            let low = word(at + words) >> bits;
            if bits == 0 { low } else { low | word(at + words + 1) << (64 - bits) }
        });
    }

    /// The other way: bit 0 becomes bit `n`, what falls out is forgotten.
    pub(super) fn push(&mut self, n: u32) {
        let old = *self;
        *self = Window::default();
        for at in n..WINDOW {
            if old.has(at - n) {
                self.set(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_by_any_number_and_keeps_what_is_left_in_it() {
        for by in [0, 1, 63, 64, 65, 128, 200, 255, 256, 1_000] {
            let mut window = Window::default();
            let set: Vec<u32> = (0..WINDOW).filter(|n| n * n % 7 < 3).collect();
            set.iter().for_each(|n| window.set(*n));
            let (mut down, mut up) = (window, window);
            down.slide(by);
            up.push(by);
            for n in 0..WINDOW {
                assert_eq!(down.has(n), set.contains(&(n + by)), "{by}: {n} down");
                assert_eq!(up.has(n), n >= by && set.contains(&(n - by)), "{by}: {n} up");
            }
        }
    }

    #[test]
    fn a_row_ends_at_the_first_that_is_missing() {
        let mut window = Window::default();
        for n in 0..WINDOW {
            assert_eq!(window.row(), n);
            window.set(n);
        }
        assert_eq!(window.row(), WINDOW);
    }
}
