//! From a checked configuration to a process that serves, and from a signal to its report.
//!
//! Everything that the machine may refuse is asked before the first thread starts, so that a refusal is one line and
//! leaves nothing behind. This thread then only waits for signals; it never touches a byte.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use linux::console::{Failure, warn};
use linux::cpu::{self, Choice};
use linux::net::Transport;
use linux::notify::{Stage, notify};
use linux::signal::{Signal, Signals};
use linux::{file, limits, net, ring};
use service::any::Any;
use service::http::BUSY;
use shard::engine::Engine;
use shard::meter::Board;
use shard::plan::{Control, EngineError, Listen, Plan, Running};

use crate::config::Config;
use crate::engine::{self, Serving};
use crate::lock::{self, Locks};
use crate::loops;
use crate::memory;
use crate::report::Report;
use crate::services;
use crate::table::{self, Start};
use crate::url::{Kind, Url};

/// Whether `config` could be served on this machine: a line that says how. Errors: why not.
///
/// Ports are not asked for: one that is taken is no mistake of the file, and often taken by the server that is to be
/// restarted with it.
pub(crate) fn check(config: &Config) -> Result<String, Failure> {
    let choice = cpu::choose(&config.cores, config.shards).map_err(Failure::usage_of)?;
    check_report(config)?;
    loops::check(&config.listen, is_ours)?;
    check_descriptors(config, choice.cores.len(), limits::nofile()?.hard)?;
    memory::check(config, choice.cores.len())?;
    let serving = engine::choose(config.engine());
    serving.engine.check(&plan(config, &choice))?;
    if serving.engine == Engine::Uring {
        ring::probe(&config.ring).map_err(EngineError::from)?;
    }
    let listeners = table::counted(config.listen.len(), "listener");
    let shards = table::counted(choice.cores.len(), "shard");
    let cores = if choice.cores.len() == 1 { "core" } else { "cores" };
    let instead = serving.instead.map_or(String::new(), |why| format!("; by {}: {why}", serving.engine));
    Ok(format!("ok: {listeners}, {shards} on {cores} {}{instead}\n", cpu::list(&choice.cores)))
}

/// Serves until a signal ends it, then drains and reports. Errors: why it could not start.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    // Before the first thread: threads inherit the mask, and one without it would be killed by the signal.
    let signals = Signals::block(Signal::ALL)?;
    let choice = cpu::choose(&config.cores, config.shards).map_err(Failure::usage_of)?;
    check_report(config)?;
    loops::check(&config.listen, is_ours)?;
    check_descriptors(config, choice.cores.len(), limits::raise_nofile()?.soft)?;
    memory::check(config, choice.cores.len())?;
    let serving = engine::choose(config.engine());
    let running = start(config, &choice, &serving)?;
    announce(config, &choice, &serving, &running);
    let mut manager = Manager::default();
    manager.tell(Stage::Ready);
    wait(config, &signals, &running)?;
    running.control().drain();
    manager.tell(Stage::Stopping);
    drain(&signals, &running)?;
    finish(config, &Report::last(&running.join()))
}

fn start(config: &Config, choice: &Choice, serving: &Serving) -> Result<Running, Failure> {
    // Until all listeners are bound: from then on the probe of another Ringmill finds them.
    let _locks = Locks::take(&config.listen, lock::PATIENCE)?;
    config.listen.iter().try_for_each(probe)?;
    let plan = plan(config, choice);
    let services = services::of(config, serving)?;
    let shared = Arc::clone(&services);
    let make = move |_, _: &Arc<Board>| Any::new(Arc::clone(&shared));
    let running = serving.engine.start(plan, Control::default(), make)?;
    services.set_bound(running.addresses());
    Ok(running)
}

fn plan(config: &Config, choice: &Choice) -> Plan {
    Plan {
        cores: choice.cores.iter().map(|core| Some(*core)).collect(),
        listeners: config.listen.iter().map(listen).collect(),
        connections_max: config.connections_max as usize,
        backlog: config.backlog as u32,
        threads_max: config.threads_max as u16,
        pool_workers: config.pool_workers as u16,
        pool_queue: config.pool_queue as usize,
        accept: config.accept,
        pool: config.pool(),
        spin: Duration::from_micros(config.spin_us),
        zero_copy: config.zero_copy.0,
        ring: config.ring,
        idle: config.idle(),
        park: Duration::from_millis(config.park_after_ms),
        drain: Duration::from_millis(config.drain_ms),
        ..Plan::default()
    }
}

fn listen(url: &Url) -> Listen {
    let is_admin = matches!(url.kind, Kind::Admin);
    Listen {
        transport: url.kind.transport(),
        address: url.address,
        v6only: url.v6only,
        // Admin sums what all shards counted: one of them is enough, and the others keep to their work.
        seat: is_admin.then_some(0),
        // It says that the server is draining for as long as that lasts.
        late: is_admin,
        refusal: matches!(url.kind, Kind::Http).then_some(BUSY),
    }
}

