//! When a side asks whether its peer is there, and when it gives up: rules as pure functions, in milliseconds.
//!
//! Both sides do the same. Whatever comes from the peer counts, not only PONG. A peer that was quiet for an interval is asked;
//! a peer that was quiet for `misses` intervals is dead. Who asks first resets the other's patience too, so that on an idle
//! connection one PING and one PONG go in an interval, not two of each.
//!
//! ```text
//! heard          ~1 interval      ~2 intervals       3 intervals
//!   |----------------|----------------|------------------|
//!                   PING             PING               dead
//!                  +-10 %           +-10 % more         exact
//! ```
//!
//! A beat is drawn anew from 0.9 to 1.1 intervals each time: a million peers that came together do not beat in step for long.
//!
//! A verdict needs a fair hearing, and what makes it unfair is on our side. Time is that of whoever looks: what a look is later
//! than it was wished for is not counted as silence, because nobody was there to ask or to hear. A verdict in a late look is put
//! off by one more tick, and one by somebody who knows that he has not looked at all that came, tick by tick, for an interval at
//! most. So a silent peer is dead after `misses` intervals and one tick of the time that its judge has had.

/// The interval when nobody wishes another: 5 s.
pub const INTERVAL_MS: u32 = 5_000;

/// The shortest interval: 100 ms. Shorter wishes are brought up to it.
pub const INTERVAL_MS_MIN: u32 = 100;

/// The longest interval: 15 minutes. Longer wishes are brought down to it. A translator that keeps to RFC 5382 (REQ-5) forgets a
/// quiet TCP connection after two hours and four minutes at the earliest; many do after minutes.
pub const INTERVAL_MS_MAX: u32 = 900_000;

/// Silent intervals until a peer is dead, when nobody wishes another number.
pub const MISSES: u32 = 3;

/// The fewest: with one, a peer that is only quiet would be dead before it was asked.
pub const MISSES_MIN: u32 = 2;

/// The most.
pub const MISSES_MAX: u32 = 20;

/// The longest interval over datagrams: two minutes, since a translator that keeps to RFC 4787 (REQ-5) may forget who was quiet for as long.
pub const DATAGRAM_INTERVAL_MS_MAX: u32 = 120_000;

/// The longest silence over datagrams, where nothing but silence says that a peer has gone: five minutes. What is wished beyond it is
/// brought down to it by fewer misses.
pub const DATAGRAM_PATIENCE_MS_MAX: u32 = 300_000;

/// A look is late when it comes more than this after the time it was wished for: one tick of the shard's wheel.
pub const LATE_MS: u32 = 1;

/// What both sides agreed on. 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(u32);

/// When a peer was last heard, on a clock of milliseconds modulo 2^32. 4 bytes; to take note of traffic is a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard(u32);

/// What is known when a side looks at its peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The time, in milliseconds of whatever clock.
    pub now_ms: u64,
    /// How much later than it was wished for this look comes.
    pub late_ms: u64,
    /// There may be input from the peer that nobody has looked at: completions not taken, a socket not read.
    pub behind: bool,
}

/// What follows from a look, and in how many milliseconds (at least 1) the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Wait(u32),
    /// A PING.
    Ping(u32),
    /// Nothing: the verdict would be death, but the hearing was not fair.
    Postpone(u32),
    /// The end.
    Dead,
}

impl Pace {
    /// The pace of an interval and a number of misses, each brought into its range.
    #[must_use]
    pub const fn new(interval_ms: u32, misses: u32) -> Pace {
        let interval = clamp(interval_ms, INTERVAL_MS_MIN, INTERVAL_MS_MAX);
        Pace(clamp(misses, MISSES_MIN, MISSES_MAX) << INTERVAL_BITS | interval)
    }

    /// The interval in milliseconds.
    #[must_use]
    pub const fn interval_ms(self) -> u32 {
        self.0 & ((1 << INTERVAL_BITS) - 1)
    }

