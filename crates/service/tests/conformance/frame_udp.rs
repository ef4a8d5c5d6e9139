//! Frames over datagrams: a stranger costs nothing and gets no more than he sent, a client's frames come back once whatever becomes of
//! datagrams, and a drain is told.

use crate::server::{Engine, PATIENCE, Server, udp, until};
use bytes::Bytes;
use proto::frame::udp::COOKIE_BYTES;
use proto::frame::{Error, Flags, Header, Hello, Kind, Rules, datagram, read, write};
use service::any::{Any, Config, Kind as Served};
use service::frame::Offer;
use service::frame::udp::{
    self as frames, CallerState, Client, Closed, Host, Jar, Moment, News, Odds, Weather,
};
use shard::plan::Plan;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

on_every_engine! {
    a_stranger_gets_no_more_than_he_sent_and_nothing_is_kept_of_him
    every_frame_comes_back_once_and_in_order_through_bad_weather
    who_comes_at_the_bound_is_told_that_the_server_is_busy
    a_drain_is_told_to_who_is_there_and_waits_for_him
}

fn serve(engine: Engine, peers_max: usize) -> Server {
    let plan = Plan { listeners: vec![udp()], ..Plan::default() };
    let config = Config::new(vec![Served::FrameUdp(frames::Config {
        offer: Offer::default(),
        jar: Jar::new([9; 16]),
        peers_max,
    })]);
    Server::of(engine, plan, move |_, _| Any::new(config.clone()))
}

/// A client with a socket, through weather of its own.
struct Caller {
    client: Client,
    socket: UdpSocket,
    desk: Desk,
    out: Weather,
    back: Weather,
    began: Instant,
}

#[derive(Default)]
struct Desk {
    out: Vec<Bytes>,
    answers: Vec<(u32, Vec<u8>)>,
    lost: Vec<u32>,
    leaving: bool,
    closed: Option<Closed>,
}

impl Host for Desk {
    fn send(&mut self, frame: Bytes) {
        self.out.push(frame);
    }

    fn news(&mut self, news: News<'_>) {
        match news {
            News::Opened(_) => {}
            News::Answer(header, payload) => self.answers.push((header.seq, payload.to_vec())),
            News::GivenUp(seq) | News::NoAnswer(seq) => self.lost.push(seq),
            News::Leaving => self.leaving = true,
            News::Closed(why) => self.closed = Some(why),
        }
    }
}

impl Caller {
    fn new(server: &Server, odds: Odds) -> Caller {
        let mut desk = Desk::default();
        let client = Client::new(Hello::new(), 7 << 32, 0, &mut desk);
        let [out, back] = [1, 2].map(|seed| Weather::new(odds, seed));
        Caller { client, socket: socket(server), desk, out, back, began: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Sends and hears until `done`.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Client, &mut Desk, u64) -> bool) {
        let mut bytes = vec![0; 65_536];
        loop {
            let now_ms = self.now_ms();
            let is_done = done(&mut self.client, &mut self.desk, now_ms);
            for frame in self.desk.out.drain(..) {
                self.out.pass(frame, |frame| _ = self.socket.send(&frame));
            }
            if is_done {
                return;
            }
            assert!(self.began.elapsed() < PATIENCE, "never happened: {what}");
            let now_ms = self.now_ms();
            let wait_ms = self.client.due_ms().unwrap_or(now_ms).saturating_sub(now_ms).clamp(1, 50);
            self.socket.set_read_timeout(Some(Duration::from_millis(wait_ms))).unwrap();
            if let Ok(n) = self.socket.recv(&mut bytes) {
                let now_ms = self.now_ms();
                let Caller { client, desk, back, .. } = self;
                back.pass(Bytes::copy_from_slice(&bytes[..n]), |bytes| {
                    client.on_datagram(&bytes, now_ms, desk)
                });
            }
            let moment = Moment { now_ms: self.now_ms(), late_ms: 0, behind: false, random: 1 << 60 };
            self.client.on_time(moment, &mut self.desk);
        }
    }

    fn open(&mut self) {
        self.until("it is open", |client, _, _| client.state() == CallerState::Open);
    }

    fn leave(&mut self) {
        self.until("it is closed", |client, desk, now_ms| {
            client.leave(now_ms, desk);
            desk.closed.is_some()
        });
        assert_eq!(self.desk.closed, Some(Closed::Left));
    }
}

fn socket(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.connect(server.addresses()[0]).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn control(kind: Kind, message: &impl proto::frame::Message) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, kind, Flags::NONE, 77, message);
    out
}

