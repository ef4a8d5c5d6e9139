//! A server that goes away with all its clients connected, and comes back: who arrives when.

use bytes::Bytes;
use proto::frame::{Kind, Offer};
use service::frame;
use service::frame::client::{Backoff, Client, Config, Told};
use shard::engine::sim::{Faults, Run, Sim, plan};
use shard::plan::Plan;
use shard::{End, Event, Io, Leg, Next, Origin, Service, Token};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    pub clients: usize,
    pub backoff: Backoff,
    /// The server dies here, and every connection with it.
    pub down: Duration,
    /// It serves again from here on.
    pub up: Duration,
    /// The end.
    pub end: Duration,
}

impl Fleet {
    pub fn new(clients: usize, backoff: Backoff) -> Fleet {
        let second = Duration::from_secs;
        Fleet { clients, backoff, down: second(10), up: second(20), end: second(60) }
    }

    /// Runs it. Each client asks once whenever it is connected.
    pub fn run(self, seed: u64) -> (Run, Log) {
        let log = Rc::new(RefCell::new(Log {
            slots: vec![0; 10 * self.end.as_secs() as usize + 100],
            ..Log::default()
        }));
        let pool = linux::pool::Plan { count: 4096, ..plan(1).pool };
        let plan = Plan { pool, connections_max: 3 * self.clients, ..plan(1) };
        let world = Sim::new(seed).faults(Faults::NONE).plan(plan).drain_at(self.end);
        let made = log.clone();
        let run = world.run(|_| Both::new(self, made.clone()));
        (run, log.take())
    }
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Connections that arrived at the server, up or down, in each 100 ms.
    pub slots: Vec<u32>,
    /// How often a client was greeted, and how often one lost its connection or did not get one.
    pub ups: usize,
    pub downs: usize,
    /// When the last one was greeted, in milliseconds.
    pub last_ms: u64,
    pub answers: u64,
    pub lost: u64,
}

/// Server and clients on one seat.
struct Both {
    fleet: Fleet,
    clients: Vec<Client>,
    by_leg: Vec<u32>,
    by_timer: HashMap<Token, u32>,
    config: frame::Config,
    log: Rc<RefCell<Log>>,
}

enum Session {
    Root,
    Served { leg: Leg, frame: frame::Session, dies: Option<Token> },
    TurnedAway,
}

impl Both {
    fn new(fleet: Fleet, log: Rc<RefCell<Log>>) -> Both {
        let to = "192.0.2.1:80".parse().expect("an address");
        let config = Arc::new(Config { backoff: fleet.backoff, ..Config::new(to) });
        let offer = Offer { heartbeat_ms: 30_000, ..Offer::default() };
        Both {
            fleet,
            clients: (0..fleet.clients).map(|_| Client::new(config.clone())).collect(),
            by_leg: Vec::new(),
            by_timer: HashMap::new(),
            config: frame::Config { offer, ..frame::Config::default() },
            log,
        }
    }

    /// Lets a client act, and keeps the tables true.
    fn with(
        &mut self,
        index: u32,
        io: &mut Io<'_, Both>,
        act: impl FnOnce(&mut Client, &mut Io<'_, Both>, &mut dyn FnMut(Told<'_>)),
    ) {
        let client = &mut self.clients[index as usize];
        if let Some(timer) = client.timer() {
            self.by_timer.remove(&timer);
        }
        let mut log = self.log.borrow_mut();
        let mut up = false;
        act(client, io, &mut |told| match told {
            Told::Up(_) => up = true,
            Told::Down(..) => log.downs += 1,
            Told::Answer(..) => log.answers += 1,
            Told::Failed(..) => log.lost += 1,
        });
        if up {
            (log.last_ms, log.ups) = (io.now().0, log.ups + 1);
            let deadline = Duration::from_secs(5);
            client
                .ask(Kind::Data, Bytes::from_static(b"are you there"), deadline, io)
                .expect("there is room");
        }
        if let Some(timer) = client.timer() {
            self.by_timer.insert(timer, index);
        }
        if let Some(leg) = client.leg() {
            if self.by_leg.len() <= leg.index() {
                self.by_leg.resize(leg.index() + 1, u32::MAX);
            }
            self.by_leg[leg.index()] = index;
        }
    }

    fn on_root(&mut self, event: Event<'_, Both>, io: &mut Io<'_, Both>) -> Next {
        let index = match &event {
            Event::Opened(leg)
            | Event::Bytes(leg, _)
            | Event::Drained(leg)
            | Event::Eof(leg)
            | Event::Failed(leg, _) => self.by_leg.get(leg.index()).copied(),
            Event::Timer(timer) => self.by_timer.get(timer).copied(),
            Event::Drain(_) => return Next::Close,
            _ => None,
        };
        // A leg that was let go may still be told of.
        if let Some(index) = index.filter(|index| self.clients[*index as usize].concerns(&event)) {
            self.with(index, io, |client, io, mut told| client.on(event, io, &mut told));
        }
        Next::Stay
    }
}

impl Service for Both {
    type Session = Session;
    type Note = ();
    const INPUT_MAX: usize = service::any::INPUT_MAX;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Both>) -> Session {
        let Origin::Accepted(leg, _) = origin else {
            for index in 0..self.fleet.clients as u32 {
                let after = Duration::from_millis(5_000 * u64::from(index) / self.fleet.clients as u64);
                self.with(index, io, |client, io, _| client.start(after, io));
            }
            return Session::Root;
        };
        let now = Duration::from_millis(io.now().0);
        self.log.borrow_mut().slots[now.as_millis() as usize / 100] += 1;
        if (self.fleet.down..self.fleet.up).contains(&now) {
            io.abort(leg);
            return Session::TurnedAway;
        }
        let dies = (now < self.fleet.down).then(|| io.timer(self.fleet.down - now));
        Session::Served { leg, frame: frame::Session::new(leg, &self.config, io), dies }
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Both>, io: &mut Io<'_, Both>) -> Next {
        match session {
            Session::Root => self.on_root(event, io),
            Session::TurnedAway => Next::Close,
            Session::Served { leg, dies, .. } if matches!(event, Event::Timer(timer) if Some(timer) == *dies) =>
            {
                io.abort(*leg);
                Next::Close
            }
            Session::Served { frame, .. } => frame.on(|_| &self.config, event, io),
        }
    }

    fn end(&mut self, _: Session, _: End) {}
}
