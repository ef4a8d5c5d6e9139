//! What is meant: the variants, where they and the load run, and the load, made once from the flags and checked whole.
//!
//! Whatever could keep a round from being made is asked here, but for what the servers say for themselves. After it, the first process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use linux::console::Failure;
use linux::{cpu, file};
use stats::models::Asked;

use super::args::{Load, Output, Service, What, Words};
use super::variants::{self, Variant};
use crate::config::new_seed;
use crate::files::is_stdout;
use crate::room::{Room, Wish};

/// One comparison.
#[derive(Debug)]
pub(super) struct Config {
    /// The server's program.
    pub(super) server: PathBuf,
    /// At least one.
    pub(super) variants: Vec<Variant>,
    /// The name of one of them.
    pub(super) baseline: String,
    /// Cores of the server and of the load; none is in both.
    pub(super) cores_server: Vec<usize>,
    /// Of the load.
    pub(super) cores_load: Vec<usize>,
    /// What is served.
    pub(super) service: Service,
    /// The same as the result has it.
    pub(super) asked: Asked,
    /// Show no progress.
    pub(super) is_quiet: bool,
}

impl Config {
    /// What `words` mean on this machine. Errors: the first mistake, or what the machine refused.
    pub(super) fn of(words: &Words) -> Result<Config, Failure> {
        let Words { what, load, rounds, output, .. } = words;
        let has_idle = load.service != Service::UdpEcho;
        let most = if has_idle { load.connections.max(load.idle) } else { load.connections };
        let variants = chosen(what, most)?;
        let baseline = what.baseline.clone().unwrap_or_else(|| variants[0].name.clone());
        if !variants.iter().any(|variant| variant.name == baseline) {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
            let what = format!("--baseline {baseline} is none of the variants");
            return Err(Failure::usage(what).cure(format!("one of {}", names.join(", "))));
        }
        let bytes = bytes(load)?;
        let (cores_server, cores_load) = (&what.cores_server.0, &load.cores_load.0);
        apart(cores_server, cores_load)?;
        if load.connections < cores_load.len() as u32 {
            let what = format!("{} cores cannot share {} connections", cores_load.len(), load.connections);
            return Err(Failure::usage(what).cure("more `--connections`, or fewer `--cores-load`"));
        }
        room(load, cores_load.len(), has_idle)?;
        let numbers = |cores: &[usize]| cores.iter().map(|core| *core as u64).collect();
        let asked = Asked {
            service: crate::args::word(load.service),
            bytes: bytes as u64,
            connections: load.connections.into(),
            pipeline: load.pipeline.into(),
            rounds: rounds.rounds.into(),
            duration_ns: rounds.duration.as_nanos() as u64,
            warmup_ns: rounds.warmup.as_nanos() as u64,
            rate_per_s: load.rate.0,
            idle: if has_idle { load.idle.into() } else { 0 },
            cores_server: numbers(cores_server),
            cores_load: numbers(cores_load),
            verify: !load.no_verify,
            seed: rounds.seed.unwrap_or_else(new_seed),
        };
        Ok(Config {
            server: server(what.server.as_deref())?,
            variants,
            baseline,
            cores_server: cores_server.clone(),
            cores_load: cores_load.clone(),
            service: load.service,
            asked,
            is_quiet: output.quiet,
        })
    }
}

/// Files that could not be written are better known now than at the end.
pub(super) fn places(output: &Output) -> Result<(), Failure> {
    let Output { json, html, md, .. } = output;
    for (flag, path) in [("--html", html), ("--md", md), ("--json", json)] {
        let Some(path) = path else { continue };
        if is_stdout(path) && flag != "--json" {
            let what = format!("{flag} -: standard output is for the table, or for --json alone");
            return Err(Failure::usage(what).cure(format!("`{flag} FILE`")));
        }
        if !is_stdout(path) && !file::has_place(path) {
            let what = format!("{flag} {} cannot be written", path.display());
            return Err(Failure::usage(what).cure(format!("`{flag} FILE` in a directory that exists")));
        }
    }
    let named: Vec<&Path> = [json, html, md].into_iter().flatten().map(PathBuf::as_path).collect();
    match named.iter().enumerate().find(|(at, path)| named[..*at].contains(path)) {
        Some((_, path)) => {
            let what = format!("{} is named for two results", path.display());
            Err(Failure::usage(what).cure("a file of its own for each"))
        }
        None => Ok(()),
    }
}

