//! Each promise of the seam, seen to be kept in a simulated world. See docs/SEAM.md for the promises.

use shard::engine::sim::{Faults, Run, Script, Sim, listener, plan};
use shard::meter::Snapshot;
use shard::plan::{Plan, Transport};
use shard::{Connect, End, Event, Io, Leg, LegError, ListenerId, Next, Origin, Outcome, Service};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

type Log = Rc<RefCell<Vec<String>>>;
type On = fn(&mut Told, Leg, Event<'_, Told>, &mut Io<'_, Told>) -> Next;

/// Notes every event as a line, then does what the test wants.
struct Told {
    log: Log,
    on: On,
}

/// The client's leg; `None` for the root session.
type Session = Option<Leg>;

impl Told {
    fn say(&self, line: String) {
        self.log.borrow_mut().push(line);
    }
}

impl Service for Told {
    type Session = Session;
    type Note = u32;
    const INPUT_MAX: usize = 2048;

    fn open(&mut self, origin: Origin, _: &mut Io<'_, Self>) -> Session {
        match origin {
            Origin::Accepted(leg, _) => Some(leg),
            Origin::Root => None,
        }
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        let Some(client) = *session else {
            return if let Event::Drain(_) = event { Next::Close } else { Next::Stay };
        };
        let name = |leg: Leg| if leg == client { "client" } else { "other" };
        self.say(match &event {
            Event::Opened(leg) => format!("opened {}", name(*leg)),
            Event::Bytes(leg, input) => {
                let bytes: Vec<u8> = input.chunks().flatten().copied().collect();
                format!("{} says {}", name(*leg), bytes.escape_ascii())
            }
            Event::Drained(leg) => format!("{} drained", name(*leg)),
            Event::Eof(leg) => format!("{} ended", name(*leg)),
            Event::Failed(leg, why) => format!("{} failed: {why}", name(*leg)),
            Event::Timer(_) => format!("timer at {}", io.now().0),
            Event::Done(_, Outcome::Piped(bytes)) => format!("piped {bytes}"),
            Event::Note(note) => format!("note {note}"),
            Event::Wake => "wake".into(),
            Event::Drain(_) => "drain".into(),
            Event::Bound(..) | Event::Datagram(..) => "datagrams".into(),
        });
        (self.on)(self, client, event, io)
    }

    fn end(&mut self, session: Session, why: End) {
        if session.is_some() {
            self.say(format!("{why:?}"));
        }
    }
}

/// Runs a world of `Told`; gives what was told and how it ended.
fn told(sim: Sim, on: On) -> (Vec<String>, Run) {
    let log = Log::default();
    let run = sim.run(|_| Told { log: log.clone(), on }).check();
    (log.take(), run)
}

/// What a session is told that does `on`, while one client follows a script.
fn check(script: Script, on: On, expected: &[&str]) -> Snapshot {
    let (mut told, run) = told(Sim::new(1).client(script), on);
    // The world drains once the client is over, which may be before the session is.
    told.retain(|line| line != "drain");
    assert_eq!(told, expected);
    run.seats[0]
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 9);

fn connect(io: &mut Io<'_, Told>, deadline: Duration) {
    io.connect(&Connect { to: UPSTREAM, from: None, deadline }).expect("there is room for a leg");
}

#[test]
fn bytes_come_in_order_wherever_they_are_cut_and_the_end_comes_last() {
    let text = "the quick brown fox jumps over the lazy dog";
    for seed in 0..200 {
        let sim = Sim::new(seed).faults(Faults::NONE.with("cut", 0.9).with("small_receive", 0.5));
        let (told, _) =
            told(sim.client(Script::new().send(text).finish().eof()), |_, _, event, _| match event {
                Event::Bytes(_, mut input) => {
                    input.skip(input.len());
                    Next::Stay
                }
                _ => Next::Close,
            });
        let said = told.iter().filter_map(|line| line.strip_prefix("client says "));
        assert_eq!(said.collect::<String>(), text);
        assert_eq!(told[told.len() - 2..], ["client ended", "Closed"]);
    }
}

