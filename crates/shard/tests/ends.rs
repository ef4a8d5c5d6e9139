//! How legs end, and what they may cost until then, against peers that do not help: they drip, flood, never read, never
//! answer.

use shard::engine::sim::{Faults, Line, Peer, Script, Sim, plan};
use shard::plan::Plan;
use shard::{Connect, End, Event, Io, Leg, LegError, ListenerId, Next, Origin, Service};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// A service of two functions: what it does with a new client, and with what happens then.
struct Acts {
    open: fn(Leg, &mut Io<'_, Acts>),
    on: Rc<On>,
}

type On = dyn Fn(Leg, Event<'_, Acts>, &mut Io<'_, Acts>) -> Next;

impl Service for Acts {
    type Session = Option<Leg>;
    type Note = u32;
    const INPUT_MAX: usize = 64 << 10;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Option<Leg> {
        let Origin::Accepted(leg, _) = origin else { return None };
        (self.open)(leg, io);
        Some(leg)
    }

    fn on(&mut self, leg: &mut Option<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match (*leg, event) {
            (None, Event::Drain(_)) | (Some(_), Event::Eof(_) | Event::Failed(..)) => Next::Close,
            (None, _) => Next::Stay,
            (Some(leg), event) => (self.on)(leg, event, io),
        }
    }

