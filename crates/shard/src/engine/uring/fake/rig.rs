//! An engine on a fake ring and a virtual clock, turned by hand: as `Uring::run`, but nothing waits.

use super::super::accept::Accept;
use super::super::driver::{self, Driver, For};
use super::super::ring::Ring;
use super::super::{NOBODY, Peers, Uring};
use super::services::Echo;
use super::socket::{Id, Socket};
use super::{Fake, Luck};
use crate::desk::{Desk, Parts};
use crate::mail::mesh;
use crate::meter::{Board, Snapshot};
use crate::plan::{Control, Stop, Wake, ZeroCopy};
use crate::seat::{Limits, Seat};
use crate::service::{ListenerId, Service};
use crate::slab::Key;
use linux::Pool;
use linux::net::{ListenOptions, Listener};
use linux::ring::{Counts, Home, Op};
use linux::wake::Inbox;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Rig<S: Service> {
    pub(super) uring: Uring<S, Fake>,
    pub(super) control: Control,
    pub(super) now_ns: u64,
    board: Arc<Board>,
}

/// What differs between tests.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) luck: Luck,
    /// Buffers of 1 KiB.
    pub(super) buffers: u16,
    pub(super) connections_max: usize,
    /// How many may wait in the listener's queue.
    pub(super) crowd: usize,
    /// Direct descriptors.
    pub(super) slots: u32,
    pub(super) out_max: usize,
    pub(super) zero_copy_bytes: Option<usize>,
    /// The listeners serve through the drain.
    pub(super) late: bool,
    /// How many listeners there are. The fake's connections wait at all of them.
    pub(super) listeners: u16,
    pub(super) turn_sends: u32,
    pub(super) stamps: bool,
    /// When idle connections are parked; 0 is never.
    pub(super) park_ms: u64,
}

impl Default for Setting {
    fn default() -> Setting {
        Setting {
            seed: 1,
            luck: Luck::default(),
            buffers: 16,
            connections_max: 100,
            crowd: 0,
            slots: 128,
            out_max: 64 << 10,
            zero_copy_bytes: None,
            late: false,
            listeners: 1,
            turn_sends: u32::MAX,
            stamps: false,
            park_ms: 0,
        }
    }
}

/// One turn, on the virtual clock.
const TURN_NS: u64 = 1_000_000;
/// Turns after which what should have ended hangs.
const TURNS_MAX: u32 = 20_000;
pub(super) const BUFFER: usize = 1024;