#[test]
fn unread_bytes_are_offered_again_with_new_ones_and_after_resume_but_not_while_paused() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, input) if input.len() == 4 && io.now().0 < 5 => {
            io.pause(leg);
            io.timer(ms(5));
            Next::Stay
        }
        Event::Timer(_) => {
            io.resume(leg);
            Next::Stay
        }
        Event::Eof(_) => Next::Close,
        _ => Next::Stay,
    };
    let script = Script::new().send("ab").wait(ms(1)).send("cd").wait(ms(1)).send("ef").finish().eof();
    let expected = [
        "client says ab",
        "client says abcd",
        "timer at 6",
        "client says abcd",
        "client says abcdef",
        "client ended",
        "Closed",
    ];
    check(script, on, &expected);
}

#[test]
fn wishes_take_effect_after_the_call_and_in_their_order() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, mut input) => {
            input.skip(input.len());
            assert!(io.out(leg).copy(b"answer"));
            io.finish(leg);
            // Wished after the finish: too late.
            io.pipe(leg, leg, 1);
            Next::Stay
        }
        Event::Eof(_) => Next::Close,
        _ => Next::Stay,
    };
    let script = Script::new().send("ask").expect("answer").eof();
    check(script, on, &["client says ask", "piped 0", "client ended", "Closed"]);
}

#[test]
fn what_is_written_after_finish_goes_nowhere() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, mut input) => {
            input.skip(input.len());
            io.finish(leg);
            io.timer(ms(1));
            Next::Stay
        }
        Event::Timer(_) => {
            assert_eq!((io.room(leg), io.out(leg).copy(b"late")), (0, false));
            Next::Stay
        }
        Event::Eof(_) => Next::Close,
        _ => Next::Stay,
    };
    let script = Script::new().send("ask").wait(ms(5)).eof();
    check(script, on, &["client says ask", "timer at 1", "client ended", "Closed"]);
}

#[test]
fn a_pipe_ends_with_what_it_moved_before_anything_it_kept_back() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, mut input) if input.first() == b"go" => {
            input.skip(2);
            io.pipe(leg, leg, 5);
            Next::Stay
        }
        Event::Bytes(_, mut input) => {
            input.skip(input.len());
            io.pipe(leg, leg, u64::MAX);
            Next::Stay
        }
        Event::Eof(_) => Next::Close,
        _ => Next::Stay,
    };
    let script =
        Script::new().send("go").wait(ms(1)).send("12345rest").wait(ms(1)).send("to the end").finish();
    let script = script.expect("12345to the end").eof();
    check(
        script,
        on,
        &["client says go", "piped 5", "client says rest", "piped 10", "client ended", "Closed"],
    );
}

#[test]
fn a_pipe_ends_when_its_leg_fails() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, mut input) => {
            input.skip(input.len());
            io.pipe(leg, leg, u64::MAX);
            Next::Stay
        }
        Event::Failed(..) => Next::Close,
        _ => Next::Stay,
    };
    let script = Script::new().send("go").wait(ms(1)).send("123").expect("123").reset();
    check(script, on, &["client says go", "piped 3", "client failed: connection reset", "Closed"]);
}

#[test]
fn a_connect_is_opened_refused_or_given_up_at_its_deadline() {
    let on: On = |_, _, event, io| match event {
        Event::Bytes(_, mut input) => {
            input.skip(input.len());
            connect(io, ms(30));
            Next::Stay
        }
        Event::Opened(_) | Event::Failed(..) => {
            assert!(io.now().0 <= 31);
            Next::Close
        }
        _ => Next::Stay,
    };
    let upstream = |sim: Sim| sim.upstream(UPSTREAM, || Script::new().eof());
    let script = Script::new().send("ask").eof();
    for (faults, line) in [
        (Faults::NONE, "opened other"),
        (Faults::NONE.with("refuse", 1.0), "other failed: connection refused"),
        (Faults::NONE.with("silence", 1.0), "other failed: connect timed out"),
    ] {
        let (told, _) = told(upstream(Sim::new(1).faults(faults).client(script.clone())), on);
        assert_eq!(told, ["client says ask", line, "Closed"]);
    }
    assert_eq!(LegError::Timeout.to_string(), "connect timed out");
}

