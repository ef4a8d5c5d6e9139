//! Whom a timer of the wheel is for, in the eight bytes that its node has for that.
//!
//! A seat matches on [`Alarm`]; the wheel keeps its [`Word`]. Both say the same: nothing is lost on the way.

use crate::slab::{Key, SLOTS_MAX};

/// Whom a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A timer of a service.
    Session(Key),
    /// The idle check of a leg, and how often its send was called back for it: below [`LOOKS_END`].
    Idle(Key, u8),
    /// A connect's deadline.
    Connect(Key),
    /// The check of a leg that is flushing its last output, and how often its send was called back for it: below [`LOOKS_END`].
    Close(Key, u8),
    /// A look whether memory can be given back to the system.
    Ebb,
    /// The end of a leg's lingering.
    Linger(Key),
    /// The drain's deadline.
    Drain,
}

/// An alarm as one word: generation 32, slot 24, looks 4, kind 4 bits, from the highest down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// Looks have four bits.
pub(crate) const LOOKS_END: u8 = 16;

const SESSION: u64 = 0;
const IDLE: u64 = 1;
const CONNECT: u64 = 2;
const CLOSE: u64 = 3;
const EBB: u64 = 4;
const LINGER: u64 = 5;
const DRAIN: u64 = 6;

const NOBODY: Key = Key { slot: 0, generation: 0 };

impl From<Alarm> for Word {
    #[inline]
    fn from(alarm: Alarm) -> Word {
        let (kind, key, looks) = match alarm {
            Alarm::Session(key) => (SESSION, key, 0),
            Alarm::Idle(key, looks) => (IDLE, key, looks),
            Alarm::Connect(key) => (CONNECT, key, 0),
            Alarm::Close(key, looks) => (CLOSE, key, looks),
            Alarm::Ebb => (EBB, NOBODY, 0),
            Alarm::Linger(key) => (LINGER, key, 0),
            Alarm::Drain => (DRAIN, NOBODY, 0),
        };
        debug_assert!(key.slot < SLOTS_MAX && looks < LOOKS_END);
        Word(u64::from(key.generation) << 32 | u64::from(key.slot) << 8 | u64::from(looks) << 4 | kind)
    }
}

impl From<Word> for Alarm {
    #[inline]
    fn from(Word(word): Word) -> Alarm {
        let key = Key { slot: word as u32 >> 8, generation: (word >> 32) as u32 };
        let looks = word as u8 >> 4;
        match word & 15 {
            SESSION => Alarm::Session(key),
            IDLE => Alarm::Idle(key, looks),
            CONNECT => Alarm::Connect(key),
            CLOSE => Alarm::Close(key, looks),
            EBB => Alarm::Ebb,
            LINGER => Alarm::Linger(key),
            DRAIN => Alarm::Drain,
            _ => unreachable!("a word is made of an alarm"),
        }
    }
}

const _: () = assert!(SLOTS_MAX == 1 << 24 && size_of::<Word>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_survives_being_a_word() {
        let last = Key { slot: SLOTS_MAX - 1, generation: u32::MAX };
        for key in [last, Key { slot: 0, generation: 1 }, Key { slot: 0x00ab_cdef, generation: 0x1234_5678 }]
        {
            for alarm in [
                Alarm::Session(key),
                Alarm::Idle(key, 0),
                Alarm::Idle(key, LOOKS_END - 1),
                Alarm::Connect(key),
                Alarm::Close(key, 2),
                Alarm::Ebb,
                Alarm::Linger(key),
                Alarm::Drain,
            ] {
                assert_eq!(Alarm::from(Word::from(alarm)), alarm);
            }
        }
    }
}
