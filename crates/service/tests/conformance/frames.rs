//! Frames: greeted, echoed whole with their sums, refused with a reason, watched, and let go.

use crate::server::{Engine, PATIENCE, Server, connect, tcp};
use crate::site_rig::noise;
use bytes::Bytes;
use proto::frame::{
    Error, Flags, Goaway, HEADER_BYTES, Header, Hello, Kind, Refusal, Rules, read, sum, whole, write,
};
use service::any::{Any, Config};
use service::frame::{self, client};
use shard::plan::Plan;
use shard::{End, Event, Io, Next, Origin, Service};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

on_every_engine! {
    frames_come_back_whole_with_sums_and_acks_however_long_they_are
    many_small_frames_at_once_come_back_in_their_order
    what_is_no_frame_is_told_why_and_closed
    a_quiet_client_is_asked_and_one_that_falls_silent_is_reset
    a_drain_says_goaway_and_waits_for_the_answer
    a_client_on_a_seat_asks_is_answered_and_leaves
}

on_every_ring! {
    frames_come_back_whole_with_sums_and_acks_however_long_they_are
    many_small_frames_at_once_come_back_in_their_order
}

fn serve(engine: Engine) -> Server {
    let config = Config::new(vec![service::any::Kind::Frame(frame::Config::default())]);
    Server::of(engine, Plan { listeners: vec![tcp()], ..Plan::default() }, move |_, _| {
        Any::new(config.clone())
    })
}

/// A client of a frame listener.
struct Client {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Client {
    fn greeted(server: &Server, hello: &Hello) -> Client {
        let mut client = Client { stream: connect(server.addresses()[0]), got: Vec::new() };
        let mut bytes = Vec::new();
        write(&mut bytes, Kind::Hello, Flags::NONE, 1, hello);
        client.send(&bytes);
        let (header, payload) = client.next().expect("a greeting");
        assert_eq!((header.kind, header.seq), (Kind::Hello, 1));
        assert!(read::<Hello>(&payload).expect("a HELLO").settled().is_ok());
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// The next frame, or none at the end of the stream.
    fn next(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            let frame = whole(&self.got, &Rules::STREAM).expect("the server sends frames");
            if let Some((header, payload)) = frame.map(|(header, payload)| (header, payload.to_vec())) {
                self.got.drain(..header.frame_bytes());
                return Some((header, payload));
            }
            let mut piece = vec![0; 64 << 10];
            match self.stream.read(&mut piece).expect("the server answers") {
                0 => return None,
                n => self.got.extend(&piece[..n]),
            }
        }
    }

    fn leave(mut self) {
        self.send(&Header::new(Kind::Goaway, 0, 0).to_bytes());
        assert_eq!(self.next(), None);
    }
}

fn data(seq: u32, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let header = Header::new(Kind::Data, payload.len() as u32, seq).with(flags);
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(payload);
    if flags.has(Flags::CRC) {
        bytes.extend(sum(&header, payload));
    }
    bytes
}

fn frames_come_back_whole_with_sums_and_acks_however_long_they_are(engine: Engine) {
    let server = serve(engine);
    let mut client = Client::greeted(&server, &Hello::new());
    for (seq, bytes) in (1..).zip([0, 1, 64, 4 << 10, 70_000, 1 << 20]) {
        let payload = noise(seq.into(), bytes);
        for flags in [Flags::NONE, Flags::CRC, Flags::ACK_WANTED, Flags::CRC.with(Flags::ACK_WANTED)] {
            let frame = data(seq, flags, &payload);
            let mut writer = client.stream.try_clone().unwrap();
            let (header, back) = std::thread::scope(|scope| {
                scope.spawn(|| writer.write_all(&frame).unwrap());
                client.next().expect("an echo")
            });
            assert_eq!((header.seq, header.flags), (seq, flags.without(Flags::ACK_WANTED)), "{bytes} bytes");
            assert!(back == payload, "{bytes} bytes");
            if flags.has(Flags::ACK_WANTED) {
                assert_eq!(client.next(), Some((Header::new(Kind::Ack, 0, seq), Vec::new())));
            }
        }
    }
    client.leave();
    let counts = server.end();
    assert_eq!((counts.requests, counts.frames_in), (6 * 4, 2 + 6 * 4));
}

fn many_small_frames_at_once_come_back_in_their_order(engine: Engine) {
    let server = serve(engine);
    let mut client = Client::greeted(&server, &Hello::new());
    let all: Vec<u8> = (0..2_000_u32)
        .flat_map(|seq| data(seq, Flags(seq as u8 & 1), &noise(7, seq as usize % 100)))
        .collect();
    let mut writer = client.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&all).unwrap());
        for seq in 0..2_000 {
            let (header, payload) = client.next().expect("an echo");
            assert_eq!((header.seq, payload), (seq, noise(7, seq as usize % 100)));
        }
    });
    client.leave();
    server.end();
}