#[test]
fn a_full_output_is_drained_once() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, mut input) => {
            input.skip(input.len());
            let out = io.out(leg);
            while out.copy(&[b'x'; 1000]) {}
            Next::Stay
        }
        Event::Drained(_) => Next::Close,
        _ => Next::Stay,
    };
    let script = Script::new().send("more").read(false).wait(ms(50)).read(true).expect([b'x'; 8000]).eof();
    check(script, on, &["client says more", "client drained", "Closed"]);
}

#[test]
fn drain_comes_once_to_each_session_and_what_outlives_it_is_aborted() {
    let stay: On = |_, _, _, _| Next::Stay;
    let sim = Sim::new(1).client(Script::new().failed()).client(Script::new().failed()).drain_at(ms(20));
    let (told, run) = told(sim, stay);
    assert_eq!(told, ["drain", "drain", "Aborted", "Aborted"]);
    assert_eq!((run.seats[0].aborted, run.took.as_secs()), (2, 5));
}

#[test]
fn a_full_input_that_nobody_reads_fails_its_leg() {
    let on: On = |_, _, event, _| if let Event::Failed(..) = event { Next::Close } else { Next::Stay };
    let (told, run) = told(Sim::new(1).client(Script::new().send([b'x'; 9000]).failed()), on);
    assert_eq!(told[told.len() - 2..], ["client failed: input full", "Closed"]);
    assert_eq!(run.seats[0].input_full, 1);
}

#[test]
fn an_idle_leg_fails_and_a_session_without_anything_left_is_an_orphan() {
    let plan = Plan { idle: Some(ms(40)), ..plan(1) };
    let (told, run) = told(Sim::new(1).plan(plan).client(Script::new().eof()), |_, _, _, _| Next::Stay);
    assert_eq!(told, ["client failed: idle", "Orphan"]);
    assert_eq!((run.seats[0].sessions_idle_closed, run.seats[0].orphans), (1, 1));
}

#[test]
fn at_the_bound_of_connections_accepting_waits_for_one_to_close() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, mut input) => {
            input.skip(input.len());
            assert!(io.out(leg).copy(b"ok"));
            Next::Close
        }
        _ => Next::Stay,
    };
    let one = || Script::new().wait(ms(10)).send("x").expect("ok").eof();
    let sim =
        (0..5).fold(Sim::new(1).plan(Plan { connections_max: 2, ..plan(1) }), |sim, _| sim.client(one()));
    let (_, run) = told(sim, on);
    assert!(run.seats[0].accepts_paused > 0);
    assert_eq!((run.seats[0].accepted, run.seats[0].closed), (5, 5));
}

#[test]
fn legs_that_are_not_read_leave_buffers_to_the_next_client() {
    let on: On = |_, leg, event, io| match event {
        Event::Bytes(_, mut input) if input.first() == b"ask" => {
            input.skip(3);
            assert!(io.out(leg).copy(b"ok"));
            Next::Close
        }
        Event::Bytes(..) => {
            io.pause(leg);
            Next::Stay
        }
        _ => Next::Stay,
    };
    // Together they could fill the pool of 16 buffers twice.
    let deaf = || Script::new().send([b'x'; 9000]).wait(ms(100)).reset();
    let sim = (0..8).fold(Sim::new(1), |sim, _| sim.client(deaf()));
    let asker = Script::new().send("ask").expect("ok").eof();
    told(sim.client_at(ms(50), ListenerId(0), asker), on);
}

/// Echoes datagrams, and tells the next seat of each by a note.
struct Datagrams {
    log: Log,
    root: Option<shard::Address>,
}

impl Service for Datagrams {
    type Session = ();
    type Note = u32;
    const INPUT_MAX: usize = 1;

