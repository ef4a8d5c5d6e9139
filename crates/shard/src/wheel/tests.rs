//! The wheel against a plain sorted map, and its promises one by one.

use super::*;
use std::collections::BTreeMap;

const HORIZON: u64 = (SLOTS as u64 - 1) << (BITS * TOP);
const BLOCK: u64 = 1 << BITS;

/// A wheel and a plain sorted map that must always say the same.
struct Pair {
    wheel: Wheel<u64>,
    model: BTreeMap<(u64, u64), TimerId>,
    now: u64,
    made: u64,
    random: u64,
    /// Most timers of a level that came down in one round.
    moves_most: u32,
}

impl Pair {
    fn new(now: u64, seed: u64, moves_max: u32) -> Pair {
        let wheel = Wheel::with_moves_max(Tick(now), moves_max);
        let random = seed.wrapping_mul(2).wrapping_add(1);
        Pair { wheel, model: BTreeMap::new(), now, made: 0, random, moves_most: 0 }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 24) % bound
    }

    /// Arms a timer, now and then in the past, mostly near, so that ticks are shared, rarely past the horizon.
    fn arm(&mut self) {
        let after = match self.below(100) {
            0..5 => 0,
            5..50 => self.below(100),
            50..75 => self.below(5_000),
            75..98 => self.below(HORIZON),
            _ => HORIZON,
        };
        let mut asked = if self.below(20) == 0 { self.now.saturating_sub(after) } else { self.now + after };
        // Past the horizon two timers never share a tick here: their order is not promised.
        if asked >= self.wheel.now + HORIZON {
            asked += self.below(1 << 38);
        }
        let id = self.wheel.insert(Tick(asked), self.made);
        let before = self.model.insert((asked.max(self.wheel.now + 1), self.made), id);
        assert_eq!(before, None);
        self.made += 1;
    }

    fn cancel(&mut self) {
        if self.model.is_empty() {
            return;
        }
        let nth = self.below(self.model.len().min(50) as u64) as usize;
        let (&key, &id) = self.model.iter().nth(nth).unwrap();
        assert_eq!(self.wheel.cancel(id), Some(key.1));
        assert_eq!(self.wheel.cancel(id), None, "a cancelled timer is gone");
        self.model.remove(&key);
    }

    /// Jumps, and fires all that is due, in as many rounds as that takes; `busy` arms and cancels timers between two that fire.
    fn jump(&mut self, by: u64, busy: bool) {
        self.now += by;
        self.round(busy);
        while self.wheel.next_deadline().is_some_and(|next| next.0 <= self.now) {
            assert!(self.wheel.now < self.now, "a round that has done all would be called again for nothing");
            self.round(busy);
        }
        assert_eq!(self.wheel.now, self.now);
        assert!(self.model.first_key_value().is_none_or(|(first, _)| first.0 > self.now));
    }

    /// Fires what one round fires. Returns how many.
    fn round(&mut self, busy: bool) -> u64 {
        let (mut fires, mut moves) = (0, [0; TOP]);
        let mut above = self.wheel.above();
        let mut count = |before: [u32; TOP], after: [u32; TOP]| {
            moves = std::array::from_fn(|level| moves[level] + before[level] - after[level]);
        };
        while let Some(Fired { timer, at, what }) = self.wheel.fire(Tick(self.now)) {
            let (&first, &id) = self.model.first_key_value().expect("nothing is armed, so nothing fires");
            assert!(at.0 <= self.now);
            assert_eq!((at.0, what, timer), (first.0, first.1, id));
            assert_eq!(self.wheel.cancel(id), None, "a fired timer is gone");
            self.model.remove(&first);
            fires += 1;
            count(above, self.wheel.above());
            if busy {
                match self.below(6) {
                    0..3 => self.arm(),
                    3 => self.cancel(),
                    _ => {}
                }
            }
            above = self.wheel.above();
        }
        count(above, self.wheel.above());
        assert!(moves.iter().all(|n| *n <= self.wheel.moves_max), "{moves:?} timers came down in one round");
        self.moves_most = moves.into_iter().fold(self.moves_most, u32::max);
        self.check();
        fires
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.model.len());
        assert_eq!(self.wheel.lists.iter().map(|list| list.len as usize).sum::<usize>(), self.model.len());
        let first = self.model.first_key_value().map(|(&(at, _), _)| at);
        let next = self.wheel.next_deadline().map(|next| next.0);
        assert_eq!(next.is_some(), first.is_some());
        if let (Some(next), Some(first)) = (next, first) {
            assert!(self.wheel.now <= next && next <= first, "{next} is late for {first}");
            let in_block = first / BLOCK == self.wheel.now / BLOCK;
            // Unless there is more to bring down than one round can.
            let fits = self.wheel.lists[SLOTS..].iter().all(|list| list.len <= self.wheel.moves_max);
            assert!(!in_block || !fits || next == first, "within 64 ms the deadline is exact");
        }
    }
}

