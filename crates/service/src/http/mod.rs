//! HTTP/1.1 and 1.0: the built-in site and the admin pages.
//!
//! - `conversation`: the machine, from events to wishes (`late`: its deadlines); `exchange`: one request's body and answer
//! - `deadline`: how long a peer may take
//! - `router`, `site`, `live`: what is asked for, and what the answer is
//! - `answer`, `pattern`: answers before and as they become bytes
//!
//! The bytes themselves are understood in `proto::http1`. A request that has come whole is answered within one call: its
//! head is read where it lies, the answer is appended to the connection's output, and nothing is allocated.

mod answer;
mod conversation;
mod deadline;
mod exchange;
mod live;
mod pattern;
mod router;
mod site;
mod tally;

pub use conversation::{Http, Session};
pub use deadline::Deadlines;

use crate::metrics::Engine;
use proto::http1::Limits;
use proto::http1::host::Names;
use router::Table;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a connection is answered that a server turns away before it has read anything of it. A 5xx needs no `Date` (RFC 9110,
/// section 6.6.1).
pub const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 26\r\nRetry-After: 1\r\nConnection: close\r\n\r\nevery worker here is busy\n";

/// What one HTTP listener serves, to whom, and within which bounds. Shared by all seats, changed by none.
pub struct Config {
    table: Table,
    pages: Pages,
    /// The names under which the listener is asked for what only its own machine may know: `/` and `/live.json` of the
    /// site, all admin pages but `/health`. Another Host gets 421. `None`: whatever name.
    names: Option<Names>,
    /// Bounds of a request. `head_bytes_max` is at most half of [`INPUT_MAX`](crate::any::INPUT_MAX).
    pub limits: Limits,
    /// How long a peer may take.
    pub deadlines: Deadlines,
}

enum Pages {
    /// The built-in site; `live` shows the shards' figures on it.
    Site { live: bool },
    /// The admin pages; `caps` is what the program found out about this machine when it started.
    Admin { caps: Arc<str>, engine: Engine },
}

impl Config {
    /// The built-in site on a listener at `address`. Off loopback its live figures are shown only if `live_public`.
    /// `names` are further hosts, without port, that the listener is known by.
    pub fn site(address: SocketAddr, live_public: bool, names: &[String]) -> Config {
        let live = live_public || address.ip().to_canonical().is_loopback();
        Config::new(Table::site(), Pages::Site { live }, address, names)
    }

    /// The admin pages on a listener at `address`, which is on one seat. `caps` is answered as it is: JSON or text.
    ///
    /// Whether a listener off loopback is wanted must be asked before; here it is served.
    pub fn admin(address: SocketAddr, names: &[String], caps: Arc<str>, engine: Engine) -> Config {
        Config::new(Table::admin(), Pages::Admin { caps, engine }, address, names)
    }

    fn new(table: Table, pages: Pages, address: SocketAddr, names: &[String]) -> Config {
        let names = names_of(address, names);
        Config { table, pages, names, limits: Limits::default(), deadlines: Deadlines::default() }
    }

    /// Whether these are the admin pages, which are served until all other connections of a drain have ended.
    fn is_admin(&self) -> bool {
        matches!(self.pages, Pages::Admin { .. })
    }
}

/// The names of a listener: those of loopback, its address, and what its owner calls it. A listener on every address whose
/// owner gave no name cannot know what it is called: it serves every name.
fn names_of(address: SocketAddr, names: &[String]) -> Option<Names> {
    let ip = address.ip().to_canonical();
    if ip.is_unspecified() && names.is_empty() {
        return None;
    }
    let mut all = Names::loopback();
    all.add(&ip.to_string());
    names.iter().for_each(|name| all.add(name));
    Some(all)
}
