//! What the engine serves in these tests: small machines that show what was done to their bytes.

use crate::io::{Connect, Io};
use crate::service::{End, Event, Leg, LegError, Next, Origin, Service, Token};
use linux::Chunk;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What a service noted for its test.
pub(super) type Noted<T> = Rc<RefCell<Vec<T>>>;

/// Sends back what it receives, without a copy. Ends after the peer's end; in a drain it says its own end first.
pub(super) struct Echo;

impl Service for Echo {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, _origin: Origin, _io: &mut Io<'_, Self>) {}

    fn on(&mut self, (): &mut (), event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(leg, mut input) => {
                while let Some(chunk) = input.take(io.room(leg)) {
                    assert!(io.out(leg).push(chunk).is_ok(), "no more was taken than there is room for");
                }
            }
            Event::Datagram(leg, packet) => {
                assert!(io.send_to(leg, packet.peer, packet.local, packet.chunk()).is_ok());
            }
            Event::Eof(_) => return Next::Close,
            // The root session has no leg to end, and those that have one wait for its other end.
            Event::Drain(_) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, (): (), _why: End) {}
}

/// Keeps what it receives for a while, then drops it. Ends when told.
pub(super) struct Hoarder {
    pub(super) after: Duration,
    pub(super) heard: Noted<u8>,
}

impl Service for Hoarder {
    type Session = Vec<Chunk>;
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, _origin: Origin, _io: &mut Io<'_, Self>) -> Vec<Chunk> {
        Vec::new()
    }

    fn on(&mut self, hoard: &mut Vec<Chunk>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(_, mut input) => {
                if hoard.is_empty() {
                    io.timer(self.after);
                }
                self.heard.borrow_mut().extend(input.chunks().flatten());
                hoard.extend(std::iter::from_fn(|| input.take(usize::MAX)));
            }
            Event::Timer(_) => hoard.clear(),
            Event::Eof(_) | Event::Drain(_) | Event::Failed(..) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _hoard: Vec<Chunk>, _why: End) {}
}

/// Reads nothing of a new connection until its time has come, and hears no drain.
pub(super) struct Stubborn {
    pub(super) pause: Duration,
    pub(super) heard: Noted<u8>,
    pub(super) ends: Noted<End>,
}

impl Service for Stubborn {
    type Session = Option<Leg>;
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, origin: Origin, _io: &mut Io<'_, Self>) -> Option<Leg> {
        match origin {
            Origin::Accepted(leg, _) => Some(leg),
            Origin::Root => None,
        }
    }

    fn on(&mut self, leg: &mut Option<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(from, mut input) => {
                self.heard.borrow_mut().extend(input.chunks().flatten());
                input.skip(input.len());
                io.pause(from);
                io.timer(self.pause);
            }
            Event::Timer(_) => leg.iter().for_each(|leg| io.resume(*leg)),
            Event::Drain(_) if leg.is_none() => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _leg: Option<Leg>, why: End) {
        self.ends.borrow_mut().push(why);
    }
}

/// Carries each connection on to `to`, both ways, by pipes.
pub(super) struct Carrier {
    pub(super) to: SocketAddr,
    pub(super) failures: Noted<LegError>,
}

/// How long a carrier waits for its upstream.
pub(super) const CONNECT: Duration = Duration::from_millis(200);

pub(super) struct Carried {
    client: Option<Leg>,
    back: Option<Token>,
}

impl Service for Carrier {
    type Session = Carried;
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Carried {
        let Origin::Accepted(client, _) = origin else { return Carried { client: None, back: None } };
        let upstream = io.connect(&Connect { to: self.to, from: None, deadline: CONNECT });
        io.pause(client);
        assert!(upstream.is_ok(), "there is room for the upstream's leg");
        Carried { client: Some(client), back: None }
    }

    fn on(&mut self, carried: &mut Carried, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Opened(upstream) => {
                let client = carried.client.expect("only accepted sessions connect");
                io.pipe(client, upstream, u64::MAX);
                carried.back = Some(io.pipe(upstream, client, u64::MAX));
            }
            Event::Failed(_, why) => {
                self.failures.borrow_mut().push(why);
                return Next::Close;
            }
            Event::Eof(_) | Event::Drain(_) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _carried: Carried, _why: End) {}
}
