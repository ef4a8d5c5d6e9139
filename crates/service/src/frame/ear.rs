//! Whether the peer of a frame connection still lives, as both sides judge it: the server's session and the client.
//!
//! No living peer is killed by mistake. The turn takes completions before it fires timers, so what a verdict does not know is
//! what the kernel has and did not hand over; then
//! - a late look is not counted as silence, and a verdict in it waits for one more turn ([`Heard::look`](proto::frame::Heard::look));
//! - a seat that knows it is behind says so ([`Io::caught_up_since`]), also of one connection ([`Io::is_announced`]);
//! - bytes that waited for a buffer begin the silence anew ([`Io::was_starved`]);
//! - a peer that reads what is sent to it, however slowly, lives while output of ours stands here: we may not hear it. What has left
//!   for the kernel's buffer counts as read; a peer that takes longer than its patience for that, and says nothing, is taken for dead.
//!
//! And no dead one is kept: output counts as read when it was seen to stand here and to leave, and as of when it left.

use proto::frame::heartbeat::{Beat, Look};
use proto::frame::{Heard, Pace};
use shard::{Io, Leg, Service, Tick};

/// What a side has in mind of its peer, wherever it keeps that.
pub(super) struct Ear<'a> {
    pub(super) leg: Leg,
    pub(super) heard: &'a mut Heard,
    pub(super) pace: Pace,
    /// Before HELLO: how often a verdict was put off. Then: that output stood here at a look, and how often it was called back. 0
    /// when HELLO has come, and from then on when anything comes.
    pub(super) looks: &'a mut u8,
}

impl Ear<'_> {
    /// HELLO has not come in its time, and the look at that is so late: when to look again, or `None` when that is certain.
    pub(super) fn look_for_hello<S: Service>(&mut self, late_ms: u64, io: &mut Io<'_, S>) -> Option<u32> {
        let due = Tick(io.now().0.saturating_sub(late_ms));
        let starved = io.was_starved(self.leg);
        let fair = io.caught_up_since(due) && late_ms <= 1 && !starved && !io.is_announced(self.leg);
        if fair || *self.looks >= HELLO_LOOKS {
            return None;
        }
        *self.looks += 1;
        Some(if starved { STARVED_MS } else { 1 })
    }

    /// Looks at a peer that was greeted, so much later than it was wished for. [`Beat::Dead`] is final.
    pub(super) fn look<S: Service>(&mut self, late_ms: u64, io: &mut Io<'_, S>) -> Beat {
        let now_ms = io.now().0;
        if io.was_starved(self.leg) {
            *self.heard = Heard::at(now_ms);
        }
        let moved_ms = io.moved(self.leg).map_or(0, |at| at.0);
        if io.unsent(self.leg) > 0 {
            *self.looks = (*self.looks).max(1);
        } else if std::mem::take(self.looks) > 0 && now_ms - moved_ms < u64::from(self.heard.quiet_ms(now_ms))
        {
            // What stood here at an earlier look has left since.
            *self.heard = Heard::at(moved_ms);
        }
        let over = self.heard.quiet_ms(now_ms).saturating_sub(self.pace.patience_ms());
        let behind = !io.caught_up_since(Tick(now_ms - u64::from(over))) || io.is_announced(self.leg);
        let beat = self.heard.look(self.pace, Look { now_ms, late_ms, behind }, io.random());
        match beat {
            Beat::Postpone(_) => io.meter().verdicts_postponed.inc(),
            Beat::Dead => return self.last_look(now_ms - moved_ms, io).map_or(Beat::Dead, Beat::Wait),
            Beat::Wait(_) | Beat::Ping(_) => {}
        }
        beat
    }

    /// A peer that says nothing may be reading: then it does not hear us, nor we it. When to look again, if it is.
    fn last_look<S: Service>(&mut self, still_ms: u64, io: &mut Io<'_, S>) -> Option<u32> {
        if io.unsent(self.leg) == 0 {
            return None;
        }
        let left = u64::from(self.pace.patience_ms()).saturating_sub(still_ms);
        if left > 0 {
            *self.looks = 1;
            return Some(left as u32);
        }
        // A send that is under way says what left of it when it ends; see `Io::recall`.
        if *self.looks <= RECALLS && io.recall(self.leg) {
            *self.looks += 1;
            return Some(RECALL_MS);
        }
        None
    }
}

/// How often the verdict about a HELLO is put off, and by how much where there was no buffer to receive it into.
const HELLO_LOOKS: u8 = 50;
const STARVED_MS: u32 = 100;
/// How long a send that is called back may take to end, and how often it is.
const RECALL_MS: u32 = 100;
const RECALLS: u8 = 2;
