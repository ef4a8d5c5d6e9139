//! The simulated engine: real services and real seats in a world of which every detail follows from one seed.
//!
//! Time is virtual and jumps to the next event; nothing sleeps, no thread, socket or clock is touched. A run is told which
//! peers come, what may go wrong ([`Faults`]) and when to drain. It ends when every client is over and the seats have
//! drained, and then says which promises were broken: those of the seam, event by event (`checked`), those of the memory
//! (bounds, leases), of the counters, and what the peers say of how they were served.
//!
//! ```text
//! clients, upstreams (peer, script)  <->  sockets, queue, faults (net)  <->  completions (side)  <->  Seat<Checked<S>>
//! ```

mod checked;
mod faults;
mod net;
mod peer;
mod pulse;
mod queue;
mod run;
mod script;
mod seeds;
mod side;
mod station;
mod trace;

pub use faults::Faults;
pub use peer::{Line, Peer};
pub use pulse::{Beat, Heard, Pulse};
pub use run::Run;
pub use script::{Mirror, Script};
pub use seeds::Seeds;
pub use side::Reply;
pub use station::{Post, Station};
pub use trace::Trace;

use crate::plan::{Listen, Plan, Transport};
use crate::service::{ListenerId, Service};
use std::net::SocketAddr;
use std::time::Duration;

/// A world before it begins.
///
/// ```
/// use shard::engine::sim::{Faults, Script, Sim};
/// # use shard::{End, Event, Io, Next, Origin, Service};
/// # struct Hello;
/// # impl Service for Hello {
/// #     type Session = ();
/// #     type Note = ();
/// #     const INPUT_MAX: usize = 1024;
/// #     fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) {
/// #         if let Origin::Accepted(leg, _) = origin { io.out(leg).fixed(b"hello"); io.close(leg); }
/// #     }
/// #     fn on(&mut self, _: &mut (), event: Event<'_, Self>, _: &mut Io<'_, Self>) -> Next {
/// #         if let Event::Drain(_) = event { Next::Close } else { Next::Stay }
/// #     }
/// #     fn end(&mut self, _: (), _: End) {}
/// # }
/// Sim::new(7)
///     .faults(Faults::mixed(7))
///     .client(Script::new().expect("hello").eof())
///     .run(|_seat| Hello)
///     .check();
/// ```
pub struct Sim {
    seed: u64,
    faults: Faults,
    plan: Plan,
    clients: Vec<Client>,
    upstreams: Vec<(SocketAddr, Upstream)>,
    datagrams: Vec<Datagram>,
    stations: Vec<(Duration, station::Member)>,
    drain_at: Option<Duration>,
    patience: Duration,
}

/// How long a client may take where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

type Upstream = Box<dyn FnMut() -> Box<dyn Peer>>;

struct Client {
    at: Duration,
    listener: ListenerId,
    peer: Box<dyn Peer>,
}

struct Datagram {
    at: Duration,
    listener: ListenerId,
    peer: SocketAddr,
    bytes: Vec<u8>,
}

impl Sim {
    /// A perfect world with the plan of [`plan(1)`](plan): faults must be asked for.
    pub fn new(seed: u64) -> Sim {
        let (clients, upstreams, datagrams) = (Vec::new(), Vec::new(), Vec::new());
        let stations = Vec::new();
        Sim {
            seed,
            faults: Faults::NONE,
            plan: plan(1),
            clients,
            upstreams,
            datagrams,
            stations,
            drain_at: None,
            patience: PATIENCE,
        }
    }

    /// What may go wrong.
    pub fn faults(mut self, faults: Faults) -> Sim {
        self.faults = faults;
        self
    }

    /// Seats, listeners, bounds. Cores, huge pages, spinning and zero copy mean nothing here.
    pub fn plan(mut self, plan: Plan) -> Sim {
        self.plan = plan;
        self
    }

    /// A client of the first listener that begins with the run.
    pub fn client(self, peer: impl Peer + 'static) -> Sim {
        self.client_at(Duration::ZERO, ListenerId(0), peer)
    }

    /// A client of a listener that begins later.
    pub fn client_at(mut self, at: Duration, listener: ListenerId, peer: impl Peer + 'static) -> Sim {
        self.clients.push(Client { at, listener, peer: Box::new(peer) });
        self
    }

    /// A server at `address`: each connect of a service to it gets a peer of its own.
    pub fn upstream<P: Peer + 'static>(
        mut self,
        address: SocketAddr,
        mut make: impl FnMut() -> P + 'static,
    ) -> Sim {
        self.upstreams.push((address, Box::new(move || Box::new(make()))));
        self
    }

    /// A datagram from `peer` to a listener. Answers are in [`Run::replies`].
    pub fn datagram(mut self, at: Duration, listener: ListenerId, peer: SocketAddr, bytes: &[u8]) -> Sim {
        self.datagrams.push(Datagram { at, listener, peer, bytes: bytes.to_vec() });
        self
    }

    /// A station at an address of its own that begins later and speaks with a listener of datagrams. The run ends when it is done.
    pub fn station(
        mut self,
        at: Duration,
        listener: ListenerId,
        address: SocketAddr,
        station: impl Station + 'static,
    ) -> Sim {
        self.stations.push((at, station::Member::new(Box::new(station), listener, address)));
        self
    }

    /// Drains at this time even if clients are not over; their connections then count as harmed. Without it, the drain
    /// begins when every client is over, or after 10 s if there is none.
    pub fn drain_at(mut self, at: Duration) -> Sim {
        self.drain_at = Some(at);
        self
    }

    /// How long clients may take before they count as hanging, from the beginning of the run: 10 min if nobody says
    /// otherwise, for clients that mean to stay for longer. A run may take six times as long.
    pub fn patience(mut self, patience: Duration) -> Sim {
        self.patience = patience;
        self
    }

    /// Runs to the end. `make` is called once for each seat.
    pub fn run<S: Service>(self, make: impl FnMut(u16) -> S) -> Run {
        run::run(self, make)
    }
}

/// A plan for `seats` seats with small bounds, so that they are met: one stream listener at 192.0.2.1:80, 16 buffers of
/// 1 KiB, outputs of 8 KiB, a drain of 5 s.
pub fn plan(seats: u16) -> Plan {
    Plan {
        cores: vec![None; usize::from(seats)],
        listeners: vec![listener(Transport::Tcp, SocketAddr::from(([192, 0, 2, 1], 80)))],
        connections_max: 1000,
        backlog: 64,
        pool: linux::pool::Plan { count: 16, bytes: 1024, huge_pages: false },
        drain: Duration::from_secs(5),
        out_max: 8 << 10,
        ..Plan::default()
    }
}

/// A listener of every seat.
pub fn listener(transport: Transport, address: SocketAddr) -> Listen {
    Listen { transport, address, v6only: false, seat: None, late: false, refusal: None }
}
