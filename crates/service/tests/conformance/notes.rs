//! Notes between seats, and wakes from threads that are no seats, while those they are for sleep: none is lost.

use crate::server::{Engine, Server, connect, tcp};
use shard::mail::NOTES_MAX;
use shard::plan::{Listen, Plan};
use shard::{Address, End, Event, Io, Leg, Next, Origin, Service};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

on_every_engine! {
    ten_thousand_notes_go_to_another_seat_and_back_one_by_one
    notes_by_the_hundred_arrive_each_once_and_in_order_or_are_refused
    notes_reach_seats_that_spin_before_they_sleep
    every_wake_from_a_foreign_thread_arrives
}

/// What a client asks with one byte, and is answered with one byte when all that it began has come back.
const ONE_BY_ONE: u8 = b'1';
const ALL_AT_ONCE: u8 = b'n';
const A_WAKE: u8 = b'w';

const ROUNDS: u32 = 10_000;

/// Clients live on seat 0; the root of seat 1 sends their notes back.
struct Post {
    seat: u16,
    mirror: Arc<Mutex<Option<Address>>>,
    alarm_clock: mpsc::Sender<Waker>,
}

/// A number, and who wants it back.
struct Note {
    number: u32,
    from: Address,
}

#[derive(Default)]
struct Session {
    /// The client; none for a root.
    leg: Option<Leg>,
    /// Notes that came back, how many there will be, and how many were sent.
    back: u32,
    wanted: u32,
    sent: u32,
}

impl Service for Post {
    type Session = Session;
    type Note = Note;
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Session {
        match origin {
            Origin::Root if self.seat == 1 => *self.mirror.lock().unwrap() = Some(io.me()),
            Origin::Root => {}
            Origin::Accepted(leg, _) => return Session { leg: Some(leg), ..Session::default() },
        }
        Session::default()
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match (event, session.leg) {
            (Event::Bytes(_, mut input), _) => {
                let asked = input.first()[0];
                input.skip(1);
                self.begin(session, asked, io);
            }
            (Event::Note(note), None) => {
                let sent = io.post(note.from, Note { number: note.number, from: io.me() });
                assert!(sent.is_ok(), "no more come back than were let through");
            }
            (Event::Note(note), Some(leg)) => {
                assert_eq!(note.number, session.back);
                session.back += 1;
                if session.back == session.wanted {
                    io.out(leg).copy(b".");
                } else if session.sent < session.wanted {
                    assert!(self.post(session, io));
                }
            }
            (Event::Wake, Some(leg)) => assert!(io.out(leg).copy(b".")),
            (Event::Eof(_) | Event::Failed(..) | Event::Drain(_), _) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _: Session, _: End) {}
}

impl Post {
    fn begin(&mut self, session: &mut Session, asked: u8, io: &mut Io<'_, Self>) {
        (session.back, session.wanted, session.sent) = (0, ROUNDS, 0);
        match asked {
            ONE_BY_ONE => assert!(self.post(session, io)),
            ALL_AT_ONCE => {
                while self.post(session, io) {}
                assert_eq!(session.sent as usize, NOTES_MAX);
                session.wanted = session.sent;
            }
            A_WAKE => self.alarm_clock.send(io.waker()).unwrap(),
            other => panic!("{other} is no question"),
        }
    }

    fn post(&self, session: &mut Session, io: &mut Io<'_, Self>) -> bool {
        let mirror = self.mirror.lock().unwrap().expect("seat 1 runs");
        let sent = io.post(mirror, Note { number: session.sent, from: io.me() }).is_ok();
        session.sent += u32::from(sent);
        sent
    }
}

/// Two seats.
fn plan() -> Plan {
    let listeners = vec![Listen { seat: Some(0), ..tcp() }];
    Plan { cores: vec![None; 2], listeners, ..Plan::default() }
}

/// Runs the two seats and a thread that wakes whoever asks it to; says how many notes were sent.
fn check(engine: Engine, plan: Plan, client: impl FnOnce(TcpStream)) -> u64 {
    let (alarm_clock, wakers) = mpsc::channel::<Waker>();
    let thread = thread::spawn(move || wakers.into_iter().for_each(Waker::wake));
    let (mirror, shared) = (Arc::default(), Mutex::new(alarm_clock));
    let server = Server::of(engine, plan, move |seat, _| Post {
        seat,
        mirror: Arc::clone(&mirror),
        alarm_clock: shared.lock().unwrap().clone(),
    });
    client(connect(server.addresses()[0]));
    let counts = server.end();
    thread.join().unwrap();
    counts.notes_sent
}

fn ask(client: &mut TcpStream, question: u8) {
    let mut answer = [0];
    client.write_all(&[question]).and_then(|()| client.read_exact(&mut answer)).expect("all comes back");
    assert_eq!(answer, *b".");
}

fn ten_thousand_notes_go_to_another_seat_and_back_one_by_one(engine: Engine) {
    one_by_one(engine, plan());
}

/// The same with a plan of two seats that a test has changed.
fn one_by_one(engine: Engine, plan: Plan) {
    let sent = check(engine, plan, |mut client| ask(&mut client, ONE_BY_ONE));
    assert_eq!(sent, 2 * u64::from(ROUNDS));
}

fn notes_reach_seats_that_spin_before_they_sleep(engine: Engine) {
    // Long enough to be found awake, and short enough to be found asleep where seats share a core.
    one_by_one(engine, Plan { spin: Duration::from_micros(20), ..plan() });
}

/// For each way of making a ring.
pub(crate) fn reach_the_other_seat(engine: Engine) {
    one_by_one(engine, plan());
}

fn notes_by_the_hundred_arrive_each_once_and_in_order_or_are_refused(engine: Engine) {
    let sent = check(engine, plan(), |mut client| (0..100).for_each(|_| ask(&mut client, ALL_AT_ONCE)));
    assert_eq!(sent, 2 * 100 * NOTES_MAX as u64);
}

fn every_wake_from_a_foreign_thread_arrives(engine: Engine) {
    check(engine, plan(), |mut client| (0..5000).for_each(|_| ask(&mut client, A_WAKE)));
}
