//! Listeners as typed become listeners as served: each URL of the configuration to its kind in `service::any`.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use service::any::{self, Kind as Served};
use service::frame::udp::KEY_BYTES;
use service::{frame, http, metrics, relay, udp_echo};

use crate::caps::Caps;
use crate::config::Config;
use crate::engine::Serving;
use crate::url::{Form, Kind, Relay, Url};
use linux::console::Failure;

/// What all shards serve, in the order of the listeners. Errors: those of [`Caps::ask`], whose answer an admin page shows.
pub(crate) fn of(config: &Config, serving: &Serving) -> Result<Arc<any::Config>, Failure> {
    // One for all listeners and seats: a client whose address comes to another seat has a good cookie there.
    let secret = secret();
    let listeners: Result<Vec<Served>, Failure> =
        config.listen.iter().map(|url| served(url, config, serving, secret)).collect();
    Ok(any::Config::new(listeners?))
}

fn served(url: &Url, config: &Config, serving: &Serving, secret: [u8; KEY_BYTES]) -> Result<Served, Failure> {
    let names: Vec<String> = config.name.iter().map(|name| name.to_string()).collect();
    Ok(match &url.kind {
        Kind::Http => Served::Http(Box::new(http::Config::site(url.address, config.admin_public, &names))),
        Kind::Admin => {
            let caps = Arc::from(Caps::ask(Some(serving))?.json());
            let engine = metrics::Engine { name: serving.engine.name(), instead_of: serving.instead_of() };
            Served::Http(Box::new(http::Config::admin(url.address, &names, caps, engine)))
        }
        Kind::Echo => Served::Echo,
        Kind::UdpEcho => Served::UdpEcho(udp_echo::Config {
            public: config.udp_echo_public,
            ..udp_echo::Config::default()
        }),
        Kind::Frame => {
            Served::Frame(frame::Config { offer: config.frame_offer(), ..frame::Config::default() })
        }
        Kind::FrameUdp => Served::FrameUdp(frame::udp::Config {
            offer: config.frame_udp_offer(),
            jar: frame::udp::Jar::new(secret),
            peers_max: config.frame_peers_max as usize,
        }),
        Kind::Relay(relay @ Relay { form: Form::Machine, .. }) => Served::Relay(upstream(relay)),
        Kind::Relay(relay @ Relay { form: Form::Task, .. }) => Served::RelayTask(upstream(relay)),
    })
}

/// Of the system's entropy: the standard library draws the keys of its tables from it (`RandomState`: 128 bits a process, SipHash).
fn secret() -> [u8; KEY_BYTES] {
    let state = RandomState::new();
    let [low, high] = [0_u64, 1].map(|half| state.hash_one(half).to_le_bytes());
    std::array::from_fn(|at| if at < 8 { low[at] } else { high[at - 8] })
}

fn upstream(relay: &Relay) -> relay::Config {
    let config = relay::Config::new(relay.to);
    relay::Config { connect_deadline: relay.connect.unwrap_or(config.connect_deadline), ..config }
}
