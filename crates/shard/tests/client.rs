//! The io_uring engine as a client: a root session with sockets of its own, over loopback.

use linux::Chunk;
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Report, Transport, Wake};
use shard::{Connect, End, Event, Io, Leg, LegError, Next, Origin, Service};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Runs a root to its own end: it says so through `over`. All that is left is drained then.
fn run<S: Service + 'static>(
    plan: Plan,
    make: impl Fn(mpsc::Sender<()>) -> S + Send + Sync + 'static,
) -> Report {
    let (over, ended) = mpsc::channel();
    let over = Mutex::new(over);
    let control = Control::default();
    let running = uring::start(plan, control, move |_, _| make(over.lock().unwrap().clone()))
        .expect("this kernel gives rings");
    ended.recv().expect("the root says when it is over");
    running.control().drain();
    let report = running.join();
    for seat in &report.seats {
        assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit), (0, 0));
    }
    report
}

/// Sends one datagram from each of its sockets, to a server that answers and to a port that refuses, and again from each
/// that was answered: a refusal must not have ended it.
struct Flows {
    to: SocketAddr,
    nobody: SocketAddr,
    /// Answers by leg, and the ports that the server saw.
    answers: Arc<Mutex<BTreeMap<usize, u32>>>,
    over: mpsc::Sender<()>,
}

const FLOWS: usize = 100;
const ROUNDS: u32 = 3;

impl Service for Flows {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = 1024;

    fn open(&mut self, _: Origin, _: &mut Io<'_, Self>) {}

    fn on(&mut self, (): &mut (), event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        let leg = match event {
            Event::Bound(leg, _) => leg,
            Event::Datagram(leg, packet) => {
                assert!(packet.peer == self.to && packet.bytes()[..] == *b"flow");
                assert!(io.sent_ns(leg) > 0 && io.sent_ns(leg) <= io.now_ns());
                let mut answers = self.answers.lock().unwrap();
                *answers.entry(leg.index()).or_default() += 1;
                if answers.len() == FLOWS && answers.values().all(|count| *count == ROUNDS) {
                    let _ = self.over.send(());
                }
                if answers[&leg.index()] == ROUNDS {
                    return Next::Stay;
                }
                leg
            }
            Event::Drain(_) => return Next::Close,
            _ => return Next::Stay,
        };
        for to in [self.nobody, self.to] {
            assert!(io.send_to(leg, to, None, Chunk::Copied(b"flow".to_vec().into())).is_ok());
        }
        Next::Stay
    }

    fn end(&mut self, (): (), _: End) {}
}

#[test]
fn a_hundred_datagram_sockets_of_one_root_each_hear_their_own_answers_and_no_refusal() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = server.local_addr().unwrap();
    // Held and connected elsewhere: its port refuses what the flows send, and none of them can be given it as their own.
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    deaf.connect("127.0.0.1:1").unwrap();
    let nobody = deaf.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut bytes, mut ports) = ([0; 16], BTreeMap::new());
        for _ in 0..FLOWS as u32 * ROUNDS {
            let (n, from) = server.recv_from(&mut bytes).unwrap();
            server.send_to(&bytes[..n], from).unwrap();
            *ports.entry(from.port()).or_insert(0) += 1;
        }
        ports
    });
    let listen = |address: &str| Listen {
        transport: Transport::Udp,
        address: address.parse().unwrap(),
        v6only: false,
        seat: Some(0),
        late: false,
        refusal: None,
    };
    let listeners = (0..FLOWS).map(|at| listen(["127.0.0.1:0", "0.0.0.0:0"][at % 2])).collect();
    let plan = Plan { listeners, stamps: true, turn_sends: 16, ..Plan::default() };
    run(plan, move |over| Flows { to, nobody, answers: Arc::default(), over });
    let ports = answering.join().unwrap();
    assert_eq!((ports.len(), ports.values().all(|count| *count == ROUNDS)), (FLOWS, true));
}