fn a_stranger_gets_no_more_than_he_sent_and_nothing_is_kept_of_him(engine: Engine) {
    let server = serve(engine, 10);
    let stranger = socket(&server);
    let ask = |cookie: Vec<u8>| control(Kind::Hello, &Hello { cookie, ..Hello::new() });
    let ping = control(Kind::Ping, &proto::frame::Ping { stamp: 1 });
    let data = [&Header::new(Kind::Data, 5, 77).to_bytes()[..], b"hello"].concat();
    let mut bytes = [0; 2_000];
    let cookie = vec![0; COOKIE_BYTES];
    for (said, code) in
        [(ask(cookie.clone()), 0), (ask(vec![1; 16]), 14), (ask(vec![]), 14), (ping, 9), (data, 9)]
    {
        stranger.send(&said).unwrap();
        let n = stranger.recv(&mut bytes).unwrap();
        assert!(n <= said.len(), "{n} bytes for {}", said.len());
        let (header, payload) = datagram(&bytes[..n], &Rules::DATAGRAM).unwrap();
        assert_eq!(header.seq, 77);
        match header.kind {
            Kind::Hello => {
                assert_eq!((code, read::<Hello>(payload).unwrap().cookie.len()), (0, COOKIE_BYTES))
            }
            Kind::Error => assert_eq!(read::<Error>(payload).unwrap().code, code),
            other => panic!("{other:?}"),
        }
    }
    // Nothing at all for what is no frame, for what is shorter than its answer, and for what is never answered.
    let nothing = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![],
        Header::new(Kind::Ping, 0, 77).to_bytes().to_vec(),
        Header::new(Kind::Goaway, 0, 77).to_bytes().to_vec(),
        Header::new(Kind::Ack, 0, 77).to_bytes().to_vec(),
        control(Kind::Error, &Error { code: 9, text: "x".repeat(500) }),
    ];
    nothing.iter().for_each(|said| _ = stranger.send(said).unwrap());
    let last = ask(cookie);
    stranger.send(&last).unwrap();
    let n = stranger.recv(&mut bytes).unwrap();
    assert_eq!(
        datagram(&bytes[..n], &Rules::DATAGRAM).unwrap().0.kind,
        Kind::Hello,
        "the next answer is to the last"
    );
    let counts = server.end();
    assert_eq!((counts.frame_peers, counts.cookies_given, counts.frame_refused_bad_cookie), (0, 2, 2));
    assert_eq!((counts.frame_refused_hello_expected, counts.frame_refused_bad_magic), (3, 1));
    assert_eq!(counts.frame_refused_length_mismatch, 1);
}

fn every_frame_comes_back_once_and_in_order_through_bad_weather(engine: Engine) {
    let server = serve(engine, 10);
    let mut caller = Caller::new(&server, Odds { loss: 0.1, duplicate: 0.1, reorder: 0.1 });
    caller.open();
    let all = 400;
    let mut sent = Vec::new();
    caller.until("all came back", |client, desk, now_ms| {
        while sent.len() < all {
            let n = sent.len();
            let payload: Vec<u8> = (0..n * 7 % 1_300).map(|at| (at + n) as u8).collect();
            let crc = if n % 2 == 0 { Flags::CRC } else { Flags::NONE };
            let flags = Flags::ACK_WANTED.with(Flags::ORDERED).with(crc);
            let Ok(seq) = client.send((Kind::Data, flags), &payload, now_ms, desk) else { break };
            sent.push((seq, payload));
        }
        sent.len() == all && desk.answers.len() + desk.lost.len() >= all && client.flying() == 0
    });
    assert!(caller.desk.lost.is_empty(), "one in 600,000 fails eight times: {:?}", caller.desk.lost);
    assert!(caller.desk.answers == sent, "in another order, or others");
    caller.leave();
    until("it is forgotten", || server.counts().frame_peers == 0);
    let counts = server.end();
    assert_eq!(counts.requests, all as u64);
    assert!(counts.frames_retransmitted > 0 && counts.frames_duplicate > 0);
}

fn who_comes_at_the_bound_is_told_that_the_server_is_busy(engine: Engine) {
    let server = serve(engine, 1);
    let [mut first, mut second] = [(); 2].map(|()| Caller::new(&server, Odds::default()));
    first.open();
    second.until("it is refused", |_, desk, _| desk.closed.is_some());
    assert_eq!(second.desk.closed, Some(Closed::Refused(16)));
    // A place that comes free is given again.
    first.leave();
    let mut third = Caller::new(&server, Odds::default());
    third.open();
    third.leave();
    assert_eq!(server.end().frame_refused_busy, 1);
}

fn a_drain_is_told_to_who_is_there_and_waits_for_him(engine: Engine) {
    let server = serve(engine, 10);
    let mut caller = Caller::new(&server, Odds::default());
    caller.open();
    server.control().drain();
    caller.until("it is told", |_, desk, _| desk.leaving);
    caller.leave();
    assert_eq!(server.end().frame_peers, 0);
}