    /// Silent intervals until a peer is dead.
    #[must_use]
    pub const fn misses(self) -> u32 {
        self.0 >> INTERVAL_BITS
    }

    /// How long a peer may be silent, in milliseconds.
    #[must_use]
    pub const fn patience_ms(self) -> u32 {
        self.interval_ms() * self.misses()
    }

    /// The same within the bounds of datagrams: [`DATAGRAM_INTERVAL_MS_MAX`], [`DATAGRAM_PATIENCE_MS_MAX`].
    #[must_use]
    pub const fn over_datagrams(self) -> Pace {
        let interval = clamp(self.interval_ms(), INTERVAL_MS_MIN, DATAGRAM_INTERVAL_MS_MAX);
        Pace::new(interval, clamp(self.misses(), MISSES_MIN, DATAGRAM_PATIENCE_MS_MAX / interval))
    }

    /// One beat: 0.9 to 1.1 intervals. `random` is any number, equally likely.
    #[must_use]
    pub const fn beat_ms(self, random: u64) -> u32 {
        let spread = self.interval_ms() / 10;
        let offset = ((random >> 32) * (2 * spread as u64 + 1)) >> 32;
        self.interval_ms() - spread + offset as u32
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::new(INTERVAL_MS, MISSES)
    }
}

impl Heard {
    /// Something came.
    #[must_use]
    #[inline]
    pub const fn at(now_ms: u64) -> Heard {
        Heard(now_ms as u32)
    }

    /// How long ago that was. Exact for 24 days, and nobody waits for as long.
    #[must_use]
    #[inline]
    pub const fn quiet_ms(self, now_ms: u64) -> u32 {
        let quiet = (now_ms as u32).wrapping_sub(self.0);
        // A little in the future, after a credit: not 49 days ago.
        if quiet > i32::MAX as u32 { 0 } else { quiet }
    }

    /// What to do now. Takes what the look is late off the silence.
    pub const fn look(&mut self, pace: Pace, look: Look, random: u64) -> Beat {
        let Look { now_ms, late_ms, behind } = look;
        let late = late_ms > LATE_MS as u64;
        if late {
            let quiet = self.quiet_ms(now_ms);
            let credit = if late_ms < quiet as u64 { late_ms as u32 } else { quiet };
            self.0 = self.0.wrapping_add(credit);
        }
        let (quiet, patience, interval) = (self.quiet_ms(now_ms), pace.patience_ms(), pace.interval_ms());
        if quiet >= patience {
            let once_more = late && quiet == patience || behind && quiet < patience + interval;
            return if once_more { Beat::Postpone(1) } else { Beat::Dead };
        }
        let left = patience - quiet;
        let beat = pace.beat_ms(random);
        if quiet < interval - interval / 10 {
            return Beat::Wait(if beat > quiet { beat - quiet } else { 1 });
        }
        // So shortly before the end an answer would hardly come in time.
        if left < interval / 2 { Beat::Wait(left) } else { Beat::Ping(if beat < left { beat } else { left }) }
    }
}

const fn clamp(n: u32, min: u32, max: u32) -> u32 {
    if n < min {
        min
    } else if n > max {
        max
    } else {
        n
    }
}