/// Connects to each address in turn and notes what became of it.
struct Connects {
    to: Vec<Connect>,
    ends: Arc<Mutex<Vec<Result<(), LegError>>>>,
    over: mpsc::Sender<()>,
}

impl Connects {
    fn next(&mut self, io: &mut Io<'_, Self>) {
        match self.to.pop() {
            Some(to) => assert!(io.connect(&to).is_ok()),
            None => _ = self.over.send(()),
        }
    }
}

impl Service for Connects {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = 1024;

    fn open(&mut self, _: Origin, io: &mut Io<'_, Self>) {
        self.next(io);
    }

    fn on(&mut self, (): &mut (), event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Opened(_) => self.ends.lock().unwrap().push(Ok(())),
            Event::Failed(_, why) => self.ends.lock().unwrap().push(Err(why)),
            Event::Drain(_) => return Next::Close,
            _ => return Next::Stay,
        }
        self.next(io);
        Next::Stay
    }

    fn end(&mut self, (): (), _: End) {}
}

#[test]
fn a_connect_comes_from_the_address_asked_for_and_fails_when_this_machine_has_it_not() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = server.local_addr().unwrap();
    let from = move |ip: &str| Connect {
        to,
        from: Some(SocketAddr::new(ip.parse().unwrap(), 0)),
        deadline: Duration::from_secs(10),
    };
    let ends = Arc::<Mutex<Vec<_>>>::default();
    let noted = Arc::clone(&ends);
    run(Plan::default(), move |over| {
        let to = vec![from("::1"), from("127.0.0.3"), from("192.0.2.99"), from("127.0.0.2")];
        Connects { to, ends: Arc::clone(&noted), over }
    });
    let not_ours = Err(LegError::Os(linux::errno::EADDRNOTAVAIL));
    assert_eq!(*ends.lock().unwrap(), [Ok(()), not_ours, Ok(()), not_ours]);
    let mut seen = [(); 2].map(|()| server.accept().unwrap().1.ip().to_string());
    seen.sort();
    assert_eq!(seen, ["127.0.0.2", "127.0.0.3"]);
}

/// Wakes itself at exact times, each 300 us after the last.
struct Waker {
    at_ns: u64,
    left: u32,
    over: mpsc::Sender<()>,
}

impl Service for Waker {
    type Session = Option<Leg>;
    type Note = ();
    const INPUT_MAX: usize = 1024;

    fn open(&mut self, _: Origin, io: &mut Io<'_, Self>) -> Option<Leg> {
        self.at_ns = io.now_ns() + 300_000;
        io.wake_at_ns(self.at_ns);
        None
    }

    fn on(&mut self, _: &mut Option<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Timer(_) => {
                assert!(io.now_ns() >= self.at_ns, "it never comes early");
                self.left -= 1;
                if self.left == 0 {
                    let _ = self.over.send(());
                } else {
                    self.at_ns += 300_000;
                    io.wake_at_ns(self.at_ns);
                }
                Next::Stay
            }
            Event::Drain(_) => Next::Close,
            _ => Next::Stay,
        }
    }

    fn end(&mut self, _: Option<Leg>, _: End) {}
}

#[test]
fn an_exact_deadline_never_comes_early_however_it_is_waited_for() {
    for wake in [Wake::Sleep, Wake::Hybrid, Wake::Spin] {
        let plan = Plan { wake, ..Plan::default() };
        let report = run(plan, |over| Waker { at_ns: 0, left: 50, over });
        let counts = report.seats[0].counts;
        // A thread that gets no time to run may find each deadline passed, and have nothing to spin for.
        assert!(wake != Wake::Sleep || counts.spun_ns == 0, "{} ns", counts.spun_ns);
        // Nor does it sleep then: what enters there are belong to the beginning and the end.
        assert!(wake != Wake::Spin || counts.enters < 50, "{} enters", counts.enters);
    }
}
