//! A client over datagrams that comes back: when its server fell silent or sent it away, it waits as one over TCP does, and begins
//! another conversation.
//!
//! What was not answered when a conversation ended was told of ([`News::Closed`](super::News::Closed)), and is not sent again by itself.

use super::client::{Client, Host};
use super::link::Moment;
use crate::frame::client::Backoff;
use proto::frame::Hello;
use proto::frame::udp::CallerState;
use std::time::Duration;

/// A client, and when it begins anew.
#[derive(Debug)]
pub struct Lasting {
    client: Client,
    hello: Hello,
    backoff: Backoff,
    /// The wait before this conversation; `None` when one was open since.
    wait: Option<Duration>,
    /// When the next one begins.
    again_ms: Option<u64>,
    tries_left: u32,
    tries_max: u32,
    left: bool,
}

impl Lasting {
    /// A client that says HELLO at once, and begins anew at most `tries_max` times until a server answers. `random` is any number,
    /// equally likely.
    pub fn new(
        hello: Hello,
        backoff: Backoff,
        tries_max: u32,
        random: u64,
        now_ms: u64,
        host: &mut impl Host,
    ) -> Lasting {
        let client = Client::new(hello.clone(), random, now_ms, host);
        let (wait, again_ms, left) = (None, None, false);
        Lasting { client, hello, backoff, wait, again_ms, tries_left: tries_max, tries_max, left }
    }

    /// The conversation of now: to send, and to be given what came.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Says GOAWAY, and does not come back.
    pub fn leave(&mut self, now_ms: u64, host: &mut impl Host) {
        self.left = true;
        self.client.leave(now_ms, host);
    }

    /// Does what is due; see [`Client::on_time`].
    pub fn on_time(&mut self, moment: Moment, host: &mut impl Host) {
        let Moment { now_ms, random, .. } = moment;
        self.client.on_time(moment, host);
        match (self.client.state(), self.again_ms) {
            (CallerState::Open, _) => self.greeted(),
            (CallerState::Closed, None)
                if !self.left && (self.tries_left > 0 || self.client.was_greeted()) =>
            {
                // It may have been open and closed between two looks.
                if self.client.was_greeted() {
                    self.greeted();
                }
                let wait = self.backoff.next(self.wait, random);
                self.tries_left -= 1;
                (self.wait, self.again_ms) = (Some(wait), Some(now_ms + wait.as_millis() as u64));
            }
            (CallerState::Closed, Some(again_ms)) if again_ms <= now_ms && !self.left => {
                self.again_ms = None;
                self.client = Client::new(self.hello.clone(), random, now_ms, host);
            }
            _ => {}
        }
    }

    /// When [`on_time`](Self::on_time) is to be called next, at once when it is not later than now; `None` when it is over.
    pub fn due_ms(&self) -> Option<u64> {
        match (self.client.due_ms(), self.again_ms) {
            (Some(due_ms), _) => Some(due_ms),
            (None, _) if self.left => None,
            (None, Some(again_ms)) => Some(again_ms),
            (None, None) => (self.tries_left > 0 || self.client.was_greeted()).then_some(0),
        }
    }

