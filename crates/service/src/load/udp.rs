//! Datagrams of an echo load: which of the outstanding one answers, and the messages themselves.
//!
//! Datagrams may be lost, doubled and swapped, so each is known by its number. The messages of a socket are made once and sent again
//! and again, so a request costs no memory.

use super::line::{Line, Request};
use super::pattern::{HEAD, Pattern};
use super::reader::Answer;
use bytes::Bytes;
use linux::Chunk;

/// Shortest datagram: its number.
pub const BYTES_MIN: usize = HEAD;
/// Longest payload of a UDP datagram over IPv4 (RFC 768, RFC 791).
pub const BYTES_MAX: usize = 65_507;

/// The messages of one socket.
#[derive(Debug)]
pub(super) struct Messages {
    all: Bytes,
    bytes: usize,
    /// How many different ones there are: number `n` is sent as `n` modulo this.
    period: u64,
    /// One past the newest that was answered.
    answered: u64,
    /// By the number that is sent: it was given up, and may still come.
    lost: Box<[bool]>,
}

impl Messages {
    /// Of the socket with this number. A late answer is told from a new one as long as fewer than the period were sent since.
    pub(super) fn new(pattern: &Pattern, connection: u32, pipeline: usize) -> Messages {
        let bytes = pattern.bytes();
        let period = (4 * pipeline).max(((64 << 10) / bytes).min(1024)).max(2);
        let mut all = Vec::with_capacity(period * bytes);
        for number in 0..period as u64 {
            all.extend_from_slice(&number.to_le_bytes());
            all.extend_from_slice(pattern.fill(connection, number, 0));
        }
        let lost = vec![false; period].into();
        Messages { all: all.into(), bytes, period: period as u64, answered: 0, lost }
    }

    /// Message `number` was not answered in time. If it is later, it has not come twice.
    pub(super) fn lose(&mut self, number: u64) {
        self.lost[(number % self.period) as usize] = true;
    }

    /// Message `number`.
    pub(super) fn chunk(&self, number: u64) -> Chunk {
        let at = (number % self.period) as usize * self.bytes;
        Chunk::Shared(self.all.slice(at..at + self.bytes))
    }

    /// Which of the line's outstanding requests a datagram answers, and how it was; none, where it comes after that was given up. A request that was answered is marked by `done`
    /// in the line's window and leaves it when it is the oldest.
    pub(super) fn read(
        &mut self,
        line: &mut Line,
        datagram: &[u8],
        verify: bool,
    ) -> (Answer, Option<Request>) {
        let extra = (Answer::Extra(datagram.len() as u64), None);
        let Some(head) = datagram.first_chunk::<HEAD>() else { return extra };
        let sent = u64::from_le_bytes(*head);
        if sent >= self.period {
            return extra;
        }
        let oldest = line.next - line.requests.len() as u64;
        // The only number of the window that is sent so, if there is one.
        let ahead = (sent + self.period - oldest % self.period) % self.period;
        let Some(slot) = line.requests.get_mut(ahead as usize) else {
            if std::mem::take(&mut self.lost[sent as usize]) {
                return (Answer::Good(0), None);
            }
            let was_ours = line.next >= self.period || sent < line.next;
            return if was_ours { (Answer::Duplicated, None) } else { extra };
        };
        if slot.intended_ns == DONE {
            return (Answer::Duplicated, None);
        }
        self.lost[sent as usize] = false;
        let at = sent as usize * self.bytes;
        let intact = match verify {
            true => *datagram == self.all[at..at + self.bytes],
            false => datagram.len() == self.bytes,
        };
        // Behind a newer one (RFC 4737 section 3.3): one that was lost does not make those after it reordered.
        let number = oldest + ahead;
        let answer = match intact {
            false => Answer::Corrupt,
            true if number < self.answered => Answer::Reordered,
            true => Answer::Good(0),
        };
        self.answered = self.answered.max(number + 1);
        let request = line.take(ahead as usize);
        (answer, Some(request))
    }
}

/// The intended time of a request in the window that was answered before an older one.
pub(super) const DONE: u64 = u64::MAX;
