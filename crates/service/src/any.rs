//! Every kind of listener on one seat: the service that `ringmill` runs.
//!
//! An enum, not a box: a session of whichever kind lives inline in the seat's slab, and the call of its machine is direct.
//! The kind of a session is decided when it is opened, by the listener that accepted it, and never changes.

use crate::udp_echo::UdpEcho;
use crate::{echo, frame, http, relay, relay_task, udp_echo};
use shard::task::Task;
use shard::{End, Event, Io, Leg, ListenerId, Next, Origin, Service};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// Most unread bytes that are kept for one connection. At least two heads of the longest kind.
pub const INPUT_MAX: usize = 64 << 10;

/// What all seats serve. `listeners` stand in the order of the plan's.
pub struct Config {
    listeners: Vec<Kind>,
    /// Where they are bound, once that is known.
    bound: OnceLock<Box<[SocketAddr]>>,
}

/// What is done with what comes to a listener.
pub enum Kind {
    /// HTTP: the built-in site or the admin pages.
    Http(Box<http::Config>),
    /// TCP echo.
    Echo,
    /// UDP echo.
    UdpEcho(udp_echo::Config),
    /// TCP relay, as a machine on two pipes.
    Relay(relay::Config),
    /// TCP relay, as a story.
    RelayTask(relay::Config),
    /// Ringmill's framed protocol over TCP.
    Frame(frame::Config),
    /// Ringmill's framed protocol over UDP.
    FrameUdp(frame::udp::Config),
}

impl Config {
    /// Panics when an HTTP listener allows heads longer than half of [`INPUT_MAX`]: they would never fit.
    pub fn new(listeners: Vec<Kind>) -> Arc<Config> {
        for kind in &listeners {
            if let Kind::Http(config) = kind {
                assert!(
                    config.limits.head_bytes_max <= INPUT_MAX / 2,
                    "heads of at most {} bytes fit",
                    INPUT_MAX / 2
                );
            }
        }
        Arc::new(Config { listeners, bound: OnceLock::new() })
    }

    /// Says where the listeners are bound, as soon as the engine runs; later calls change nothing. The UDP echo never
    /// answers a datagram that comes, or is forged to come, from one of these: two echoes would never stop.
    pub fn set_bound(&self, addresses: &[SocketAddr]) {
        self.bound.get_or_init(|| addresses.into());
    }

    fn kind(&self, listener: ListenerId) -> &Kind {
        &self.listeners[usize::from(listener.0)]
    }

    fn http(&self, listener: ListenerId) -> &http::Config {
        match self.kind(listener) {
            Kind::Http(config) => config,
            _ => unreachable!("an HTTP session comes from an HTTP listener"),
        }
    }

    fn frame(&self, listener: ListenerId) -> &frame::Config {
        match self.kind(listener) {
            Kind::Frame(config) => config,
            _ => unreachable!("a frame session comes from a frame listener"),
        }
    }
}

/// The service of one seat.
pub struct Any {
    config: Arc<Config>,
    http: http::Http,
    udp_echo: UdpEcho,
    frame_udp: frame::udp::Server,
}

impl Any {
    /// The service of a seat that begins.
    pub fn new(config: Arc<Config>) -> Any {
        Any { config, http: http::Http::new(), udp_echo: UdpEcho::default(), frame_udp: Default::default() }
    }

    fn accept(&mut self, leg: Leg, listener: ListenerId, io: &mut Io<'_, Any>) -> Session {
        match self.config.kind(listener) {
            Kind::Http(config) => Session::Http(self.http.open(config, leg, listener, io)),
            Kind::Echo => Session::Echo(echo::Session::new(leg)),
            Kind::Relay(config) => Session::Relay(relay::Session::new(leg, config, io)),
            Kind::RelayTask(config) => Session::RelayTask(relay_task::begin(leg, config, io)),
            Kind::Frame(config) => Session::Frame(frame::Session::new(leg, config, io)),
            Kind::UdpEcho(_) | Kind::FrameUdp(_) => {
                unreachable!("a datagram listener accepts no connections")
            }
        }
    }

    /// The seat's own session: it has the datagram listeners.
    fn on_root(&mut self, event: Event<'_, Any>, io: &mut Io<'_, Any>) -> Next {
        match event {
            Event::Datagram(leg, packet) => {
                let Some(listener) = io.listener(leg) else { return Next::Stay };
                let own = self.config.bound.get().map_or(&[][..], |own| own);
                match self.config.kind(listener) {
                    Kind::UdpEcho(config) => self.udp_echo.on_datagram(config, own, leg, packet, io),
                    Kind::FrameUdp(config) => {
                        self.frame_udp.on_datagram(config, own, (leg, listener), packet, io);
                    }
                    _ => {}
                }
                self.root_next(io)
            }
            Event::Timer(token) => {
                self.frame_udp.on_timer(token, io);
                self.root_next(io)
            }
            Event::Drain(until) => {
                if !self.frame_udp.is_empty() {
                    self.frame_udp.drain(until, io);
                }
                self.root_next(io)
            }
            _ => Next::Stay,
        }
    }

    /// A drain waits for the peers of datagrams, which were told.
    fn root_next(&self, io: &Io<'_, Any>) -> Next {
        if io.draining() && self.frame_udp.is_empty() { Next::Close } else { Next::Stay }
    }
}

/// One conversation of whichever kind.
pub enum Session {
    /// See [`http::Session`].
    Http(http::Session),
    /// See [`echo::Session`].
    Echo(echo::Session),
    /// See [`relay::Session`].
    Relay(relay::Session),
    /// See [`relay_task`].
    RelayTask(Task),
    /// See [`frame::Session`].
    Frame(frame::Session),
    /// The seat's own.
    Root,
}

const _: () = assert!(size_of::<Session>() <= 56, "an idle connection is paid for a million times");
// The bill of docs/MILLION.md, as one sum: that of a frame connection with its heartbeat, or of any other with one timer.
const _: () = assert!(shard::engine::uring::idle_bytes::<Any>() <= 248);

impl Service for Any {
    type Session = Session;
    type Note = Infallible;
    const INPUT_MAX: usize = INPUT_MAX;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Any>) -> Session {
        match origin {
            Origin::Accepted(leg, listener) => self.accept(leg, listener, io),
            Origin::Root => Session::Root,
        }
    }

    #[inline]
    fn on(&mut self, session: &mut Session, event: Event<'_, Any>, io: &mut Io<'_, Any>) -> Next {
        match session {
            Session::Http(session) => {
                let config = self.config.http(session.listener());
                self.http.on(config, session, event, io)
            }
            Session::Echo(session) => session.on(event, io),
            Session::Relay(session) => session.on(event, io),
            Session::RelayTask(task) => task.on(event, io),
            Session::Frame(session) => session.on(|listener| self.config.frame(listener), event, io),
            Session::Root => self.on_root(event, io),
        }
    }

    fn end(&mut self, session: Session, _why: End) {
        if let Session::Http(session) = session {
            let config = self.config.http(session.listener());
            self.http.end(config, session);
        }
    }
}
