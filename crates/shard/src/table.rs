//! Numbered places that never move, in pieces that double: 256, 256, 512, 1,024 and so on.
//!
//! Growing copies nothing, 25 pieces hold what fits 32 bits, and memory that no place has used is none of the process's yet. The
//! pieces that have room for huge pages ask for them: a million connections are looked up in no order, and with small pages each of these
//! looks would miss the page tables too. Owned by one seat, no thread but its own.

/// Values numbered from 0 in the order in which they came, and never taken out.
pub(crate) struct Table<T> {
    pieces: Vec<Vec<T>>,
    len: u32,
}

impl<T> Table<T> {
    /// An empty table. Allocates nothing yet.
    pub(crate) const fn new() -> Table<T> {
        Table { pieces: Vec::new(), len: 0 }
    }

    /// Appends a value. Its number is what [`len`](Table::len) was.
    ///
    /// # Panics
    ///
    /// At 2^32 - 1 values: the bound is for who keeps the table to know.
    pub(crate) fn push(&mut self, value: T) {
        let (piece, _) = place(self.len);
        if piece == self.pieces.len() {
            self.grow();
        }
        self.len = self.len.checked_add(1).expect("a table has fewer than 2^32 places");
        self.pieces[piece].push(value);
    }

    /// Number of values.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let (piece, at) = place(number);
        self.pieces.get(piece)?.get(at)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (piece, at) = place(number);
        self.pieces.get_mut(piece)?.get_mut(at)
    }

    /// All values, lowest number first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// Has the processor fetch a place, if there is one: it will be looked at soon.
    #[inline]
    pub(crate) fn foresee(&self, number: u32) {
        self.get(number).into_iter().for_each(linux::cache::prefetch);
    }

    #[cold]
    fn grow(&mut self) {
        let mut piece = Vec::with_capacity(self.len.max(FIRST) as usize);
        linux::heap::prefer_huge(piece.spare_capacity_mut());
        self.pieces.push(piece);
    }
}

/// Places of the first piece, and of the second.
const FIRST: u32 = 256;

/// The piece of a number, and where in it. Piece 0 begins at 0, and piece `n` at `FIRST << (n - 1)`, where it doubles the table.
#[inline]
fn place(number: u32) -> (usize, usize) {
    let piece = u32::BITS - (number / FIRST).leading_zeros();
    let begin = (FIRST >> 1 << piece) & !(FIRST - 1);
    (piece as usize, (number - begin) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_place_of_its_own_and_each_piece_is_filled_to_its_end() {
        assert_eq!([0, 255].map(place), [(0, 0), (0, 255)]);
        let mut begin = FIRST;
        for piece in 1..=24 {
            let last = begin - 1 + begin;
            assert_eq!(place(begin), (piece, 0));
            assert_eq!(place(last), (piece, begin as usize - 1));
            begin = begin.wrapping_mul(2);
        }
        assert_eq!((begin, place(u32::MAX)), (0, (24, (1 << 31) - 1)));
    }

    #[test]
    fn values_are_found_by_their_numbers_and_growing_moves_none() {
        let mut table = Table::new();
        table.push(0);
        let first: *const u32 = table.get(0).unwrap();
        for number in 1..100_000 {
            assert_eq!((table.len(), table.get(number)), (number, None));
            table.push(number);
        }
        assert!(std::ptr::eq(first, table.get(0).unwrap()));
        assert!((0..100_000).all(|number| table.get(number) == Some(&number)));
        assert!(table.iter().copied().eq(0..100_000));
        *table.get_mut(70_000).unwrap() = 7;
        assert_eq!((table.get(70_000), table.get(100_000), table.get(u32::MAX)), (Some(&7), None, None));
        assert_eq!(table.get_mut(100_000), None);
    }

    #[test]
    fn pieces_are_made_with_all_their_room_and_never_grow() {
        let mut table = Table::new();
        (0..5_000).for_each(|n| table.push(n));
        let room: Vec<usize> = table.pieces.iter().map(Vec::capacity).collect();
        assert_eq!(room, [256, 256, 512, 1024, 2048, 4096]);
    }
}