    fn open(&mut self, _: Origin, io: &mut Io<'_, Self>) {
        self.root = Some(io.me());
    }

    fn on(&mut self, (): &mut (), event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Datagram(leg, packet) => {
                io.send_to(leg, packet.peer, packet.local, packet.chunk()).expect("few are on their way");
                io.post(self.root.expect("it was opened"), packet.bytes().len() as u32)
                    .expect("there is room");
            }
            Event::Note(note) => self.log.borrow_mut().push(format!("note {note}")),
            Event::Drain(_) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, (): (), _: End) {}
}

#[test]
fn datagrams_come_whole_even_when_empty_and_are_answered_from_the_address_asked() {
    let (to, peer) = (SocketAddr::from(([192, 0, 2, 1], 53)), SocketAddr::from(([192, 0, 2, 7], 7000)));
    let plan = Plan { listeners: vec![listener(Transport::Udp, to)], ..plan(1) };
    let log = Log::default();
    let sim = Sim::new(1).plan(plan).datagram(ms(1), ListenerId(0), peer, b"");
    let sim = sim.datagram(ms(2), ListenerId(0), peer, b"hello");
    let run = sim.run(|_| Datagrams { log: log.clone(), root: None }).check();
    let replies: Vec<_> = run.replies.iter().map(|(_, r)| (r.to, r.from, &r.bytes[..])).collect();
    assert_eq!(replies, [(peer, Some(to.ip()), &b""[..]), (peer, Some(to.ip()), b"hello")]);
    assert_eq!(log.take(), ["note 0", "note 5"]);
}

/// Its root says a word on each of five legs at once, and notes when each word had left, once it is answered.
struct Caller {
    legs: Vec<Leg>,
    opened: usize,
    sent: Rc<RefCell<Vec<(usize, u64)>>>,
}

impl Service for Caller {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = 1024;

    fn open(&mut self, _: Origin, io: &mut Io<'_, Self>) {
        let to = Connect { to: UPSTREAM, from: None, deadline: ms(1000) };
        self.legs = (0..5).map(|_| io.connect(&to).expect("there is room")).collect();
    }

    fn on(&mut self, (): &mut (), event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Opened(leg) => {
                assert_eq!(io.sent_ns(leg), 0, "nothing was sent yet");
                self.opened += 1;
                if self.opened == self.legs.len() {
                    self.legs.iter().for_each(|leg| assert!(io.out(*leg).fixed(b"hello")));
                }
            }
            Event::Bytes(leg, mut input) if input.len() == 6 => {
                input.skip(6);
                assert!(io.sent_ns(leg) <= io.now_ns());
                self.sent.borrow_mut().push((leg.index(), io.sent_ns(leg)));
            }
            Event::Drain(_) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, (): (), _: End) {}
}

#[test]
fn a_leg_knows_when_its_bytes_left_and_a_turn_has_as_many_sends_as_the_plan_says() {
    for (stamps, turn_sends, turns) in
        [(true, u32::MAX, [0, 0, 0, 0, 0]), (true, 2, [0, 0, 1, 1, 2]), (false, 1, [0, 0, 0, 0, 0])]
    {
        let sent = Rc::default();
        let plan = Plan { listeners: Vec::new(), stamps, turn_sends, ..plan(1) };
        let server = || Script::new().expect("hello").send("answer").eof();
        Sim::new(1)
            .plan(plan)
            .upstream(UPSTREAM, server)
            .run(|_| Caller { legs: Vec::new(), opened: 0, sent: Rc::clone(&sent) })
            .check();
        let mut sent = sent.take();
        assert_eq!(sent.len(), 5, "each word was answered");
        sent.sort();
        let mut at: Vec<u64> = sent.iter().map(|(_, at)| *at).collect();
        assert_eq!(at[0] > 0, stamps);
        at.dedup();
        let turn = |(_, sent): &(usize, u64)| at.iter().position(|at| at == sent).expect("it is there");
        assert_eq!(sent.iter().map(turn).collect::<Vec<_>>(), turns);
    }
}
