//! A service that wishes for anything at any time: what it asks for makes no sense, and each promise must hold all the same.

use shard::engine::sim::{Faults, Line, Peer, Run, Sim, listener, plan};
use shard::plan::{Plan, Transport};
use shard::random::Random;
use shard::{Address, Connect, End, Event, Input, Io, Leg, ListenerId, Next, Origin, Service, Token};
use std::net::SocketAddr;
use std::time::Duration;

/// Wishes at random.
struct Chaos {
    /// Sessions that were heard of, to post notes to.
    known: Vec<Address>,
}

#[derive(Default)]
struct Session {
    legs: Vec<Leg>,
    timers: Vec<Token>,
    draining: bool,
    root: bool,
}

const UPSTREAM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9)), 9);
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8)), 8);

impl Chaos {
    fn act(&mut self, session: &mut Session, io: &mut Io<'_, Self>) -> Next {
        for _ in 0..io.random() % 3 {
            let legs = session.legs.len() as u64;
            let some = |io: &mut Io<'_, Self>| match legs {
                0 => None,
                n => Some(session.legs[(io.random() % n) as usize]),
            };
            let (one, other) = (some(io), some(io));
            let ms = Duration::from_millis(io.random() % 50);
            match (io.random() % 20, one, other) {
                (0, Some(leg), _) => io.pause(leg),
                (1..=4, Some(leg), _) => io.resume(leg),
                (5, Some(leg), _) => io.finish(leg),
                (6, Some(leg), _) if io.random().is_multiple_of(4) => io.close(leg),
                (7, Some(leg), _) if io.random().is_multiple_of(4) => io.abort(leg),
                (8, Some(leg), _) => io.linger(leg),
                (9 | 10, Some(from), Some(to)) => {
                    let n = [0, 1, 700, 5000, u64::MAX][(io.random() % 5) as usize];
                    io.pipe(from, to, n);
                }
                (11..=13, Some(leg), _) => {
                    // An output of 64 bytes or more takes each of them; together they fill it.
                    let (n, times) = ((io.random() % 60) as usize, io.random() % 100);
                    let out = io.out(leg);
                    let _ = out.fixed(b"fixed") && (0..times).all(|_| out.copy(&[b'c'; 60][..n]));
                }
                (14, ..) if legs < 4 => {
                    let to = if io.random().is_multiple_of(4) { NOBODY } else { UPSTREAM };
                    if let Ok(leg) = io.connect(&Connect { to, from: None, deadline: ms }) {
                        session.legs.push(leg);
                    }
                }
                (15, ..) => session.timers.push(io.timer(ms)),
                (16, ..) => {
                    if let Some(timer) = session.timers.pop() {
                        io.cancel(timer);
                    }
                }
                (17, ..) => io.waker().wake(),
                (18, ..) if !self.known.is_empty() => {
                    let to = self.known[(io.random() % self.known.len() as u64) as usize];
                    let me = io.me();
                    let _ = io.post(to, me);
                }
                (19, ..) if session.root => drop(io.wake_at_ns(io.now_ns() + 1_000_000)),
                (19, ..) if io.random().is_multiple_of(8) => return Next::Close,
                _ => {}
            }
        }
        if session.draining && io.random().is_multiple_of(3) { Next::Close } else { Next::Stay }
    }

    fn read(&mut self, leg: Leg, mut input: Input<'_>, io: &mut Io<'_, Self>) {
        match io.random() % 8 {
            0 => {}
            1 => {
                let n = io.random() as usize % (input.len() + 1);
                input.contiguous(n);
                input.skip(n);
            }
            2 => input.skip(input.len()),
            _ => {
                let out = io.out(leg);
                while let Some(chunk) = input.take(out.room()) {
                    out.push(chunk).expect("there is room for it");
                }
            }
        }
    }
}

impl Service for Chaos {
    type Session = Session;
    type Note = Address;
    const INPUT_MAX: usize = 3000;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Session {
        if self.known.len() < 8 {
            self.known.push(io.me());
        }
        let mut session = Session { root: origin == Origin::Root, ..Session::default() };
        if let Origin::Accepted(leg, _) = origin {
            session.legs.push(leg);
        }
        let _ = self.act(&mut session, io);
        session
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(leg, input) => self.read(leg, input, io),
            Event::Failed(leg, _) => session.legs.retain(|other| *other != leg),
            Event::Timer(token) => session.timers.retain(|other| *other != token),
            Event::Note(from) if io.random().is_multiple_of(2) => drop(io.post(from, from)),
            Event::Bound(leg, _) => session.legs.push(leg),
            Event::Datagram(leg, packet) => drop(io.send_to(leg, packet.peer, packet.local, packet.chunk())),
            Event::Drain(_) => session.draining = true,
            _ => {}
        }
        self.act(session, io)
    }

    fn end(&mut self, _: Session, _: End) {}
}

/// Sends, reads, finishes, resets at random; wants nothing.
struct Noise {
    turns: u64,
}

impl Noise {
    fn act(&mut self, line: &mut Line<'_>) {
        if self.turns == 0 {
            return line.close();
        }
        self.turns -= 1;
        match line.random().below(10) {
            0 => line.finish(),
            1 => line.reset(),
            2 => line.read(false),
            3..=5 => {
                let n = line.random().below(6000) as usize;
                line.send(vec![b'n'; n]);
            }
            _ => line.read(true),
        }
        let after = line.random().below(20_000);
        line.wait(Duration::from_micros(after));
    }
}

impl Peer for Noise {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        self.act(line);
    }

    fn on_bytes(&mut self, _: &[u8], _: &mut Line<'_>) {}

    fn on_timer(&mut self, line: &mut Line<'_>) {
        self.act(line);
    }
}

pub(super) fn run(seed: u64) -> Run {
    let mut random = Random::new(seed);
    let seats = 1 + random.below(3) as u16;
    let idle = random.chance(0.3).then(|| Duration::from_millis(1 + random.below(50)));
    let (out_max, connections_max) = (64 << random.below(8), 1 + random.below(20) as usize);
    // By the seed and not by chance, which older seeds know without them.
    let turn_sends = if seed.is_multiple_of(3) { 1 + (seed % 4) as u32 } else { u32::MAX };
    let stamps = seed.is_multiple_of(2);
    let mut plan = Plan { out_max, idle, connections_max, turn_sends, stamps, ..plan(seats) };
    plan.listeners.push(listener(Transport::Udp, SocketAddr::from(([192, 0, 2, 1], 53))));
    let mut sim = Sim::new(seed).faults(Faults::mixed(seed)).plan(plan);
    sim = sim.upstream(UPSTREAM, move || Noise { turns: 8 });
    for _ in 0..1 + random.below(8) {
        let (at, turns) = (Duration::from_micros(random.below(20_000)), random.below(12));
        sim = sim.client_at(at, ListenerId(0), Noise { turns });
    }
    for n in 0..random.below(5) {
        let peer = SocketAddr::from(([192, 0, 2, 77], 7000 + n as u16));
        sim = sim.datagram(Duration::from_millis(n), ListenerId(1), peer, &vec![b'd'; n as usize * 100]);
    }
    if random.chance(0.5) {
        sim = sim.drain_at(Duration::from_millis(random.below(100)));
    }
    sim.run(|_| Chaos { known: Vec::new() })
}
