//! A client over datagrams. It has no socket and no clock: what it wants to send, and what it has to tell, goes to its [`Host`].
//!
//! Each frame that [`Client::send`] took ends in one way: [`News::Answer`], [`News::GivenUp`], [`News::NoAnswer`], or with
//! [`News::Closed`]. An answer comes once.

use super::link::{Link, Moment};
use super::press::Press;
use bytes::Bytes;
use proto::frame::udp::{
    COOKIE_BYTES, Caller, CallerSays, CallerState, Came, RTO_FIRST_MS, RTO_MAX_MS, Taken,
};
use proto::frame::{
    Ack, Agreed, Error, Flags, Header, Heard, Hello, Kind, Offer, Ping, Refusal, Rules, datagram, read,
};

/// Where frames go, and who is told.
pub trait Host {
    /// One datagram to the server. It may be lost.
    fn send(&mut self, frame: Bytes);
    /// Something happened.
    fn news(&mut self, news: News<'_>);
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// The server has answered HELLO.
    Opened(Agreed),
    /// A frame came, with its payload.
    Answer(Header, &'a [u8]),
    /// This frame was sent as often as it may be, and not acknowledged. Whether it came is not known.
    GivenUp(u32),
    /// The answer to this frame was given up by the server, or will never be because the frame was given up.
    NoAnswer(u32),
    /// The server leaves: send nothing new.
    Leaving,
    /// It is over. What was not answered by now will not be.
    Closed(Closed),
}

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both sides said so.
    Left,
    /// Nothing was heard for the agreed number of heartbeats, or of HELLO.
    Silent,
    /// The server said ERROR with this code.
    Refused(u32),
}

/// There is no room in the window, or the conversation is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// One conversation with one server.
#[derive(Debug)]
pub struct Client {
    caller: Caller,
    hello: Hello,
    /// The number of the HELLO.
    seq: u32,
    /// The next number of a frame that wants no ACK.
    loose: u32,
    tries: u8,
    /// Of HELLO, and of GOAWAY in the end.
    due_ms: u64,
    link: Option<Link>,
    press: Press,
    retransmitted: u64,
    payload_bytes_max: u32,
}

impl Client {
    /// A client that says HELLO at once. `random` chooses its first number: who cannot see its datagrams must not guess it.
    pub fn new(hello: Hello, random: u64, now_ms: u64, host: &mut impl Host) -> Client {
        let mut client = Client {
            caller: Caller::new(),
            hello: Hello { cookie: vec![0; COOKIE_BYTES], ..hello },
            seq: (random >> 32) as u32,
            loose: 0,
            tries: 0,
            due_ms: 0,
            link: None,
            press: Press::default(),
            retransmitted: 0,
            payload_bytes_max: 0,
        };
        client.say_hello(now_ms, host);
        client
    }

    /// Where it is.
    pub fn state(&self) -> CallerState {
        self.caller.state()
    }

    /// Frames that are not acknowledged.
    pub fn flying(&self) -> u32 {
        self.link.as_ref().map_or(0, |link| link.sender.flying())
    }

    /// Frames that were sent again so far.
    pub fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    /// Sends a frame and gives its number. With [`Flags::ACK_WANTED`] it is sent again until it is acknowledged, with
    /// [`Flags::ORDERED`] it is delivered in its order; without both it may be lost. Errors: [`Full`].
    pub fn send(
        &mut self,
        (kind, flags): (Kind, Flags),
        payload: &[u8],
        now_ms: u64,
        host: &mut impl Host,
    ) -> Result<u32, Full> {
        let Some(link) = self.link.as_mut().filter(|_| self.caller.state() == CallerState::Open) else {
            return Err(Full);
        };
        if payload.len() > self.payload_bytes_max as usize {
            return Err(Full);
        }
        if !flags.has(Flags::ACK_WANTED) {
            let header =
                Header::new(kind, payload.len() as u32, self.loose).with(flags.without(Flags::ORDERED));
            self.loose = self.loose.wrapping_add(1);
            host.send(self.press.frame(&header, payload));
            return Ok(header.seq);
        }
        // Not so far ahead of the answers that the server has no room for them in its window, which rises with our ACKs.
        let owed = |seq: u32| seq.wrapping_sub(link.receiver.floor()) < OWED_MAX;
        let header = Header::new(kind, payload.len() as u32, 0).with(flags);
        let frame_bytes = header.frame_bytes();
        let seq = link
            .sender
            .next()
            .filter(|seq| owed(*seq) && link.need(*seq, frame_bytes, false).is_some())
            .ok_or(Full)?;
        let frame = self.press.keep(&Header { seq, ..header }, payload);
        link.send(seq, frame, now_ms, &mut |frame| host.send(frame));
        Ok(seq)
    }