impl<V: Copy> Wheel<V> {
    /// How many timers lie above each level: one fewer when one comes down to it, as many when one is put back past the horizon.
    fn above(&self) -> [u32; TOP] {
        let above = |level| self.lists[(level + 1) * SLOTS..].iter().map(|list| list.len).sum();
        std::array::from_fn(above)
    }
}

/// What fires next, without its name.
fn fire<V: Copy>(wheel: &mut Wheel<V>, now: u64) -> Option<(Tick, V)> {
    wheel.fire(Tick(now)).map(|fired| (fired.at, fired.what))
}

#[test]
fn thousands_of_random_operations_agree_with_a_sorted_map() {
    // Starts: zero, just before a carry through every digit, and far into the life of a machine.
    let starts = [0, (1 << 24) - 3, (1 << 36) - 100, 1 << 50];
    for seed in 0..2_000 {
        // With few moves a round, nearly everything that the clock jumps over comes down late.
        let moves_max = [1, 3, 16, MOVES_MAX][seed as usize / 4 % 4];
        let mut pair = Pair::new(starts[seed as usize % starts.len()], seed, moves_max);
        for _ in 0..200 {
            match pair.below(10) {
                0..5 => pair.arm(),
                5..7 => pair.cancel(),
                7 => drop(pair.round(true)),
                _ => {
                    let scale = pair.below(6);
                    let by = pair.below([2, 64, 100, 5_000, 300_000, HORIZON * 2][scale as usize]);
                    pair.jump(by, seed % 2 == 0);
                }
            }
            pair.check();
        }
        while !pair.model.is_empty() {
            pair.jump(1 << 39, false);
        }
    }
}

#[test]
fn waiting_for_the_next_deadline_fires_every_timer_at_its_own_tick() {
    let mut pair = Pair::new(12_345, 7, MOVES_MAX);
    for _ in 0..1_000 {
        pair.arm();
    }
    let mut waits = 0;
    while let Some(next) = pair.wheel.next_deadline() {
        let first = pair.model.first_key_value().unwrap().0.0;
        assert!(next.0 <= first);
        pair.jump(next.0 - pair.now, false);
        assert_ne!(pair.model.first_key_value().map(|(key, _)| key.0), Some(next.0));
        waits += 1;
    }
    assert!(pair.model.is_empty());
    // At most three times down for a timer within the horizon, and 2^38 / HORIZON more for the few beyond.
    assert!(waits < 1_000 * 4 + 30 * 8_300, "{waits}");
}

/// A wheel with `timers` timers of 30 s that are due within `within` ms.
fn crowd(timers: u64, within: u64, moves_max: u32) -> Pair {
    let mut pair = Pair::new(77_777, timers, moves_max);
    for n in 0..timers {
        let at = pair.now + 30_000 + n * 7919 % within;
        let id = pair.wheel.insert(Tick(at), n);
        pair.model.insert((at, n), id);
    }
    pair
}

/// Lets the wheel have one round in each tick that it asks for. Returns how often it asked, and by how many ticks the latest of
/// its timers was late.
fn sleep_through(mut pair: Pair) -> (u64, u64) {
    let (mut rounds, mut late) = (0, 0);
    while let Some(next) = pair.wheel.next_deadline() {
        // A round that was not enough goes on a tick later: turns take time.
        pair.now = next.0.max(pair.now + 1);
        let first = pair.model.first_key_value().unwrap().0.0;
        if pair.round(false) > 0 {
            late = late.max(pair.now - first);
        }
        rounds += 1;
    }
    assert!(pair.model.is_empty());
    (rounds, late)
}

