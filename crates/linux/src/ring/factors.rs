//! What an experiment changes about a ring, a word for each factor. The defaults are what measured best
//! (docs/decisions/0008-ring-factors.md).
//!
//! Words only: whether the kernel gives what they ask for is found out by [`Ring::new`](super::Ring::new), which refuses by
//! name what it cannot have. A factor never changes what is served, only how.

use super::Tier;
use std::fmt;
use std::str::FromStr;

/// How a ring differs from the one that measured best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// The rung of the ladder. From the best one a ring climbs down as far as the kernel makes it; any other is had or
    /// refused.
    pub tier: Tier,
    /// The ring's own descriptor is registered with it, which spares a look-up at each enter.
    pub ring_fd: bool,
    /// Connections are accepted into the ring's table of direct descriptors, not into those of the process.
    pub direct: bool,
    /// The arena is registered as a fixed buffer. Without it no send is a zero-copy one.
    pub fixed: bool,
    /// A receive may fill several buffers.
    pub bundles: bool,
    /// A receive fills the next bytes of the buffer that the one before it has left (`IOU_PBUF_RING_INC`).
    pub incremental: bool,
    /// A receive waits for the socket to be readable before its first try.
    pub poll_first: bool,
    /// Streams always wait by a poll and are fetched from, never by an armed receive.
    pub parked: bool,
    /// Most direct descriptors of one ring: a seat that is to hold more makes rings beside it. RLIMIT_NOFILE bounds it anyway.
    pub slots: u32,
    /// Microseconds to wait for more than one completion before a single one ends the wait; 0 is none.
    pub min_wait_us: u32,
}

impl Factors {
    /// What measured best.
    pub const BEST: Factors = Factors {
        tier: Tier::Defer,
        ring_fd: true,
        direct: true,
        fixed: true,
        bundles: true,
        incremental: false,
        poll_first: true,
        parked: false,
        slots: u32::MAX,
        min_wait_us: 0,
    };
}

impl Default for Factors {
    fn default() -> Factors {
        Factors::BEST
    }
}

/// A word and what it changes.
type Word = (&'static str, fn(&mut Factors));

/// Every word that takes no number, in the order in which they are shown.
const WORDS: &[Word] = &[
    ("sqarray=on", |f| f.tier = Tier::DeferWithArray),
    ("tier=coop", |f| f.tier = Tier::Coop),
    ("tier=plain", |f| f.tier = Tier::Plain),
    ("sqpoll=on", |f| f.tier = Tier::Polled),
    ("ring-fd=off", |f| f.ring_fd = false),
    ("direct=off", |f| f.direct = false),
    ("fixed=off", |f| f.fixed = false),
    ("bundles=off", |f| f.bundles = false),
    ("inc=on", |f| f.incremental = true),
    ("poll-first=off", |f| f.poll_first = false),
    ("parked=on", |f| f.parked = true),
];

/// The word that takes a number, and the most of it: beyond a tenth of a second it is no batching any more.
const MIN_WAIT: &str = "min-wait-us=";
/// The other one. Fewer would be used up by what a seat keeps in reserve.
const SLOTS: &str = "slots=";
const SLOTS_LEAST: u32 = 8;
const MIN_WAIT_US_MAX: u32 = 100_000;
const DEFAULT: &str = "default";

impl Factors {
    /// Each word with the factors that it alone makes: what may be asked of a kernel one by one.
    pub fn each() -> impl Iterator<Item = (&'static str, Factors)> {
        let alone = |(word, set): &Word| {
            let mut factors = Factors::BEST;
            set(&mut factors);
            (*word, factors)
        };
        let min_wait = ("min-wait-us=N", Factors { min_wait_us: 1, ..Factors::BEST });
        let slots = ("slots=N", Factors { slots: 1 << 10, ..Factors::BEST });
        WORDS.iter().map(alone).chain([min_wait, slots])
    }

    /// The words that make these factors out of the defaults.
    pub fn words(&self) -> Vec<String> {
        let is_set = |(_, set): &&Word| {
            let mut with = *self;
            set(&mut with);
            with == *self
        };
        let min_wait = (self.min_wait_us > 0).then(|| self.min_wait_word());
        let slots = (self.slots < u32::MAX).then(|| format!("{SLOTS}{}", self.slots));
        let words = WORDS.iter().filter(is_set).map(|(word, _)| word.to_string());
        words.chain(min_wait).chain(slots).collect()
    }

    pub(super) fn min_wait_word(&self) -> String {
        format!("{MIN_WAIT}{}", self.min_wait_us)
    }

    /// The word that asks for this rung; the best one has none.
    pub(super) fn tier_word(tier: Tier) -> &'static str {
        Factors::each().find(|(_, factors)| factors.tier == tier).map_or(DEFAULT, |(word, _)| word)
    }

    fn set(&mut self, word: &str) -> Result<(), String> {
        if let Some(number) = word.strip_prefix(MIN_WAIT) {
            let read = number.parse().ok().filter(|us| (1..=MIN_WAIT_US_MAX).contains(us));
            self.min_wait_us = read.ok_or(format!("`{word}`: expected 1 to {MIN_WAIT_US_MAX}"))?;
            return Ok(());
        }
        if let Some(number) = word.strip_prefix(SLOTS) {
            let read = number.parse().ok().filter(|slots| *slots >= SLOTS_LEAST);
            self.slots = read.ok_or(format!("`{word}`: expected {SLOTS_LEAST} or more"))?;
            return Ok(());
        }
        let Some((_, set)) = WORDS.iter().find(|(known, _)| *known == word) else {
            let known: Vec<&str> = WORDS.iter().map(|(known, _)| *known).collect();
            return Err(format!("`{word}`: expected {DEFAULT}, {}, {MIN_WAIT}N, {SLOTS}N", known.join(", ")));
        };
        let before = self.tier;
        set(self);
        if before != Tier::Defer && before != self.tier {
            let (one, other) = (Factors::tier_word(before), Factors::tier_word(self.tier));
            return Err(format!("`{one}` and `{other}` are rungs of one ladder: one of them"));
        }
        Ok(())
    }

    /// What does not go together. Errors: which words, and why.
    fn check(&self) -> Result<(), String> {
        let polled = self.tier == Tier::Polled;
        if polled && self.bundles {
            return Err("`sqpoll=on` takes `bundles=off`: the kernel's thread would fill buffers while the entries that \
                        say how long a bundle's pieces are get written over"
                .into());
        }
        if polled && self.min_wait_us > 0 {
            return Err(format!("`sqpoll=on` does not go with `{MIN_WAIT}`: a wait may miss what wakes it"));
        }
        Ok(())
    }
}

