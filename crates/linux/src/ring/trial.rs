//! What a ring finds out by trying while it is made.

use super::setup::Gifts;
use super::sqe::{self, Sqe};
use super::{Factors, Op, Ring, RingError, Sock, Tag};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

impl Ring {
    /// Finds out by trying which kinds of receive the kernel has: a byte on a socket pair, received the best way it takes.
    pub(super) fn try_receives(&mut self, bundles: bool, factors: &Factors) -> Result<(), RingError> {
        let ways =
            [(true, bundles, true), (true, bundles, false), (true, false, false), (false, false, false)];
        let mut best = None;
        for (multishot, bundles, limits) in ways {
            let (ours, _theirs) = trial_pair()?;
            let gifts = Gifts { multishot, bundles, limits, ..self.gifts.clone() };
            let sock = Sock::Plain(ours.as_raw_fd());
            if self.trial(sqe::receive(sock, TRIAL_BYTES, TRIAL.0, &gifts))? > 0 {
                best = Some(gifts);
                break;
            }
        }
        self.gifts = best.ok_or_else(RingError::too_old)?;
        let said = |there, since| {
            if there { Ok(()) } else { Err(format!("this kernel has it not; Linux {since} has")) }
        };
        let Gifts { multishot, bundles, limits, .. } = self.gifts;
        self.features.note("multishot receive", said(multishot, "6.0"));
        let as_asked = || Err("left out, as asked by bundles=off".to_string());
        self.features
            .note("receive bundles", if factors.bundles { said(bundles, "6.10") } else { as_asked() });
        self.features.note("receive limits", said(limits, "6.16"));
        if factors.incremental && !limits {
            // The last completion of a multishot was overtaken by another's until 6.15, and with it the bytes that stand
            // behind its own in the same buffer. Receive limits came next, and can be tried.
            return Err(RingError::factor("inc=on", "before Linux 6.16 completions may come out of order"));
        }
        if factors.incremental {
            self.features.note("incremental buffers", Ok(()));
        }
        if factors.min_wait_us > 0 {
            self.features.note("min wait", Ok(()));
        }
        Ok(())
    }

    /// Finds out by trying whether a socket option can be set through the ring, the only way to one of a direct descriptor.
    pub(super) fn try_resets(&mut self) -> Result<(), RingError> {
        let (ours, _theirs) = trial_pair()?;
        let sqe = sqe::linger_zero(Sock::Plain(ours.as_raw_fd()), TRIAL.0, &mut self.memory.1);
        let there = self.trial(sqe)? == 0;
        let why = "connections are closed with FIN instead of RST; Linux 6.7 has it";
        self.gifts.resets = self.features.note("resets", if there { Ok(()) } else { Err(why.into()) });
        Ok(())
    }

    /// Submits a trial and sees it to its end. Returns its first result.
    fn trial(&mut self, sqe: Sqe) -> Result<i32, RingError> {
        self.push_entry(sqe);
        let mut first = None;
        while self.counts.in_flight > 0 {
            self.wait(1, None)?;
            while let Some(completion) = self.pop() {
                self.pieces.clear();
                if completion.tag != TRIAL {
                    continue;
                }
                first.get_or_insert(completion.result);
                if completion.more {
                    self.push(Op::Cancel(TRIAL), Tag::new(1, 0, 0));
                }
            }
        }
        Ok(first.expect("what is submitted completes"))
    }
}

/// The tag of what is tried while a ring is made.
const TRIAL: Tag = Tag(0);
/// The limit of a trial receive: more than the byte that it finds.
const TRIAL_BYTES: u32 = 64;

/// Two ends of a stream, with a byte to be received at the first.
fn trial_pair() -> Result<(UnixStream, UnixStream), RingError> {
    let pair = || {
        let (ours, mut theirs) = UnixStream::pair()?;
        theirs.write_all(b"?")?;
        Ok((ours, theirs))
    };
    pair().map_err(|error| RingError::from_io("a trial", error, 0))
}