fn what_is_no_frame_is_told_why_and_closed(engine: Engine) {
    let server = serve(engine);
    let cases: [(&[u8], Refusal); 3] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Refusal::Magic),
        (&Header::new(Kind::Data, 2 << 20, 9).to_bytes(), Refusal::TooLong),
        (&Header::new(Kind::Hello, 0, 9).to_bytes(), Refusal::HelloRepeated),
    ];
    for (sent, why) in cases {
        let mut client = Client::greeted(&server, &Hello::new());
        client.send(sent);
        let (header, payload) = client.next().expect("an ERROR");
        assert_eq!(header.kind, Kind::Error);
        assert_eq!(read::<Error>(&payload).expect("an ERROR").code, why.number());
        assert_eq!(client.next(), None);
    }
    assert_eq!(server.end().refused, 3);
}

/// Waits for what the server does in its own time; how long that takes is not looked at.
fn a_quiet_client_is_asked_and_one_that_falls_silent_is_reset(engine: Engine) {
    let server = serve(engine);
    let mut client = Client::greeted(&server, &Hello { heartbeat_ms: 100, misses: 2, ..Hello::new() });
    for _ in 0..5 {
        let (ping, _) = client.next().expect("a PING");
        assert_eq!(ping.kind, Kind::Ping);
        client.send(&Header::new(Kind::Pong, 0, ping.seq).to_bytes());
    }
    let mut rest = Vec::new();
    let end = client.stream.read_to_end(&mut rest).expect_err("it is reset");
    assert_eq!((end.kind(), rest.len() % HEADER_BYTES), (ErrorKind::ConnectionReset, 0));
    let counts = server.end();
    assert_eq!((counts.peers_silent, counts.closed), (1, 1));
    assert!(counts.heartbeats_sent >= 6);
}

fn a_drain_says_goaway_and_waits_for_the_answer(engine: Engine) {
    let server = serve(engine);
    let mut client = Client::greeted(&server, &Hello::new());
    server.control().drain();
    let (header, payload) = client.next().expect("a GOAWAY");
    assert_eq!((header.kind, read::<Goaway>(&payload).is_ok()), (Kind::Goaway, true));
    client.send(&data(1, Flags::NONE, b"one more"));
    assert_eq!(client.next().expect("an echo").1, b"one more");
    client.leave();
    assert_eq!(server.end().aborted, 0);
}

/// A seat with one client and nothing else: it asks, one request after the other, and leaves.
struct Asker {
    client: client::Client,
    left: u32,
    due: Vec<u8>,
    end: Sender<String>,
}

impl Asker {
    fn ask(&mut self, io: &mut Io<'_, Asker>) {
        if self.left == 0 {
            return self.client.leave(io, &mut |_| {});
        }
        self.left -= 1;
        self.due = noise(self.left.into(), 100_000);
        let payload = Bytes::copy_from_slice(&self.due);
        self.client.ask(Kind::Data, payload, PATIENCE, io).expect("there is room");
    }
}

impl Service for Asker {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = service::any::INPUT_MAX;

    fn open(&mut self, _: Origin, io: &mut Io<'_, Asker>) {
        self.client.start(Duration::ZERO, io);
    }

    fn on(&mut self, (): &mut (), event: Event<'_, Asker>, io: &mut Io<'_, Asker>) -> Next {
        if let Event::Drain(_) = event {
            return Next::Close;
        }
        if !self.client.concerns(&event) {
            return Next::Stay;
        }
        let (mut next, mut wrong) = (false, None);
        let Asker { client, due, end, .. } = self;
        client.on(event, io, &mut |told| match told {
            client::Told::Up(_) => next = true,
            client::Told::Answer(_, piece, left) => {
                if !due.starts_with(piece) {
                    wrong = Some("other bytes".to_string());
                }
                due.drain(..piece.len());
                next = left == 0;
            }
            told @ (client::Told::Down(..) | client::Told::Failed(..)) => wrong = Some(format!("{told:?}")),
        });
        if let Some(told) = wrong {
            // Who is not there any more has failed before.
            drop(end.send(told));
        } else if next {
            self.ask(io);
        }
        Next::Stay
    }

    fn end(&mut self, (): (), _: End) {}
}

fn a_client_on_a_seat_asks_is_answered_and_leaves(engine: Engine) {
    let server = serve(engine);
    let config = Arc::new(client::Config { crc: true, ..client::Config::new(server.addresses()[0]) });
    let (end, told) = channel();
    let make = move |_, _: &_| Asker {
        client: client::Client::new(config.clone()),
        left: 20,
        due: Vec::new(),
        end: end.clone(),
    };
    let asker = Server::of(engine, Plan { listeners: Vec::new(), ..Plan::default() }, make);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(format!("{:?}", client::Told::Down(client::Why::Left, None))));
    asker.end_after_connecting(1);
    assert_eq!(server.end().requests, 20);
}
