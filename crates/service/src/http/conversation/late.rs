//! The deadline half of the machine: when the present state is too late, and what becomes of it then.
//!
//! One timer a connection, and lazy: bytes only move the deadline, and a timer that fires early is set again.

use super::super::Config;
use super::super::deadline::after;
use super::super::tally::Tally;
use super::{Busy, Drain, Http, Session, Wait, unsent};
use crate::alarm::Alarm;
use proto::http1::Refusal;
use shard::{Io, Next, Service, Tick};
use std::time::Duration;

impl Http {
    /// The timer fired: perhaps early, since deadlines move and it stays.
    #[cold]
    pub(super) fn ring<S: Service>(
        &mut self,
        config: &Config,
        session: &mut Session,
        tally: &mut Tally,
        io: &mut Io<'_, S>,
    ) -> Next {
        let now = io.now();
        if self.due(config, session) <= now && !self.extend(config, session, io) {
            return self.too_late(session, tally, io);
        }
        session.alarm = Alarm::at(self.due(config, session), io);
        Next::Stay
    }

    /// Whether a deadline that has passed is a new one: bytes left meanwhile, the seat did not read what may have come, or
    /// the drain still needs the admin pages.
    fn extend<S: Service>(&self, config: &Config, session: &mut Session, io: &mut Io<'_, S>) -> bool {
        let now = io.now();
        if !session.waits() && io.was_starved(session.leg) {
            session.restart(now);
            return true;
        }
        let unsent = unsent(session.leg, io);
        let watched = session.wait >= Wait::Watched;
        let moved = session.waits() && (unsent < session.unsent || !watched);
        if !(moved && watched)
            && let Some(recalled) = session.wait.recalled()
            && io.recall(session.leg)
        {
            // A send that is under way says what left when it ends.
            let wait = u64::try_from(patience(config, session).as_millis()).unwrap_or(u64::MAX);
            (session.wait, session.since) = (recalled, Tick((now.0 + RECALL_MS).saturating_sub(wait)));
            return true;
        }
        if session.waits() {
            session.wait = Wait::Watched;
        }
        let stays = session.is_idle()
            && config.is_admin()
            && self.drain.as_ref().is_some_and(|drain| {
                let open = io.board().total().connections;
                open > self.admins && after(now, ADMIN_LEAVE) < drain.until
            });
        if moved || stays {
            (session.since, session.unsent) = (now, unsent);
        }
        moved || stays
    }

    fn too_late<S: Service>(&mut self, session: &mut Session, tally: &mut Tally, io: &mut Io<'_, S>) -> Next {
        let unread = session.waits() || !io.out(session.leg).is_empty();
        match session.busy.as_deref() {
            // The peer does not take what it asked for.
            _ if unread => {
                io.abort(session.leg);
                Next::Close
            }
            None => Next::Close,
            Some(_) => {
                self.stamp.set(io.unix_seconds());
                self.refuse(session, Refusal::Timeout, tally, io)
            }
        }
    }

    pub(super) fn drain<S: Service>(&mut self, session: &mut Session, until: Tick, io: &Io<'_, S>) -> Next {
        let half = Duration::from_millis(until.0.saturating_sub(io.now().0) / 2);
        self.drain.get_or_insert(Drain { until, half });
        if session.is_idle() {
            session.since = io.now();
        }
        Next::Stay
    }

    /// When the present state is too late.
    #[inline]
    pub(super) fn due(&self, config: &Config, session: &Session) -> Tick {
        let deadlines = &config.deadlines;
        match session.busy.as_deref() {
            _ if session.waits() => after(session.since, patience(config, session)),
            None => after(session.since, self.idle(config)),
            Some(Busy::Head(_)) => after(session.since, deadlines.head),
            Some(Busy::Exchange(work)) => {
                deadlines.body(work.began, work.heard, work.exchange.bytes - work.before)
            }
        }
    }

    /// How long a connection may be idle.
    #[inline]
    fn idle(&self, config: &Config) -> Duration {
        match &self.drain {
            None => config.deadlines.keep_alive,
            Some(_) if config.is_admin() => ADMIN_LOOK,
            Some(drain) => config.deadlines.drain_grace.min(drain.half),
        }
    }
}

/// How long a wait for room may last until the next look at what left.
fn patience(config: &Config, session: &Session) -> Duration {
    let progress = config.deadlines.progress;
    if session.wait < Wait::Watched { FIRST_LOOK.min(progress) } else { progress }
}

/// When a wait for room is looked at first, to know what the peer begins with.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// How long a send that is called back may take to end.
const RECALL_MS: u64 = 100;
/// How often an admin session looks whether the others have ended, in a drain.
const ADMIN_LOOK: Duration = Duration::from_millis(50);
/// How long before the end of a drain admin sessions end, so that they are not reset.
const ADMIN_LEAVE: Duration = Duration::from_millis(200);
