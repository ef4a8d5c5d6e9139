//! A relay that runs in a thread, its upstream, and the clients that a test needs.

use service::any::{Any, Config, INPUT_MAX, Kind};
use service::relay;
use shard::engine::uring;
use shard::meter::Snapshot;
use shard::plan::{Control, Listen, Plan, Running, Transport};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Which of the two relays.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// `service::relay`.
    Machine,
    /// `service::relay_task`.
    Story,
}

/// One relay and the listener it leads to.
pub(crate) struct Rig {
    running: Running,
    upstream: TcpListener,
}

impl Rig {
    /// A relay to a listener of the test.
    pub(crate) fn new(form: Form) -> Rig {
        Rig::with(form, Rig::plan())
    }

    /// One unpinned seat and one listener on a port that the kernel chooses.
    pub(crate) fn plan() -> Plan {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listen {
            transport: Transport::Tcp,
            address,
            v6only: false,
            seat: None,
            late: false,
            refusal: None,
        };
        Plan { listeners: vec![listener], ..Plan::default() }
    }

    pub(crate) fn with(form: Form, plan: Plan) -> Rig {
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let to = upstream.local_addr().expect("it is bound");
        Rig::start(form, plan, relay::Config::new(to), upstream)
    }

    /// A relay to somewhere else.
    pub(crate) fn to(form: Form, to: SocketAddr, connect_deadline: Duration) -> Rig {
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        Rig::start(form, Rig::plan(), relay::Config { to, connect_deadline }, upstream)
    }

    fn start(form: Form, plan: Plan, config: relay::Config, upstream: TcpListener) -> Rig {
        let kind = match form {
            Form::Machine => Kind::Relay(config),
            Form::Story => Kind::RelayTask(config),
        };
        let config = Config::new(vec![kind]);
        let make = move |_, _: &_| Any::new(config.clone());
        let running = uring::start(plan, Control::default(), make).expect("the engine starts");
        Rig { running, upstream }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    /// The relay's next connection to its upstream.
    pub(crate) fn accept(&self) -> TcpStream {
        self.upstream.accept().expect("the relay connects").0
    }

    /// Both ends of a connection that is relayed: bytes have passed in both directions.
    pub(crate) fn pair(&self) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect(self.address()).expect("the relay listens");
        let mut upstream = self.accept();
        let mut byte = [0];
        client.write_all(b"?").and_then(|()| upstream.read_exact(&mut byte)).expect("the relay relays");
        upstream.write_all(b"!").and_then(|()| client.read_exact(&mut byte)).expect("the relay relays");
        (client, upstream)
    }

    /// Begins to drain.
    pub(crate) fn drain(&self) {
        self.running.control().drain();
    }

    /// Bytes that the relay has received and not sent.
    pub(crate) fn held(&self) -> u64 {
        // Out is read first: what moves between the two reads counts as held, never as missing.
        let out = self.running.board().snapshot(0).bytes_out;
        self.running.board().snapshot(0).bytes_in.saturating_sub(out)
    }

    /// Most that one direction may hold: a full output, a full input, and what was on its way when receiving stopped.
    pub(crate) fn held_max(&self) -> u64 {
        let plan = Plan::default();
        let pool = u64::from(plan.pool.bytes) * u64::from(plan.pool.count);
        (plan.out_max + INPUT_MAX) as u64 + pool
    }

    /// Drains, waits for the end, and makes sure that nothing was left behind.
    pub(crate) fn end(self) -> Snapshot {
        self.running.control().drain();
        let report = self.running.join();
        for seat in &report.seats {
            assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit), (0, 0));
        }
        report.seats.iter().map(|seat| seat.counts).sum()
    }
}

/// `bytes` bytes that look random, the same for the same seed (an xorshift of 64 bits).
pub(crate) fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

/// Resets a connection.
pub(crate) fn reset(stream: TcpStream) {
    linux::net::set_linger_zero(&stream).expect("it is a socket");
}

/// An address at which nobody listens, nor can begin to for as long as its socket lives: a connected one has it.
pub(crate) fn refused_address() -> (SocketAddr, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let stream = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (stream.local_addr().expect("it is connected"), stream)
}