    /// A server has answered: what was tried before is forgotten.
    fn greeted(&mut self) {
        (self.wait, self.tries_left) = (None, self.tries_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::udp::{Closed, News};
    use bytes::Bytes;
    use proto::frame::{Error, Flags, Kind, write};

    #[derive(Default)]
    struct Desk {
        sent: Vec<(u64, Bytes)>,
        now_ms: u64,
        closed: Vec<Closed>,
    }

    impl Host for Desk {
        fn send(&mut self, frame: Bytes) {
            self.sent.push((self.now_ms, frame));
        }

        fn news(&mut self, news: News<'_>) {
            if let News::Closed(why) = news {
                self.closed.push(why);
            }
        }
    }

    /// Follows its times until it is over, or until this one.
    fn run(lasting: &mut Lasting, desk: &mut Desk, until_ms: u64) {
        while let Some(due_ms) = lasting.due_ms()
            && due_ms <= until_ms
        {
            desk.now_ms = desk.now_ms.max(due_ms);
            let moment = Moment { now_ms: desk.now_ms, late_ms: 0, behind: false, random: 1 << 63 };
            lasting.on_time(moment, desk);
        }
    }

    #[test]
    fn nobody_is_there_it_comes_back_after_waits_that_grow_and_at_last_gives_up() {
        let mut desk = Desk::default();
        let mut lasting = Lasting::new(Hello::new(), Backoff::default(), 3, 5 << 32, 0, &mut desk);
        run(&mut lasting, &mut desk, u64::MAX);
        assert_eq!(desk.closed, [Closed::Silent; 4]);
        assert_eq!(desk.sent.len(), 4 * 10);
        let begins: Vec<u64> = desk.sent.iter().step_by(10).map(|(at, _)| *at).collect();
        let ends: Vec<u64> = desk.sent.iter().skip(9).step_by(10).map(|(at, _)| *at).collect();
        // The last HELLO has its 4 s; then the wait of a client over TCP.
        let waits: Vec<u64> =
            begins.iter().skip(1).zip(&ends).map(|(begin, end)| begin - end - 4_000).collect();
        let (mut last, mut expected) = (None, Vec::new());
        for _ in 0..3 {
            let wait = Backoff::default().next(last, 1 << 63);
            expected.push(wait.as_millis() as u64);
            last = Some(wait);
        }
        assert_eq!(waits, expected);
    }

    /// A server answers HELLO.
    fn greet(lasting: &mut Lasting, desk: &mut Desk) {
        let asked = &desk.sent.last().expect("HELLO").1;
        let seq = u32::from_be_bytes(asked[12..16].try_into().expect("4 bytes"));
        for cookie in [vec![1; 16], vec![]] {
            let mut bytes = Vec::new();
            write(&mut bytes, Kind::Hello, Flags::NONE, seq, &Hello { cookie, ..Hello::new() });
            lasting.client().on_datagram(&bytes, desk.now_ms, desk);
        }
        assert_eq!(lasting.client().state(), CallerState::Open);
    }

    #[test]
    fn one_that_is_closed_before_it_is_looked_at_has_all_its_tries_again() {
        let mut desk = Desk::default();
        let mut lasting = Lasting::new(Hello::new(), Backoff::default(), 1, 5 << 32, 0, &mut desk);
        for round in 1..4 {
            greet(&mut lasting, &mut desk);
            let first = 0;
            let mut bytes = Vec::new();
            write(&mut bytes, Kind::Error, Flags::NONE, first, &Error { code: 9, text: String::new() });
            lasting.client().on_datagram(&bytes, desk.now_ms, &mut desk);
            assert_eq!(desk.closed.len(), round);
            let said = desk.sent.len();
            while desk.sent.len() == said {
                let due_ms = lasting.due_ms().expect("it comes back");
                run(&mut lasting, &mut desk, due_ms);
            }
        }
    }

    #[test]
    fn an_open_conversation_gives_it_all_its_tries_again_and_leaving_ends_it() {
        let mut desk = Desk::default();
        let mut lasting = Lasting::new(Hello::new(), Backoff::default(), 1, 5 << 32, 0, &mut desk);
        for round in 0..3 {
            greet(&mut lasting, &mut desk);
            let until = desk.now_ms + 60_000;
            // Nothing comes any more: it is closed after 15 s, and asks again.
            while desk.closed.len() == round || lasting.client().state() == CallerState::Closed {
                let due = lasting.due_ms().expect("it goes on");
                assert!(due < until, "round {round}");
                run(&mut lasting, &mut desk, due);
            }
        }
        let now_ms = desk.now_ms;
        lasting.leave(now_ms, &mut desk);
        run(&mut lasting, &mut desk, u64::MAX);
        assert_eq!(desk.closed, [Closed::Silent; 4]);
    }
}
