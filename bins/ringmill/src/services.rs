//! Listeners as typed become listeners as served: each URL of the configuration to its kind in `service::any`.

use std::sync::Arc;

use service::any::{self, Kind as Served};
use service::{frame, http, metrics, relay, udp_echo};

use crate::caps::Caps;
use crate::config::Config;
use crate::engine::Serving;
use crate::url::{Form, Kind, Relay, Url};
use linux::console::Failure;

/// What all shards serve, in the order of the listeners. Errors: those of [`Caps::ask`], whose answer an admin page shows.
pub(crate) fn of(config: &Config, serving: &Serving) -> Result<Arc<any::Config>, Failure> {
    let listeners: Result<Vec<Served>, Failure> =
        config.listen.iter().map(|url| served(url, config, serving)).collect();
    Ok(any::Config::new(listeners?))
}

fn served(url: &Url, config: &Config, serving: &Serving) -> Result<Served, Failure> {
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
        Kind::Relay(relay @ Relay { form: Form::Machine, .. }) => Served::Relay(upstream(relay)),
        Kind::Relay(relay @ Relay { form: Form::Task, .. }) => Served::RelayTask(upstream(relay)),
    })
}

fn upstream(relay: &Relay) -> relay::Config {
    let config = relay::Config::new(relay.to);
    relay::Config { connect_deadline: relay.connect.unwrap_or(config.connect_deadline), ..config }
}