    fn end(&mut self, _: Option<Leg>, _: End) {}
}

fn acts(
    open: fn(Leg, &mut Io<'_, Acts>),
    on: impl Fn(Leg, Event<'_, Acts>, &mut Io<'_, Acts>) -> Next + 'static,
) -> impl FnMut(u16) -> Acts {
    let on: Rc<On> = Rc::new(on);
    move |_| Acts { open, on: on.clone() }
}

fn stays(_: Leg, _: &mut Io<'_, Acts>) {}

/// Answers with more than any peer takes without reading, and closes.
fn says_much(leg: Leg, io: &mut Io<'_, Acts>) {
    assert!(io.out(leg).copy(&[b'x'; 1 << 20]));
    io.close(leg);
}

fn much_on_bytes(leg: Leg, event: Event<'_, Acts>, io: &mut Io<'_, Acts>) -> Next {
    if let Event::Bytes(_, mut input) = event {
        input.skip(input.len());
        says_much(leg, io);
    }
    Next::Stay
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Reads nothing and sends a piece again and again until it is cut off; notes when that was.
struct Drip {
    piece: usize,
    every: Duration,
    left: u32,
    cut: Rc<Cell<bool>>,
}

impl Peer for Drip {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        line.read(false);
        self.on_timer(line);
    }

    fn on_bytes(&mut self, _: &[u8], _: &mut Line<'_>) {}

    fn on_timer(&mut self, line: &mut Line<'_>) {
        if self.cut.get() || self.left == 0 {
            return line.close();
        }
        self.left -= 1;
        line.send(vec![b'y'; self.piece]);
        line.wait(self.every);
    }

    fn on_failed(&mut self, _: LegError) {
        self.cut.set(true);
    }
}

fn drip(piece: usize, every: Duration, left: u32) -> (Drip, Rc<Cell<bool>>) {
    let cut = Rc::new(Cell::new(false));
    (Drip { piece, every, left, cut: cut.clone() }, cut)
}

fn roomy() -> Plan {
    Plan { out_max: 4 << 20, ..plan(1) }
}

#[test]
fn a_peer_that_drips_does_not_hold_a_leg_that_closes() {
    let (peer, cut) = drip(1, ms(5000), 12);
    Sim::new(1).plan(roomy()).client(peer).run(acts(stays, much_on_bytes)).check();
    assert!(cut.get(), "bytes that nobody reads are no progress");
}

#[test]
fn a_peer_that_floods_a_leg_that_closes_is_read_up_to_a_bound() {
    let (peer, _) = drip(64 << 10, ms(10), 100);
    let run = Sim::new(1).plan(roomy()).client(peer).run(acts(stays, much_on_bytes)).check();
    assert!(run.seats[0].bytes_in <= 512 << 10, "{} bytes", run.seats[0].bytes_in);
}

#[test]
fn a_leg_closed_in_open_is_cut_when_its_peer_does_not_read() {
    let (peer, cut) = drip(1, ms(45_000), 2);
    let plan = Plan { idle: Some(ms(300)), ..roomy() };
    Sim::new(1).plan(plan).client(peer).run(acts(says_much, |_, _, _| Next::Stay)).check();
    assert!(cut.get(), "the idle alarm is not in the place of the close's");
}

#[test]
fn a_note_to_oneself_comes_in_a_later_turn() {
    let turns = Rc::new(RefCell::new(Vec::new()));
    let noted = turns.clone();
    let on = move |leg, event: Event<'_, Acts>, io: &mut Io<'_, Acts>| {
        let me = io.me();
        match event {
            Event::Bytes(_, mut input) => {
                input.skip(input.len());
                io.post(me, 0).expect("there is room");
            }
            Event::Note(100) => {
                assert!(io.out(leg).copy(b"done"));
                io.close(leg);
            }
            Event::Note(n) => {
                noted.borrow_mut().push(io.now_ns());
                io.post(me, n + 1).expect("there is room");
            }
            _ => {}
        }
        Next::Stay
    };
    Sim::new(1).client(Script::new().send("ask").expect("done").eof()).run(acts(stays, on)).check();
    assert!(turns.borrow().is_sorted_by(|a, b| a < b), "{:?}", turns.borrow());
}

#[test]
fn what_waits_for_a_connect_holds_no_buffers() {
    let on = |leg, event: Event<'_, Acts>, io: &mut Io<'_, Acts>| {
        let Event::Bytes(_, mut input) = event else { return Next::Stay };
        if input.first() == b"ask" {
            input.skip(3);
            assert!(io.now().0 < 100, "it waited for others to give their buffers up");
            assert!(io.out(leg).copy(b"ok"));
            return Next::Close;
        }
        let to = SocketAddr::from(([192, 0, 2, 9], 9));
        let upstream = io.connect(&Connect { to, from: None, deadline: ms(1000) }).expect("there is room");
        while let Some(chunk) = input.take(io.room(upstream)) {
            assert!(io.out(upstream).push(chunk).is_ok());
        }
        Next::Stay
    };
    // Together they fill the pool of 16 buffers twice.
    let sender = || Script::new().send([b'y'; 4096]).wait(ms(100)).reset();
    let sim = (0..8).fold(Sim::new(1).faults(Faults::NONE.with("silence", 1.0)), |sim, n| {
        sim.client_at(ms(n), ListenerId(0), sender())
    });
    let asker = Script::new().send("ask").expect("ok").eof();
    sim.client_at(ms(50), ListenerId(0), asker).run(acts(stays, on)).check();
}

#[test]
fn slow_readers_share_a_budget_and_give_it_back() {
    const PIECE: usize = 32 << 10;
    let taken = Rc::new(Cell::new([0; 2]));
    let count = taken.clone();
    let on = move |leg, event: Event<'_, Acts>, io: &mut Io<'_, Acts>| {
        match event {
            Event::Bytes(_, mut input) => {
                input.skip(input.len());
                io.timer(ms(1));
            }
            Event::Timer(_) => {
                let mut taken = count.get();
                if io.room(leg) >= PIECE && io.out(leg).copy(&[b'x'; PIECE]) {
                    taken[usize::from(io.now().0 > 2000)] += PIECE;
                }
                count.set(taken);
                io.timer(ms(1));
            }
            _ => {}
        }
        Next::Stay
    };
    const READERS: usize = 40;
    let deaf = |wait| Script::new().read(false).send("go").wait(ms(wait)).reset();
    let sim = (0..READERS).fold(Sim::new(1).plan(roomy()), |sim, _| sim.client(deaf(1000)));
    sim.client_at(ms(2000), ListenerId(0), deaf(1000)).run(acts(stays, on)).check();
    let [together, alone] = taken.get();
    // Beyond the budget: what the network took, and what was written before they were known to be slow.
    assert!((64 << 20..(64 << 20) + READERS * (256 << 10)).contains(&together), "{together} bytes");
    assert!(alone >= 4 << 20, "{alone} bytes");
}