impl FromStr for Factors {
    type Err = String;

    fn from_str(text: &str) -> Result<Factors, String> {
        let mut factors = Factors::BEST;
        if text != DEFAULT {
            text.split(',').try_for_each(|word| factors.set(word))?;
        }
        factors.check()?;
        Ok(factors)
    }
}

impl fmt::Display for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            words if words.is_empty() => f.write_str(DEFAULT),
            words => f.write_str(&words.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_as_one_change_and_is_shown_as_itself() {
        for (word, factors) in Factors::each() {
            let word = word.replace("slots=N", "slots=1024").replace('N', "1");
            let words = factors.words();
            assert_eq!(words, [&word[..]]);
            let with = if word == "sqpoll=on" { "sqpoll=on,bundles=off" } else { &word };
            let read: Factors = with.parse().expect(with);
            assert_eq!(read.to_string(), with);
            assert_ne!(read, Factors::BEST);
        }
        assert_eq!("default".parse(), Ok(Factors::BEST));
        assert_eq!(Factors::BEST.to_string(), "default");
    }

    #[test]
    fn words_are_shown_in_one_order_however_they_were_typed() {
        let read: Factors = "min-wait-us=50,inc=on,tier=coop".parse().expect("three words");
        assert_eq!(read.to_string(), "tier=coop,inc=on,min-wait-us=50");
        assert_eq!((read.tier, read.incremental, read.min_wait_us), (Tier::Coop, true, 50));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_word() {
        let check = |text: &str, part: &str| {
            let why = text.parse::<Factors>().expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        };
        check("", "``: expected default, sqarray=on");
        check("tier=defer", "`tier=defer`: expected default");
        check("default,inc=on", "`default`: expected");
        check("inc=off", "`inc=off`");
        check("min-wait-us=0", "`min-wait-us=0`: expected 1 to 100000");
        check("min-wait-us=x", "`min-wait-us=x`");
        check("tier=coop,tier=plain", "`tier=coop` and `tier=plain` are rungs of one ladder");
        check("sqpoll=on,bundles=off,sqarray=on", "`sqpoll=on` and `sqarray=on`");
        check("sqpoll=on", "takes `bundles=off`");
        check("sqpoll=on,bundles=off,min-wait-us=5", "does not go with `min-wait-us=`");
    }
}