impl<S: Service> Rig<S> {
    pub(super) fn new(service: S, setting: Setting) -> Rig<S> {
        let Setting { seed, luck, buffers, connections_max, crowd, slots, out_max, zero_copy_bytes, .. } =
            setting;
        let pool = linux::pool::Plan { count: buffers, bytes: BUFFER as u32, huge_pages: false };
        let pool = Pool::new(pool).expect("a small pool can be mapped");
        let board = Board::new(&[None]);
        let inbox = Inbox::register().expect("an inbox is free");
        let parker = inbox.parker();
        let parts = Parts {
            seat: 0,
            board: board.clone(),
            pool: pool.clone(),
            post: mesh(1).remove(0),
            inbox,
            seed,
            unix_seconds: || 0,
            out_max,
            connections_max,
        };
        let late = vec![setting.late; usize::from(setting.listeners)].into();
        let turn_sends = setting.turn_sends;
        let limits = Limits { idle: None, drain: Duration::from_secs(5), late, zero_copy_bytes, turn_sends };
        let mut desk = Desk::new(parts, 0);
        desk.stamps = setting.stamps.then(Box::default);
        let peers = Peers::new(vec![parker], 0);
        let control = Control::default();
        let mut driver = Driver::new(Fake::new(seed, luck, pool, slots));
        driver.parks = setting.park_ms > 0;
        let mut uring = Uring {
            seat: Seat::new(service, desk, limits),
            driver,
            accepts: Vec::new(),
            hand_off: None,
            crowd,
            emptying: false,
            at_bound: false,
            peers,
            parker,
            control: control.clone(),
            told: Stop::Run,
            pieces: VecDeque::new(),
            zero_copy: ZeroCopy::Auto,
            spin_ns: 0,
            wake: Wake::Sleep,
            batches: false,
            want: 1,
            counted: Counts::default(),
            timed: crate::engine::uring::Timed::new(),
            park_ms: setting.park_ms,
            look_ns: 0,
            looks: 0,
            last_call: false,
            told_last: false,
        };
        uring.seat.open_root(&mut uring.driver);
        for id in 0..setting.listeners {
            // Nobody connects to it: the fake's connections come from the test.
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::default());
            let listener = listener.expect("loopback has a free port");
            uring.accepts.push(Accept::new(listener, ListenerId(id), setting.late, Home::Ring));
        }
        uring.driver.ring.push(Op::PollMulti(parker.event()), driver::tag(For::Event, NOBODY));
        Rig { uring, control, now_ns: 0, board }
    }

    pub(super) fn ring(&mut self) -> &mut Fake {
        &mut self.uring.driver.ring
    }

    pub(super) fn socket(&mut self, id: Id) -> &mut Socket {
        self.ring().socket(id)
    }

    pub(super) fn meter(&self) -> Snapshot {
        self.board.snapshot(0)
    }

    pub(super) fn lent(&mut self) -> u32 {
        self.ring().pool.lent()
    }

    /// One turn, and what the kernel does while the engine would wait.
    pub(super) fn turn(&mut self) {
        self.turn_after(TURN_NS);
    }

    pub(super) fn turn_after(&mut self, ns: u64) {
        self.now_ns += ns;
        self.uring.turn(self.now_ns);
        self.uring.seat.desk.stamp(self.now_ns);
        self.ring().step();
    }

    pub(super) fn turns(&mut self, n: u32) {
        (0..n).for_each(|_| self.turn());
    }

    /// Turns until the engine would sleep until the world moves.
    pub(super) fn settle(&mut self) {
        self.turn();
        while self.uring.is_runnable() || self.ring().has_next() {
            self.turn();
        }
    }

    /// A client that was accepted.
    pub(super) fn client(&mut self, window: usize) -> Id {
        let id = self.ring().arrive(window);
        self.turns(2);
        id
    }

    /// A client says something, and the engine has time to deal with it.
    pub(super) fn say(&mut self, id: Id, bytes: &[u8]) {
        self.socket(id).say(bytes);
        self.turns(4);
    }

    /// What a client has heard once it has read all there is.
    pub(super) fn heard(&mut self, id: Id) -> Vec<u8> {
        let socket = self.socket(id);
        socket.read(usize::MAX);
        socket.heard.clone()
    }

    /// Turns until the engine would end, as in `Uring::run`, then ends it: nothing is in flight, nothing is lent, every
    /// socket is closed.
    pub(super) fn end(&mut self) {
        let mut turns = 0;
        while !self.uring.is_over() {
            // Far ends read: a drain waits for what is flushed.
            for id in self.ring().sockets.ids() {
                self.socket(id).read(usize::MAX);
            }
            self.turn();
            turns += 1;
            assert!(turns < TURNS_MAX, "the engine does not come to its end: {:?}", self.meter());
        }
        self.uring.finish().expect("the fake does not fail");
        let ring = self.ring();
        assert_eq!((ring.counts().in_flight, ring.pool.lent()), (0, 0), "in flight and lent at the end");
        for id in ring.sockets.ids() {
            let waits = ring.backlog.contains(&id);
            assert!(waits || ring.socket(id).is_closed(), "{id:?} is still open");
        }
        let meter = self.meter();
        assert_eq!((meter.connections, meter.in_flight, meter.buffers_lent), (0, 0, 0));
        assert!(meter.accepted <= meter.closed, "{} accepted, {} closed", meter.accepted, meter.closed);
    }

    /// Tells the engine to drain, and sees it to its end.
    pub(super) fn drain(mut self) {
        self.control.drain();
        self.end();
    }
}

/// A far end that takes whatever comes.
pub(super) const WINDOW: usize = 1 << 20;

pub(super) fn echo(luck: Luck) -> Rig<Echo> {
    Rig::new(Echo, Setting { luck, ..Setting::default() })
}

/// An echo that sends without a copy whenever it can.
pub(super) fn zero_copy_echo(luck: Luck) -> Rig<Echo> {
    Rig::new(Echo, Setting { luck, zero_copy_bytes: Some(1), ..Setting::default() })
}

pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// The one leg that the engine has.
pub(super) fn only_leg(rig: &mut Rig<Echo>) -> Key {
    let mut legs = rig.uring.seat.desk.conns.keys();
    let leg = legs.next().expect("there is a connection");
    assert!(legs.next().is_none());
    leg
}