const INTERVAL_BITS: u32 = 20;
const _: () = assert!(INTERVAL_MS_MAX < 1 << INTERVAL_BITS && MISSES_MAX < 1 << (32 - INTERVAL_BITS));
const _: () = assert!(DATAGRAM_INTERVAL_MS_MAX * MISSES_MIN <= DATAGRAM_PATIENCE_MS_MAX);
// Silences are compared modulo 2^32.
const _: () = assert!((INTERVAL_MS_MAX as u64) * (MISSES_MAX as u64 + 1) < i32::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace::new(1_000, 3);
    const LOW: u64 = 0;
    const HIGH: u64 = u64::MAX;
    /// The clock wraps around in the midst of it.
    const HEARD: u64 = u32::MAX as u64 - 1_500;

    #[track_caller]
    fn check(quiet: u64, late_ms: u64, behind: bool, random: u64, expected: Beat) -> Heard {
        let mut heard = Heard::at(HEARD);
        assert_eq!(heard.look(PACE, Look { now_ms: HEARD + quiet, late_ms, behind }, random), expected);
        heard
    }

    #[test]
    fn a_quiet_peer_is_asked_twice_and_is_dead_at_the_third_interval_exactly() {
        check(0, 0, false, LOW, Beat::Wait(900));
        check(0, 0, false, HIGH, Beat::Wait(1_100));
        check(899, 0, false, LOW, Beat::Wait(1));
        check(900, 0, false, LOW, Beat::Ping(900));
        check(1_100, 0, false, HIGH, Beat::Ping(1_100));
        check(2_200, 0, false, HIGH, Beat::Ping(800));
        check(2_700, 0, false, LOW, Beat::Wait(300));
        check(2_999, 0, false, LOW, Beat::Wait(1));
        check(3_000, 0, false, LOW, Beat::Dead);
        check(1 << 30, 0, false, LOW, Beat::Dead);
    }

    #[test]
    fn what_a_look_is_late_is_no_silence_and_a_late_verdict_waits_for_one_more_tick() {
        let due_at = |heard: Heard, now: u64| heard.quiet_ms(HEARD + now);
        check(3_001, 1, false, LOW, Beat::Dead);
        assert_eq!(due_at(check(3_002, 2, false, LOW, Beat::Postpone(1)), 3_002), 3_000);
        assert_eq!(due_at(check(9_000, 6_000, false, LOW, Beat::Postpone(1)), 9_000), 3_000);
        // It had its tick: late or not, the next look decides.
        check(9_001, 6_000, false, LOW, Beat::Dead);
        // The beat at one interval came when three had passed: it is asked, and has the other two.
        assert_eq!(due_at(check(3_500, 2_500, false, LOW, Beat::Ping(900)), 3_500), 1_000);
        // Whatever was slept through, nobody is heard in the future.
        assert_eq!(due_at(check(400, 1 << 40, false, LOW, Beat::Wait(900)), 400), 0);
    }

    #[test]
    fn who_has_not_looked_at_all_that_came_puts_the_verdict_off_for_an_interval_at_most() {
        check(3_000, 0, true, LOW, Beat::Postpone(1));
        check(3_999, 0, true, LOW, Beat::Postpone(1));
        check(4_000, 0, true, LOW, Beat::Dead);
        // Asking needs no fair hearing.
        check(1_000, 0, true, LOW, Beat::Ping(900));
    }

    #[test]
    fn beats_lie_within_a_tenth_of_the_interval_and_use_all_of_it() {
        let mut seen = [false; 201];
        for step in 0..10_000_u64 {
            let beat = PACE.beat_ms(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            seen[beat as usize - 900] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn whatever_is_wished_stays_in_its_range() {
        for (interval, misses, expected) in [
            (0, 0, (100, 2)),
            (99, 1, (100, 2)),
            (30_000, 3, (30_000, 3)),
            (u32::MAX, u32::MAX, (900_000, 20)),
        ] {
            let pace = Pace::new(interval, misses);
            assert_eq!((pace.interval_ms(), pace.misses()), expected);
            assert_eq!(pace.patience_ms(), expected.0 * expected.1);
        }
    }

    #[test]
    fn over_datagrams_nobody_is_silent_for_more_than_five_minutes() {
        for (interval, misses, expected) in [
            (5_000, 3, (5_000, 3)),
            (100, 20, (100, 20)),
            (900_000, 20, (120_000, 2)),
            (60_000, 20, (60_000, 5)),
            (40_000, 20, (40_000, 7)),
        ] {
            let pace = Pace::new(interval, misses).over_datagrams();
            assert_eq!((pace.interval_ms(), pace.misses()), expected);
            assert!(pace.patience_ms() <= DATAGRAM_PATIENCE_MS_MAX);
        }
    }
}