    /// Says GOAWAY. What was not answered is not waited for.
    pub fn leave(&mut self, now_ms: u64, host: &mut impl Host) {
        if matches!(self.caller.state(), CallerState::Open | CallerState::Leaving) {
            self.caller.part();
            (self.tries, self.due_ms) = (0, now_ms);
            self.say_goaway(now_ms, host);
        }
    }

    /// Handles one datagram of the server. What is no good is dropped.
    pub fn on_datagram(&mut self, bytes: &[u8], now_ms: u64, host: &mut impl Host) {
        if let Ok((header, payload)) = datagram(bytes, &Rules::DATAGRAM) {
            // A control frame that is not its message is nothing that the server said.
            let _ = self.frame(&header, payload, now_ms, host);
        }
    }

    fn frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        now_ms: u64,
        host: &mut impl Host,
    ) -> Result<(), Refusal> {
        let mut hello = Hello::default();
        let mut code = 0;
        let came = match header.kind {
            Kind::Hello if header.seq != self.seq => return Ok(()),
            Kind::Hello => {
                hello = read(payload)?;
                if !matches!(hello.cookie.len(), 0 | COOKIE_BYTES) {
                    return Ok(());
                }
                if hello.cookie.is_empty() { Came::Bare } else { Came::Cookie }
            }
            Kind::Error => {
                code = read::<Error>(payload)?.code;
                if !self.is_near(header.seq) {
                    return Ok(());
                }
                if code == Refusal::Cookie.number() { Came::BadCookie } else { Came::Other(Kind::Error) }
            }
            Kind::Goaway if !self.is_near(header.seq) => return Ok(()),
            kind => Came::Other(kind),
        };
        let parting = self.caller.state() == CallerState::Parting;
        // A server that cannot be agreed with is told of before it changes anything.
        let agreed =
            if matches!(came, Came::Bare) { Some(hello.agree_datagram(&Offer::default())?) } else { None };
        match self.caller.on(came) {
            CallerSays::Nothing => {}
            // A server that refuses each proof would have it asked for ever.
            CallerSays::Ask | CallerSays::Prove if self.tries >= HELLOS_MAX => {
                self.close(Closed::Silent, host)
            }
            CallerSays::Ask => {
                self.hello.cookie = vec![0; COOKIE_BYTES];
                self.say_hello(now_ms, host);
            }
            CallerSays::Prove => {
                self.hello.cookie = hello.cookie;
                self.say_hello(now_ms, host);
            }
            CallerSays::Settle => {
                let Some(agreed) = agreed else { return Ok(()) };
                self.payload_bytes_max = agreed.payload_bytes_max;
                self.loose = hello.first;
                self.link = Some(Link::new(hello.first, agreed.pace, now_ms, u64::from(self.seq) << 32));
                host.news(News::Opened(agreed));
            }
            CallerSays::Pong => {
                let _: Ping = read(payload)?;
                self.pong(header.seq, payload, now_ms, host);
            }
            CallerSays::Heard if header.kind == Kind::Ack => {
                let ack = read::<Ack>(payload)?;
                self.heard(now_ms, |link, press| link.acknowledged(header.seq, ack, now_ms, press).is_some());
            }
            CallerSays::Heard => {
                self.heard(now_ms, |link, _| link.sender.confirmed(header.seq));
            }
            CallerSays::Take => self.take(header, payload, now_ms, host),
            CallerSays::Leave => host.news(News::Leaving),
            CallerSays::Close => {
                // A server that has forgotten us when we leave has heard that we do.
                let left = header.kind == Kind::Goaway || parting;
                self.close(if left { Closed::Left } else { Closed::Refused(code) }, host);
            }
        }
        Ok(())
    }

    /// Whether a server has answered.
    pub(super) fn was_greeted(&self) -> bool {
        self.link.is_some()
    }

    /// Does what is due. The moment is late by how much later than [`due_ms`](Self::due_ms) this comes.
    pub fn on_time(&mut self, moment: Moment, host: &mut impl Host) {
        let now_ms = moment.now_ms;
        match self.caller.state() {
            CallerState::Closed => {}
            _ if self.due_ms > now_ms && self.link.is_none() => {}
            CallerState::Asking | CallerState::Proving if self.tries >= HELLOS_MAX => {
                self.close(Closed::Silent, host)
            }
            CallerState::Asking | CallerState::Proving => self.say_hello(now_ms, host),
            CallerState::Parting if self.due_ms > now_ms => {}
            CallerState::Parting if self.tries >= GOAWAYS_MAX => self.close(Closed::Left, host),
            CallerState::Parting => self.say_goaway(now_ms, host),
            CallerState::Open | CallerState::Leaving => {
                let Client { link, press, .. } = self;
                let link = link.as_mut().expect("it is open");
                let mut lost = Vec::new();
                let looked = link.look(moment, press, &mut |frame| host.send(frame), |seq| lost.push(seq));
                self.retransmitted += looked.retransmitted;
                lost.into_iter().for_each(|seq| host.news(News::GivenUp(seq)));
                if looked.dead {
                    self.close(Closed::Silent, host);
                }
            }
        }
    }