#[test]
fn timers_by_the_thousand_come_down_in_good_time_without_a_wake_too_many() {
    // One has two levels to come down. A crowd in one slot of 4 s comes down in rounds of 16, twice, and fires in its own ticks.
    for (timers, within, rounds_most) in [
        (1, 1, 3),
        (16, 1, 3),
        (1_000, 4_000, 1_000 + 2 * 1_000 / 16 + 66),
        (60_000, 4_000, 4_000 + 2 * 60_000 / 16),
    ] {
        let (rounds, late) = sleep_through(crowd(timers, within, 16));
        assert_eq!(late, 0, "{timers} timers within {within} ms");
        assert!(rounds <= rounds_most, "{rounds} rounds for {timers} timers within {within} ms");
    }
}

#[test]
fn where_each_tick_has_a_round_each_brings_down_its_share() {
    let mut pair = crowd(60_000, 4_000, MOVES_MAX);
    while !pair.model.is_empty() {
        pair.now += 1;
        let due = pair.model.first_key_value().is_some_and(|(first, _)| first.0 <= pair.now);
        assert_eq!(pair.round(false) > 0, due);
    }
    // 60,000 in 4 s are 15 a tick.
    assert!((15..=20).contains(&pair.moves_most), "{}", pair.moves_most);
}

#[test]
fn what_could_not_come_down_ahead_is_late_by_rounds_and_in_its_order() {
    // 64 ms are 64 rounds of 16: of 30,000 timers due within so short a time most come down after it has begun.
    let (rounds, late) = sleep_through(crowd(30_000, 64, 16));
    let needed = 30_000 / 16;
    assert!((needed - 2 * BLOCK..needed).contains(&late), "{late}");
    assert!(rounds < 2 * needed + 140, "{rounds}");
}

#[test]
fn a_round_after_a_long_sleep_is_as_short_as_any() {
    let mut pair = Pair::new(0, 3, 32);
    for n in 0..10_000 {
        let at = pair.now + 5_000 + n * 7919 % 600_000;
        let id = pair.wheel.insert(Tick(at), n);
        pair.model.insert((at, n), id);
    }
    // `round` counts what came down.
    pair.jump(3_600_000, false);
    assert!(pair.model.is_empty());
}

#[test]
fn timers_of_one_tick_fire_in_the_order_they_were_armed_in() {
    let mut wheel = Wheel::new(Tick(0));
    for (present, what) in [(0, 'a'), (70_000, 'b'), (99_000, 'c'), (99_999, 'd')] {
        assert_eq!(fire(&mut wheel, present), None);
        wheel.insert(Tick(100_000), what);
    }
    let fired: Vec<_> = std::iter::from_fn(|| fire(&mut wheel, 200_000)).collect();
    assert_eq!(fired, ['a', 'b', 'c', 'd'].map(|what| (Tick(100_000), what)));
}

#[test]
fn a_timer_cancelled_while_its_tick_fires_does_not_fire() {
    let mut wheel = Wheel::new(Tick(0));
    let ids = [1, 2, 3].map(|what| wheel.insert(Tick(5), what));
    assert_eq!(fire(&mut wheel, 9), Some((Tick(5), 1)));
    assert_eq!((wheel.cancel(ids[0]), wheel.cancel(ids[1])), (None, Some(2)));
    assert_eq!(fire(&mut wheel, 9), Some((Tick(5), 3)));
    assert_eq!(fire(&mut wheel, 9), None);
    assert!(wheel.is_empty());
}

#[test]
fn a_timer_that_arms_itself_at_once_fires_once_a_tick() {
    let mut wheel = Wheel::new(Tick(0));
    wheel.insert(Tick(0), 0);
    for now in 1..100 {
        assert_eq!(fire(&mut wheel, now), Some((Tick(now), 0)));
        wheel.insert(Tick(now), 0);
        assert_eq!(fire(&mut wheel, now), None);
        assert_eq!(wheel.next_deadline(), Some(Tick(now + 1)));
    }
}