/// The sets that were asked for, then those that were named one by one; the engines where nothing was.
fn chosen(what: &What, connections: u32) -> Result<Vec<Variant>, Failure> {
    let is_engines = what.engines || (!what.factors && what.variants.is_empty());
    let mut chosen = if is_engines { variants::engines(connections) } else { Vec::new() };
    if what.factors {
        chosen.extend(variants::factors());
    }
    chosen.extend(what.variants.iter().cloned());
    let twice = chosen.iter().enumerate().find(|(at, v)| chosen[..*at].iter().any(|w| w.name == v.name));
    match twice {
        Some((_, variant)) => {
            let what = format!("two variants are called {}", variant.name);
            Err(Failure::usage(what).cure("a `--variant` with another name"))
        }
        None => Ok(chosen),
    }
}

/// The program, which is there and may be run.
fn server(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("ringmill"));
    let path = named.map(Path::to_owned).or_else(beside).unwrap_or_else(|| "ringmill".into());
    let can_run =
        fs::metadata(&path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if !can_run {
        let what = format!("there is no server program at {}", path.display());
        return Err(Failure::usage(what)
            .cure("`--server FILE`, or `cargo build --release` for one beside this program"));
    }
    Ok(path)
}

fn bytes(load: &Load) -> Result<usize, Failure> {
    use service::load::{DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN};
    let bytes = load.bytes.unwrap_or(if load.service == Service::Http { PING_BYTES } else { ECHO_BYTES });
    let range = match load.service {
        Service::UdpEcho => DATAGRAM_BYTES_MIN..=DATAGRAM_BYTES_MAX,
        Service::Echo | Service::Http => 1..=usize::MAX,
    };
    if !range.contains(&bytes) {
        let fit = bytes.clamp(*range.start(), *range.end());
        return Err(Failure::usage(format!("--bytes {bytes} is nothing that can be sent"))
            .cure(format!("`--bytes {fit}`")));
    }
    if load.service == Service::UdpEcho && load.pipeline > 1 {
        return Err(
            Failure::usage("--pipeline above 1 means nothing with udp-echo").cure("more `--connections`")
        );
    }
    Ok(bytes)
}

/// Server and load have cores of their own: on a shared one each would measure the other.
fn apart(server: &[usize], load: &[usize]) -> Result<(), Failure> {
    let allowed = cpu::allowed()?;
    let flags = [("--cores-server", server), ("--cores-load", load)];
    for (flag, core) in flags.iter().flat_map(|(flag, cores)| cores.iter().map(move |core| (flag, core))) {
        if !allowed.contains(core) {
            let what = format!("{flag} {core}: the allowed cores are {}", cpu::list(&allowed));
            let cure = match allowed.as_slice() {
                [first, second, ..] => format!("`--cores-server {first} --cores-load {second}`"),
                _ => "a machine with two cores: server and load must not share one".into(),
            };
            return Err(Failure::usage(what).cure(cure));
        }
    }
    match server.iter().find(|core| load.contains(core)) {
        Some(core) => {
            let what = format!("server and load cannot share core {core}");
            Err(Failure::usage(what).cure("other `--cores-server` or `--cores-load`"))
        }
        None => Ok(()),
    }
}

/// Descriptors and ports, for the load and for idle connections; the server has the same limit of descriptors.
fn room(load: &Load, shards: usize, has_idle: bool) -> Result<(), Failure> {
    let room = Room::ask()?;
    let wish = Wish {
        connections: load.connections.into(),
        shards: shards as u64,
        udp: load.service == Service::UdpEcho,
        ..Wish::default()
    };
    room.check(wish)?;
    if !has_idle || load.idle == 0 {
        return Ok(());
    }
    if load.idle <= load.connections {
        let what = format!("--idle {} is not above --connections {}", load.idle, load.connections);
        return Err(
            Failure::usage(what).cure(format!("`--idle {}`, or 0", load.connections.saturating_mul(10)))
        );
    }
    let fewer = |failure: Failure| failure.cure("a smaller `--idle`, or a higher `ulimit -n`");
    room.check(Wish { connections: load.idle.into(), ..wish }).map_err(fewer)
}

/// What `/ping` answers.
pub(super) const PING_BYTES: usize = 2;
const ECHO_BYTES: usize = 64;