/// Whether the address is free, also of another Ringmill: its listeners would share it (SO_REUSEPORT), and each of the
/// two servers would get half of the connections without a word.
fn probe(url: &Url) -> Result<(), Failure> {
    if url.address.port() == 0 {
        return Ok(());
    }
    let until = Instant::now() + GOING;
    loop {
        match net::probe_free(url.address, url.kind.transport(), Some(url.v6only)) {
            Err(linux::Error::AddressInUse { .. }) if Instant::now() < until => thread::sleep(LOOK),
            probed => return probed.map_err(Failure::from),
        }
    }
}

/// Whether this machine has the address: then a socket can be bound to it.
fn is_ours(ip: IpAddr) -> bool {
    net::probe_free(SocketAddr::new(ip, 0), Transport::Udp, None).is_ok()
}

/// What is needed before the first connection: a ring, a wake-up and a socket for each listener on each shard.
fn check_descriptors(config: &Config, shards: usize, have: u64) -> Result<(), Failure> {
    let need = PROCESS_DESCRIPTORS + shards as u64 * (SHARD_DESCRIPTORS + config.listen.len() as u64);
    if have < need {
        return Err(linux::Error::NofileShort { have, need }.into());
    }
    Ok(())
}

/// A report that could not be written is better known now than at the end.
fn check_report(config: &Config) -> Result<(), Failure> {
    let Some(path) = &config.report else { return Ok(()) };
    if !file::has_place(path) {
        let what = format!("the report cannot be written to {}", path.display());
        return Err(Failure::usage(what).cure("`--report FILE` in a directory that exists"));
    }
    Ok(())
}

fn announce(config: &Config, choice: &Choice, serving: &Serving, running: &Running) {
    let mut notes: Vec<String> = choice.warning.iter().map(|warning| format!("warning  {warning}")).collect();
    if let Some(why) = &serving.instead {
        notes.push(format!("warning  {why}: {} serves in its place, see `ringmill caps`", serving.engine));
    }
    let is_public_site = |url: &Url| matches!(url.kind, Kind::Http) && url.is_public();
    if config.listen.iter().any(is_public_site) && !config.admin_public {
        notes.push("note     public listeners show no live figures on /: that takes --admin-public".into());
    }
    let start = Start {
        listen: &config.listen,
        addresses: running.addresses(),
        engine: serving.engine,
        seats: running.seats(),
        factors: config.ring,
        datagram_max: config.recv_buffers.datagram_max(),
        connections_max: config.connections_max as usize,
        notes: &notes,
    };
    table::say_under(&format!("ringmill {} serves", env!("CARGO_PKG_VERSION")), &start.text());
}

/// The service manager, if there is one, and what it was that kept us from telling it last.
#[derive(Default)]
struct Manager {
    complaint: Option<String>,
}

impl Manager {
    /// One that cannot be told is no reason not to serve: a warning, and the same one only once.
    fn tell(&mut self, stage: Stage) {
        // Set and empty is how a script says that there is none.
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some_and(|name| !name.is_empty());
        let complaint = notify(stage).err().filter(|_| is_there).map(|error| error.to_string());
        if let Some(new) = complaint.as_ref().filter(|_| complaint != self.complaint) {
            warn(PROGRAM, new);
        }
        self.complaint = complaint;
    }
}

/// Waits for a signal to end, and reports meanwhile when asked to.
fn wait(config: &Config, signals: &Signals, running: &Running) -> Result<(), Failure> {
    while signals.wait()? == Signal::User1 {
        let report = Report::live(running.board());
        match &config.report {
            Some(path) => {
                report.write(path).unwrap_or_else(|why| warn(PROGRAM, &format!("{}: {why}", path.display())))
            }
            None => table::say(&report.json()),
        }
    }
    Ok(())
}

/// Waits until every shard has ended. A second signal to end does not wait.
fn drain(signals: &Signals, running: &Running) -> Result<(), Failure> {
    let since = Instant::now();
    while !running.is_finished() {
        match signals.wait_timeout(LOOK)? {
            Some(Signal::Interrupt | Signal::Terminate) if since.elapsed() >= SAME => {
                running.control().abort();
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn finish(config: &Config, report: &Report) -> Result<(), Failure> {
    table::say_under("\nringmill has ended", &report.text());
    match &config.report {
        Some(path) => {
            report.write(path).map_err(|why| Failure::runtime(format!("{}: {why}", path.display())))
        }
        None => Ok(()),
    }
}

/// Who warns.
const PROGRAM: &str = env!("CARGO_BIN_NAME");

/// What signals to end within this time are: one, sent to the process and to its group, as timeout(1) does.
const SAME: Duration = Duration::from_millis(100);

/// How long the listeners of a process that was killed may still be there: the kernel takes a ring apart behind its end.
const GOING: Duration = Duration::from_millis(500);

/// How often a drain looks whether it is over. Nothing waits for it but the user.
const LOOK: Duration = Duration::from_millis(10);

/// Standard streams, and those that libraries and this thread open for a moment.
const PROCESS_DESCRIPTORS: u64 = 8;
/// A ring and its wake-up.
const SHARD_DESCRIPTORS: u64 = 4;