#[test]
fn what_is_armed_between_two_that_fire_takes_its_place_in_the_order() {
    let mut wheel = Wheel::new(Tick(0));
    wheel.insert(Tick(10), 'a');
    wheel.insert(Tick(500), 'c');
    assert_eq!(fire(&mut wheel, 1_000), Some((Tick(10), 'a')));
    wheel.insert(Tick(300), 'b');
    wheel.insert(Tick(1_001), 'd');
    assert_eq!(fire(&mut wheel, 1_000), Some((Tick(300), 'b')));
    assert_eq!(fire(&mut wheel, 1_000), Some((Tick(500), 'c')));
    assert_eq!((fire(&mut wheel, 1_000), wheel.next_deadline()), (None, Some(Tick(1_001))));
}

#[test]
fn a_stale_id_does_not_cancel_the_timer_that_has_its_node_now() {
    let mut wheel = Wheel::new(Tick(0));
    let old = wheel.insert(Tick(1), 'a');
    assert_eq!(fire(&mut wheel, 1), Some((Tick(1), 'a')));
    let new = wheel.insert(Tick(2), 'b');
    assert_eq!((old.node, wheel.cancel(old)), (new.node, None));
    assert_eq!(wheel.cancel(new), Some('b'));
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn an_id_survives_being_a_word_and_a_word_made_up_finds_nothing() {
    let mut wheel = Wheel::new(Tick(0));
    let ids = [1, 2, 3].map(|n| wheel.insert(Tick(n), n));
    assert_eq!(wheel.cancel(ids[1]), Some(2));
    for word in
        [0, 1 << 32, u64::from(ids[1]), u64::from(ids[1]) + 1, u64::from(ids[2]) + (1 << 32), u64::MAX]
    {
        assert_eq!(wheel.cancel(TimerId::from(word)), None, "{word:x}");
    }
    for (id, n) in [(ids[0], 1), (ids[2], 3)] {
        let word = u64::from(id);
        assert!(word != 0 && word >> 63 == 0);
        assert_eq!((TimerId::from(word), wheel.cancel(word.into())), (id, Some(n)));
    }
}

#[test]
fn deadlines_past_the_horizon_fire_at_their_own_tick() {
    for at in [HORIZON - 1, HORIZON, HORIZON + 1, 64 * HORIZON + 12_345, u64::from(u32::MAX)] {
        let mut wheel = Wheel::new(Tick(3));
        wheel.insert(Tick(at), at);
        assert_eq!(fire(&mut wheel, at - 1), None);
        assert_eq!(fire(&mut wheel, at), Some((Tick(at), at)));
        assert_eq!(fire(&mut wheel, at), None);
    }
}

#[test]
fn a_deadline_that_never_comes_may_be_armed_and_cancelled() {
    let mut wheel = Wheel::new(Tick(0));
    let id = wheel.insert(Tick(u64::MAX), ());
    assert_eq!(fire(&mut wheel, 1 << 40), None);
    assert_eq!(wheel.cancel(id), Some(()));
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn time_that_goes_back_fires_nothing_and_is_ignored() {
    let mut wheel = Wheel::new(Tick(100));
    wheel.insert(Tick(110), ());
    assert_eq!((fire(&mut wheel, 105), fire(&mut wheel, 50), wheel.now), (None, None, 105));
    assert_eq!(fire(&mut wheel, 110), Some((Tick(110), ())));
}

#[test]
fn nodes_are_used_again_before_new_ones_are_made() {
    let mut wheel = Wheel::new(Tick(0));
    for now in 0..10_000 {
        let id = wheel.insert(Tick(now + 20), now);
        if now % 3 == 0 {
            wheel.cancel(id);
        }
        while fire(&mut wheel, now).is_some() {}
    }
    assert!(wheel.nodes.table.len() <= 20);
}

#[test]
fn what_comes_next_in_a_tick_is_known_before_it_fires() {
    let mut wheel = Wheel::new(Tick(0));
    let ids: Vec<TimerId> = (0..6).map(|n| wheel.insert(Tick(if n < 4 { 10 } else { 12 }), n)).collect();
    assert_eq!(wheel.coming(), None);
    let mut seen = Vec::new();
    while let Some(fired) = wheel.fire(Tick(20)) {
        if fired.what == 1 {
            wheel.cancel(ids[2]);
        }
        seen.push((fired.what, wheel.coming()));
    }
    assert_eq!(seen, [(0, Some(1)), (1, Some(3)), (3, None), (4, Some(5)), (5, None)]);
}
