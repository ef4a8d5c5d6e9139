//! The bytes of `/bytes/N`: byte `i` is `i` modulo 251, so that a piece that is missing, doubled or in the wrong place shows.
//!
//! Served from one static block of whole periods: nothing is computed and nothing is copied.

/// Bytes of the block, which any number of copies of make the pattern.
pub(crate) const PATTERN_BYTES: usize = PERIOD * 256;

/// The block.
pub(crate) static PATTERN: [u8; PATTERN_BYTES] = {
    let mut block = [0; PATTERN_BYTES];
    let mut at = 0;
    while at < PATTERN_BYTES {
        block[at] = (at % PERIOD) as u8;
        at += 1;
    }
    block
};

/// A prime, so that it shares no divisor with the sizes of buffers.
const PERIOD: usize = 251;

/// The longest run of the pattern from offset `at` on, at most `bytes` long.
pub(crate) fn run(at: u64, bytes: u64) -> &'static [u8] {
    let from = (at % PATTERN_BYTES as u64) as usize;
    let to = from + usize::try_from(bytes).unwrap_or(usize::MAX).min(PATTERN_BYTES - from);
    &PATTERN[from..to]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_put_together_are_the_pattern() {
        let mut at = 0;
        for bytes in [1, 7, 64_000, 300_000, 250, 1 << 40, 5] {
            let run = run(at, bytes);
            assert!(!run.is_empty() && run.len() as u64 <= bytes);
            assert!(run.iter().zip(at..).all(|(byte, at)| u64::from(*byte) == at % 251), "at {at}");
            at += run.len() as u64;
        }
    }
}
