//! `ringmill-load storm frame-udp://HOST:PORT`: frames over datagrams, through loss, duplication and reordering of its own making.
//!
//! A URL of that scheme in place of a command means it. The question is not how fast, but whether a frame is delivered twice or lost
//! without a word; the verdict is invalid when one is.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use linux::console::{Failure, tell};
use serde_json::{Value, json};
use service::frame::udp::Odds;
use service::load::storm::{BYTES_MIN, Config, Report, Storm};
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Transport};

use crate::{files, words};

/// Send frames over datagrams through bad weather, and say what became of each.
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// frame-udp://ADDRESS:PORT
    #[arg(value_name = "URL", value_parser = target)]
    target: SocketAddr,
    /// Frames a second, of all clients.
    #[arg(long, value_name = "RATE", default_value = "10k", value_parser = words::steady_rate)]
    rate: f64,
    /// How long.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = words::duration)]
    duration: Duration,
    /// Clients, each with a socket.
    #[arg(long, value_name = "N", default_value = "64", value_parser = words::count)]
    connections: u32,
    /// Bytes of a payload [8 to 65487].
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = words::bytes)]
    bytes: usize,
    /// Datagrams dropped, each way.
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    loss: f64,
    /// Datagrams sent twice, each way.
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    duplicate: f64,
    /// Datagrams held back until the next has gone, each way.
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    reorder: f64,
    /// Ask for frames to be delivered in their order.
    #[arg(long)]
    ordered: bool,
    /// Of the weather.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What was asked and what came of it as JSON; - is standard output, and the text then goes to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it; says whether no frame was delivered twice, out of order or lost without a word. Errors: no server, no sockets.
pub(crate) fn run(words: &Words) -> Result<bool, Failure> {
    let Words { target, rate, duration, connections, bytes, loss, duplicate, reorder, ordered, seed, .. } =
        *words;
    if !(BYTES_MIN..=65_487).contains(&bytes) {
        return Err(Failure::usage(format!("a frame of {bytes} bytes is no datagram")).cure("`--bytes 64`"));
    }
    let odds = Odds { loss, duplicate, reorder };
    let config =
        Config { target, clients: connections, rate_per_s: rate, duration, bytes, ordered, odds, seed };
    let (send, told) = mpsc::channel();
    // The engine makes a service for each seat, from whichever thread; there is one.
    let send = Mutex::new(Some(send));
    let make = move |_: u16, _: &_| {
        let send = send.lock().expect("nothing panics under this lock").take().expect("there is one seat");
        Storm::new(config.clone(), send)
    };
    let running = uring::start(plan(target, connections), Control::default(), make)?;
    let report = told.recv();
    running.control().drain();
    running.join();
    let report = report.map_err(|_| Failure::runtime("the seat ended before the load was over"))?;
    let text = text(words, &report);
    if words.json.as_deref().is_some_and(files::is_stdout) {
        let _ = std::io::stderr().write_all(text.as_bytes());
    } else {
        tell(&text)?;
    }
    if let Some(path) = &words.json {
        let value = value(words, &report);
        files::put(path, &(serde_json::to_string_pretty(&value).expect("numbers are JSON") + "\n"))?;
    }
    Ok(is_sound(&report))
}

