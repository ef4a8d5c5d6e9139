//! Numbered places that never move, in pieces of 256 for the first 65,536, and then in pieces that each double the table.
//!
//! Growing copies nothing. A small table has less than one small piece to spare; of a large piece, memory that no place has used
//! yet is none of the process's. Pieces that have room for huge pages ask for them: a million connections are looked up in no
//! order, and with small pages each of these looks would miss the page tables too. Owned by one seat, no thread but its own.

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
        let room = if self.len < SMALL { PIECE } else { self.len };
        let mut piece = Vec::with_capacity(room as usize);
        linux::heap::prefer_huge(piece.spare_capacity_mut());
        self.pieces.push(piece);
    }
}

/// Places of a small piece, and of all small ones.
const PIECE: u32 = 1 << 8;
const SMALL: u32 = 1 << 16;

/// The piece of a number, and where in it. Large piece `n` begins at `SMALL << n`.
#[inline]
fn place(number: u32) -> (usize, usize) {
    if number < SMALL {
        return ((number / PIECE) as usize, (number % PIECE) as usize);
    }
    let large = number.ilog2() - SMALL.ilog2();
    ((SMALL / PIECE + large) as usize, (number - (SMALL << large)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_place_of_its_own_and_each_piece_is_filled_to_its_end() {
        let numbers = [0, 255, 256, 65_535, 65_536, 131_071, 131_072, 262_143, u32::MAX];
        let large = |piece: usize, at: usize| (256 + piece, at);
        let places = [(0, 0), (0, 255), (1, 0), (255, 255)].into_iter().chain([
            large(0, 0),
            large(0, 65_535),
            large(1, 0),
            large(1, 131_071),
            large(15, (1 << 31) - 1),
        ]);
        assert!(numbers.map(place).into_iter().eq(places));
    }

    #[test]
    fn values_are_found_by_their_numbers_and_growing_moves_none() {
        let mut table = Table::new();
        table.push(0);
        let first: *const u32 = table.get(0).unwrap();
        for number in 1..200_000 {
            assert_eq!((table.len(), table.get(number)), (number, None));
            table.push(number);
        }
        assert!(std::ptr::eq(first, table.get(0).unwrap()));
        assert!((0..200_000).all(|number| table.get(number) == Some(&number)));
        assert!(table.iter().copied().eq(0..200_000));
        *table.get_mut(70_000).unwrap() = 7;
        assert_eq!((table.get(70_000), table.get(200_000), table.get(u32::MAX)), (Some(&7), None, None));
        assert_eq!(table.get_mut(200_000), None);
    }

    #[test]
    fn pieces_are_made_with_all_their_room_and_never_grow() {
        let mut table = Table::new();
        (0..140_000).for_each(|n| table.push(n));
        let room: Vec<usize> = table.pieces.iter().map(Vec::capacity).collect();
        assert!(room[..256].iter().all(|room| *room == 256));
        assert_eq!(room[256..], [65_536, 131_072]);
    }
}