    /// When [`on_time`](Self::on_time) is to be called next; `None` when it is over.
    pub fn due_ms(&self) -> Option<u64> {
        match (self.caller.state(), &self.link) {
            (CallerState::Closed, _) => None,
            (CallerState::Open | CallerState::Leaving, Some(link)) => Some(link.due_ms()),
            _ => Some(self.due_ms),
        }
    }

    fn say_hello(&mut self, now_ms: u64, host: &mut impl Host) {
        self.wait(now_ms);
        host.send(self.press.message(Kind::Hello, self.seq, &self.hello));
    }

    fn say_goaway(&mut self, now_ms: u64, host: &mut impl Host) {
        self.wait(now_ms);
        let floor = self.link.as_ref().map_or(self.seq, |link| link.sender.floor());
        host.send(self.press.frame(&Header::new(Kind::Goaway, 0, floor), &[]));
    }

    fn wait(&mut self, now_ms: u64) {
        self.due_ms = now_ms + u64::from((RTO_FIRST_MS << self.tries.min(8)).min(RTO_MAX_MS));
        self.tries = self.tries.saturating_add(1);
    }

    fn pong(&mut self, seq: u32, payload: &[u8], now_ms: u64, host: &mut impl Host) {
        let mut known = false;
        self.heard(now_ms, |link, _| {
            known = link.receiver.settle(seq, |lost| host.news(News::NoAnswer(lost)));
            known
        });
        if !known {
            return;
        }
        host.send(self.press.frame(&Header::new(Kind::Pong, payload.len() as u32, seq), payload));
        self.release(host);
    }

    fn take(&mut self, header: &Header, payload: &[u8], now_ms: u64, host: &mut impl Host) {
        let link = self.link.as_mut().expect("it is open");
        if !header.flags.has(Flags::ACK_WANTED) {
            if link.receiver.take_loose(header.seq) {
                link.heard = Heard::at(now_ms);
                host.news(News::Answer(*header, payload));
            }
            return;
        }
        let taken = match link.receiver.look(header.seq, header.flags.has(Flags::ORDERED)) {
            Taken::Held if !link.may_hold(header.frame_bytes()) => Taken::NoRoom,
            _ => link.take(header, payload, &mut self.press),
        };
        if matches!(taken, Taken::Beyond | Taken::NoRoom) {
            return;
        }
        link.heard = Heard::at(now_ms);
        host.send(self.press.ack(header.seq, link.receiver.ack(header.seq)));
        if taken == Taken::Now {
            host.news(News::Answer(*header, payload));
            self.release(host);
        }
    }

    fn release(&mut self, host: &mut impl Host) {
        while let Some((_, frame)) = self.link.as_mut().and_then(Link::pop) {
            if let Ok((header, payload)) = datagram(&frame, &Rules::DATAGRAM) {
                host.news(News::Answer(header, payload));
            }
            self.press.give_back(frame);
        }
    }

    fn heard(&mut self, now_ms: u64, act: impl FnOnce(&mut Link, &mut Press) -> bool) {
        if let Some(link) = &mut self.link
            && act(link, &mut self.press)
        {
            link.heard = Heard::at(now_ms);
        }
    }

    fn is_near(&self, seq: u32) -> bool {
        let near = |of: u32| (seq.wrapping_sub(of) as i32).unsigned_abs() <= proto::frame::udp::WINDOW;
        seq == self.seq || self.link.as_ref().is_some_and(|link| near(link.sender.floor()))
    }

    fn close(&mut self, why: Closed, host: &mut impl Host) {
        self.caller.close();
        for (seq, _) in self.link.iter_mut().flat_map(|link| link.sender.drain()) {
            host.news(News::GivenUp(seq));
        }
        host.news(News::Closed(why));
    }
}

/// Numbers that a client may be ahead of the oldest answer that did not come.
const OWED_MAX: u32 = proto::frame::udp::WINDOW / 4 * 3;
/// How often HELLO is said in vain: 25 s.
const HELLOS_MAX: u8 = 10;
/// How often GOAWAY is said: who does not hear it finds out by its silence.
const GOAWAYS_MAX: u8 = 4;