fn plan(target: SocketAddr, clients: u32) -> Plan {
    let ip = match (target, target.ip().is_loopback()) {
        (SocketAddr::V4(_), true) => std::net::Ipv4Addr::LOCALHOST.into(),
        (SocketAddr::V4(_), false) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        (SocketAddr::V6(_), true) => std::net::Ipv6Addr::LOCALHOST.into(),
        (SocketAddr::V6(_), false) => std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    let socket = Listen {
        transport: Transport::Udp,
        address: SocketAddr::new(ip, 0),
        v6only: true,
        seat: Some(0),
        late: false,
        refusal: None,
    };
    Plan {
        cores: vec![None],
        listeners: (0..clients).map(|_| socket).collect(),
        connections_max: clients as usize + 16,
        drain: Duration::from_secs(2),
        ..Plan::default()
    }
}

fn is_sound(report: &Report) -> bool {
    let Report { twice, disordered, wrong, silent, unsent, opened, frames, .. } = *report;
    frames > 0 && opened > 0 && [twice, disordered, wrong, silent, unsent] == [0; 5]
}

fn text(words: &Words, report: &Report) -> String {
    let Report {
        frames, answered, twice, disordered, wrong, given_up, no_answer, ended, silent, unsent, ..
    } = *report;
    let Report { retransmitted, opened, broken, weather: [out, back], .. } = *report;
    let us = |quantile| report.response_us.value_at_quantile(quantile) as f64 / 1_000.0;
    let order = if words.ordered { "in order" } else { "in any order" };
    let way =
        |[lost, doubled, held]: [u64; 3]| format!("{lost} dropped, {doubled} doubled, {held} held back");
    format!(
        "frame-udp://{}  {} clients, {} frames/s for {:?}, {} bytes, {order}
weather       out: {}
              back: {}
frames        {frames} sent, {answered} answered once; sent again {retransmitted} times
reported      {given_up} given up, {no_answer} without an answer, {ended} in {broken} conversations that ended; {opened} opened
response      p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms
delivered twice   {twice}
out of order      {disordered}
not what was sent {wrong}
lost silently     {silent}
never sent        {unsent}
verdict       {}
",
        words.target,
        words.connections,
        words.rate,
        words.duration,
        words.bytes,
        way(out),
        way(back),
        us(0.5),
        us(0.99),
        us(1.0),
        if is_sound(report) { "each frame once, or reported" } else { "INVALID" },
    )
}

/// The same as numbers under names. Times are in nanoseconds, as in the results of the other commands.
fn value(words: &Words, report: &Report) -> Value {
    let ns = |quantile| report.response_us.value_at_quantile(quantile) * 1_000;
    let way =
        |[lost, doubled, held]: [u64; 3]| json!({ "dropped": lost, "doubled": doubled, "held_back": held });
    let [out, back] = report.weather;
    json!({
        "asked": {
            "url": format!("frame-udp://{}", words.target),
            "clients": words.connections,
            "rate_per_s": words.rate,
            "duration_ns": words.duration.as_nanos() as u64,
            "bytes": words.bytes,
            "ordered": words.ordered,
            "loss": words.loss,
            "duplicate": words.duplicate,
            "reorder": words.reorder,
            "seed": words.seed,
        },
        "weather": { "out": way(out), "back": way(back) },
        "conversations": { "opened": report.opened, "broken": report.broken },
        "frames": {
            "sent": report.frames,
            "answered": report.answered,
            "retransmitted": report.retransmitted,
            "given_up": report.given_up,
            "no_answer": report.no_answer,
            "ended": report.ended,
            "twice": report.twice,
            "disordered": report.disordered,
            "wrong": report.wrong,
            "silent": report.silent,
            "unsent": report.unsent,
        },
        "response": { "p50_ns": ns(0.5), "p99_ns": ns(0.99), "max_ns": ns(1.0) },
        "sound": is_sound(report),
    })
}

fn target(word: &str) -> Result<SocketAddr, String> {
    let place = word.strip_prefix("frame-udp://").ok_or("expected frame-udp://ADDRESS:PORT")?;
    let place = place.strip_suffix('/').unwrap_or(place);
    place
        .replace("localhost", "127.0.0.1")
        .parse()
        .map_err(|_| format!("`{place}` is no address with a port"))
}

/// `10%`, or `0.1`.
fn share(word: &str) -> Result<f64, String> {
    let (number, unit) = word.strip_suffix('%').map_or((word, 1.0), |number| (number, 100.0));
    match number.parse::<f64>() {
        Ok(number) if (0.0..=0.9).contains(&(number / unit)) => Ok(number / unit),
        _ => Err(format!("`{word}`: expected 0% to 90%")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percents_or_fractions_and_never_all() {
        assert_eq!(share("10%"), Ok(0.1));
        assert_eq!(share("0.25"), Ok(0.25));
        for bad in ["", "%", "91%", "-1%", "1", "ten"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_frame_that_is_lost_without_a_word_spoils_the_verdict() {
        let good = Report { frames: 10, answered: 9, given_up: 1, opened: 1, ..Report::default() };
        assert!(is_sound(&good));
        for bad in [
            Report { twice: 1, ..good.clone() },
            Report { silent: 1, ..good.clone() },
            Report { disordered: 1, ..good.clone() },
            Report { wrong: 1, ..good.clone() },
            Report { unsent: 1, ..good.clone() },
            Report::default(),
        ] {
            assert!(!is_sound(&bad), "{bad:?}");
        }
    }
}
