//! A server of frames in the simulated world, true or not as it is told.

use proto::frame::{Error, Flags, Goaway, HEADER_BYTES, Header, Hello, Kind, Offer, Rules, whole, write};
use shard::engine::sim::{Line, Peer};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What a server does instead of what it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trick {
    /// Nothing: it is true.
    #[default]
    None,
    /// It accepts, and never says a word.
    Speechless,
    /// It says this instead of its HELLO, and closes.
    Instead(&'static [u8]),
    /// It says ERROR with this code instead of its HELLO.
    Busy(u32),
    /// It says GOAWAY instead of its HELLO.
    Gone,
    /// It answers HELLO and then nothing.
    Silent,
    /// It answers PING by a PONG with another number, or another payload.
    Pong { seq: u32, flip: u8 },
    /// It says HELLO a second time, in place of PONG.
    Greets,
    /// What comes back has another number, or another payload, or comes twice, or does not come, or in a frame that is none.
    Data { seq: u32, flip: u8, times: usize, spoil: usize },
    /// It says ERROR, or GOAWAY, in place of the first PONG or DATA.
    Refuses(u32),
    /// See `Refuses`.
    Leaves,
}

/// What servers of a run have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) hellos: Vec<Hello>,
    pub(crate) pings: u64,
    /// PONGs that answered a PING of the server as they should.
    pub(crate) pongs: u64,
    pub(crate) data: u64,
    /// Connections that were ended because nothing came.
    pub(crate) buried: u64,
}

#[derive(Clone, Default)]
pub(crate) struct Frames {
    trick: Trick,
    /// How often it asks, and how long its clients may be silent.
    asks: Option<Duration>,
    patience_ns: u64,
    heard_ns: u64,
    asked: u32,
    waiting: Vec<u8>,
    seen: Rc<RefCell<Seen>>,
}

impl Frames {
    pub(crate) fn new(trick: Trick) -> Frames {
        Frames { trick, ..Frames::default() }
    }

    /// Asks so often.
    pub(crate) fn asks(self, every: Duration) -> Frames {
        Frames { asks: Some(every), ..self }
    }

    /// Resets who is silent for so long; looked at each 100 ms.
    pub(crate) fn buries(self, after: Duration) -> Frames {
        Frames { patience_ns: after.as_nanos() as u64, ..self }
    }

    pub(crate) fn seen(&self) -> Rc<RefCell<Seen>> {
        self.seen.clone()
    }

    fn answer(&mut self, header: &Header, payload: &[u8], line: &mut Line<'_>) {
        let mut seen = self.seen.borrow_mut();
        match header.kind {
            Kind::Hello => {
                seen.hellos.push(hello(payload));
                greet(self.trick, header.seq, payload, line);
            }
            Kind::Ping | Kind::Data if self.trick == Trick::Silent => {}
            Kind::Ping | Kind::Data if matches!(self.trick, Trick::Refuses(_) | Trick::Leaves) => {
                refuse(self.trick, line);
            }
            Kind::Ping => {
                seen.pings += 1;
                pong(self.trick, header, payload, line);
            }
            Kind::Pong => seen.pongs += u64::from(header.seq == self.asked && *payload == STAMP),
            Kind::Data => {
                seen.data += 1;
                echo(self.trick, header, payload, line);
            }
            _ => {}
        }
    }
}

fn hello(payload: &[u8]) -> Hello {
    proto::frame::read(payload).expect("a client says a good HELLO")
}

fn send(line: &mut Line<'_>, kind: Kind, seq: u32, message: &impl proto::frame::Message) {
    let mut bytes = Vec::new();
    write(&mut bytes, kind, Flags::NONE, seq, message);
    line.send(bytes);
}

fn greet(trick: Trick, seq: u32, payload: &[u8], line: &mut Line<'_>) {
    match trick {
        Trick::Speechless => {}
        Trick::Instead(bytes) => {
            line.send(bytes);
            line.finish();
        }
        Trick::Busy(code) => send(line, Kind::Error, 0, &Error { code, text: "no".into() }),
        Trick::Gone => send(line, Kind::Goaway, 0, &Goaway::default()),
        _ => {
            let agreed = hello(payload).agree(&Offer::default()).expect("a good HELLO");
            send(line, Kind::Hello, seq, &Hello::answer(&agreed));
        }
    }
}

fn refuse(trick: Trick, line: &mut Line<'_>) {
    match trick {
        Trick::Refuses(code) => send(line, Kind::Error, 0, &Error { code, text: "no".into() }),
        _ => send(line, Kind::Goaway, 0, &Goaway { deadline_ms: 1000, text: "bye".into() }),
    }
}

fn pong(trick: Trick, header: &Header, payload: &[u8], line: &mut Line<'_>) {
    let (seq, flip) = match trick {
        Trick::Pong { seq, flip } => (seq, flip),
        Trick::Greets => return send(line, Kind::Hello, 0, &Hello::new()),
        _ => (0, 0),
    };
    let mut payload = payload.to_vec();
    payload[8] ^= flip;
    let back = Header::new(Kind::Pong, payload.len() as u32, header.seq.wrapping_add(seq));
    line.send([&back.to_bytes()[..], &payload].concat());
}

fn echo(trick: Trick, header: &Header, payload: &[u8], line: &mut Line<'_>) {
    let Trick::Data { seq, flip, times, spoil } = trick else {
        return line.send([&header.to_bytes()[..], payload].concat());
    };
    let mut back = Header { seq: header.seq.wrapping_add(seq), ..*header }.to_bytes().to_vec();
    back.extend(payload);
    *back.last_mut().expect("there is a header") ^= flip;
    if spoil < HEADER_BYTES {
        back[spoil] ^= 0x55;
    }
    line.send(back.repeat(times));
}

impl Peer for Frames {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        self.heard_ns = line.now_ns();
        if let Some(every) = self.asks {
            line.wait(every);
        } else if self.patience_ns > 0 {
            line.wait(LOOK);
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.heard_ns = line.now_ns();
        self.waiting.extend_from_slice(bytes);
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = &waiting[..];
        while let Some((header, payload)) = whole(rest, &Rules::STREAM).expect("a client's frames are good") {
            self.answer(&header, payload, line);
            rest = &rest[header.frame_bytes()..];
        }
        self.waiting = rest.to_vec();
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        if self.patience_ns > 0 && line.now_ns() - self.heard_ns >= self.patience_ns {
            self.seen.borrow_mut().buried += 1;
            return line.reset();
        }
        if let Some(every) = self.asks {
            self.asked += 1;
            let header = Header::new(Kind::Ping, STAMP.len() as u32, self.asked);
            line.send([&header.to_bytes()[..], &STAMP].concat());
            return line.wait(every);
        }
        line.wait(LOOK);
    }
}

const LOOK: Duration = Duration::from_millis(100);
/// A PING's payload: stamp 7.
const STAMP: [u8; 9] = [0x09, 7, 0, 0, 0, 0, 0, 0, 0];
