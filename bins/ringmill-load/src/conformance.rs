//! `ringmill-load conformance`: servers that stall as they are told, and whether a load generator reports what they did.
//!
//! The server runs in this process, on a core of its own where there are two. What is expected is the waiting-time recursion over the
//! actual schedule, the stalls as the server's log has them, and its measured service rate, and the way to it and back on top. On
//! a machine that does other things too, wake-ups of milliseconds are seen as failures: they are real, and nobody's stall.

mod case;
mod tool;

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use linux::clock::Clock;
use linux::console::{Failure, tell};
use linux::cpu;
use serde_json::{Value, json};
use service::load::http::Request;
use service::load::{self, CloseBy, Gap, Gate, Late, Life, Load, Sink, Talk};
use service::stall::{Fault, Log, Speaks, Stall};
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Running, Transport, Wake};
use stats::interval::Interval;
use stats::schedule::{Arrivals, Law, Share};
use stats::text::{self, aligned};

use crate::files;
use case::{Case, Pace, cases, quantile};

/// Hold this generator, or another one, against servers whose stalls have known answers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Words {
    /// Another generator: wrk, hey, h2load, or a command line with {url}, {rate}, {rate_each} (of one connection), {duration} (seconds)
    /// and {connections}
    #[arg(long, value_name = "CMD")]
    tool: Option<String>,
    /// One server only: once, slow-one-in, periodic or slow-accept
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// The figures as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Holds the generator against each server. `true`: all is as it must be; of another tool nothing is judged.
pub(crate) fn run(words: &Words) -> Result<bool, Failure> {
    let mut chosen: Vec<Case> = cases().into_iter().collect();
    if let Some(only) = &words.only {
        chosen.retain(|case| case.name == only);
        if chosen.is_empty() {
            let what = format!("there is no stall server `{only}`");
            return Err(Failure::usage(what).cure("once, slow-one-in, periodic or slow-accept"));
        }
    }
    let cores = Cores::choose()?;
    let quiet = words.json.as_deref().is_some_and(files::is_stdout);
    let (mut all, mut values) = (true, Vec::new());
    for case in chosen {
        if words.tool.is_some() && case.churn.is_some() {
            // What it must be depends on which connection a tool takes for which request.
            continue;
        }
        let pace = calibrate(case, cores)?;
        let told = match &words.tool {
            None => own(case, cores, pace)?,
            Some(name) => foreign(case, cores, pace, name)?,
        };
        all &= told.rows.iter().all(|row| row.passes || words.tool.is_some());
        if !quiet {
            tell(&told.text(case, pace))?;
        }
        values.push(told.value(case, pace));
    }
    if let Some(path) = &words.json {
        let value = json!({ "rate_per_s": RATE, "passed": all, "servers": values });
        files::put(path, &(serde_json::to_string_pretty(&value).expect("numbers are JSON") + "\n"))?;
    }
    Ok(all)
}

/// One line of the table.
struct Row {
    name: String,
    measured_ns: Option<u64>,
    expected_ns: u64,
    passes: bool,
}

impl Row {
    fn new(name: String, measured_ns: Option<u64>, expected_ns: u64) -> Row {
        let near = |ns: u64| ns.abs_diff(expected_ns) as f64 <= (expected_ns as f64 * SHARE).max(NEAR_NS);
        Row { name, measured_ns, expected_ns, passes: measured_ns.is_some_and(near) }
    }
}

/// What became of one server.
struct Told {
    rows: Vec<Row>,
    /// What is to be seen of another tool whose percentiles are not recognised.
    raw: Option<String>,
    log: Log,
}

impl Told {
    fn text(&self, case: Case, pace: Pace) -> String {
        let of = |ns: u64| text::duration(ns as f64);
        let mut out = format!("{}: {}\n", case.name, case.what);
        let (service, way) = (of(pace.service_ns), of(pace.way_ns));
        out += &format!("  without it: {service} a request in a queue, {way} on the way and back\n");
        out += &format!("{:>8}{:>12}{:>12}{:>12}\n", "", "measured", "expected", "difference");
        for Row { name, measured_ns, expected_ns, passes } in &self.rows {
            let measured = measured_ns.map_or("-".into(), |ns| aligned(ns as f64));
            let difference = measured_ns.map_or("-".into(), |ns| {
                let sign = if ns < *expected_ns { "-" } else { "+" };
                format!("{sign}{}", aligned(ns.abs_diff(*expected_ns) as f64).trim_start())
            });
            let verdict = if *passes { "pass" } else { "FAIL" };
            let expected = aligned(*expected_ns as f64);
            out += &format!("{name:>8}{measured:>12}{expected:>12}{difference:>12}  {verdict}\n");
        }
        if let Some(raw) = &self.raw {
            out += "beside its figures:\n";
            raw.lines().for_each(|line| out += &format!("  | {line}\n"));
        }
        out + "\n"
    }

    fn value(&self, case: Case, pace: Pace) -> Value {
        let row = |row: &Row| json!({ "name": row.name, "measured_ns": row.measured_ns, "expected_ns": row.expected_ns, "passes": row.passes });
        json!({
            "name": case.name,
            "service_ns": pace.service_ns,
            "way_ns": pace.way_ns,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "stalls": self.log.stalls.len(),
            "requests": self.log.requests,
            "output": self.raw,
        })
    }
}

/// This generator against a server.
fn own(case: Case, cores: Cores, pace: Pace) -> Result<Told, Failure> {
    let arrivals = Arrivals::steady(Law::Constant, RATE as f64, case.duration.as_nanos() as u64, 1);
    let measured = measure(case, cores, load::Pace::Open(arrivals.clone()), case.duration)?;
    let Measured { total, begin_ns, log } = measured;
    let times = arrivals.share(Share { index: 0, of: 1 });
    let connect_ns =
        if total.connect.is_empty() { pace.connect_ns } else { total.connect.value_at_quantile(0.5) };
    let expected = case.expected(times, begin_ns, &log, Pace { connect_ns, ..pace });
    let of = |(name, q): (&str, f64)| {
        Row::new(name.into(), Some(total.response.value_at_quantile(q)), quantile(&expected, q))
    };
    let mut rows: Vec<Row> = QUANTILES.into_iter().map(of).collect();
    // The model knows of no failed request, and of none that waited for a connection, but where connections come and go.
    let counts = total.counts;
    let strange = counts.errors() + if case.churn.is_some() { 0 } else { counts.waited };
    if strange > 0 {
        rows.iter_mut().for_each(|row| row.passes = false);
        let said = format!("{} errors, {} arrivals waited for a connection", counts.errors(), counts.waited);
        return Ok(Told { rows, raw: Some(said), log });
    }
    Ok(Told { rows, raw: None, log })
}

/// Another generator against a server: what it printed, beside what an open loop at the rate must have seen.
fn foreign(case: Case, cores: Cores, pace: Pace, name: &str) -> Result<Told, Failure> {
    let (running, log) = serve(case.fault, cores)?;
    let url = format!("http://{}/", running.addresses()[0]);
    let ask = tool::Ask {
        url: &url,
        rate_per_s: RATE,
        duration_s: case.duration.as_secs(),
        connections: FOREIGN_CONNECTIONS,
    };
    let printed = tool::run(&tool::command(name, ask));
    let log = end(running, &log);
    let printed = printed?;
    let arrivals = Arrivals::steady(Law::Constant, RATE as f64, case.duration.as_nanos() as u64, 1);
    let begin_ns = log.first_ns.unwrap_or(0);
    let expected = case.expected(arrivals.share(Share { index: 0, of: 1 }), begin_ns, &log, pace);
    let found = tool::percentiles(&printed);
    let row = |(percent, ns): &(f64, u64)| {
        Row::new(format!("p{percent}"), Some(*ns), quantile(&expected, percent / 100.0))
    };
    let rows: Vec<Row> = match found.is_empty() {
        true => QUANTILES
            .into_iter()
            .map(|(name, q)| Row::new(name.into(), None, quantile(&expected, q)))
            .collect(),
        false => found.iter().map(row).collect(),
    };
    Ok(Told { rows, raw: found.is_empty().then_some(printed), log })
}

/// What a fault is added to: how long the server takes for one request of a queue that is never empty, which a short closed loop says,
/// and what the load sees of a server without a fault.
fn calibrate(case: Case, cores: Cores) -> Result<Pace, Failure> {
    // Over as many connections as the fault will be: a queue that is spread over many is taken in slower.
    let case = Case { fault: Fault::None, churn: None, ..case };
    let closed = measure(case, cores, load::Pace::Closed, CALIBRATION)?.total;
    let service_ns = CALIBRATION.as_nanos() as u64 / closed.counts.completed.max(1);
    let arrivals = Arrivals::steady(Law::Constant, RATE as f64, CALIBRATION.as_nanos() as u64, 1);
    let open = measure(case, cores, load::Pace::Open(arrivals), CALIBRATION)?.total;
    Ok(Pace {
        service_ns,
        connect_ns: closed.connect.value_at_quantile(0.5),
        way_ns: open.response.value_at_quantile(0.5).saturating_sub(service_ns),
    })
}

/// What one load saw.
struct Measured {
    total: Interval,
    begin_ns: u64,
    log: Log,
}

enum News {
    Ready,
    Step(Box<Interval>),
    Over,
}

struct Wire(Sender<News>);

impl Sink for Wire {
    fn ready(&mut self, _opened: u32, _failed: u32) {
        let _ = self.0.send(News::Ready);
    }

    fn step(&mut self, step: &mut Box<Interval>) {
        let _ = self.0.send(News::Step(std::mem::take(step)));
    }

    fn over(&mut self, _gaps: Vec<Gap>, _held: u32) {
        let _ = self.0.send(News::Over);
    }
}

fn measure(case: Case, cores: Cores, pace: load::Pace, duration: Duration) -> Result<Measured, Failure> {
    let (server, log) = serve(case.fault, cores)?;
    let target = server.addresses()[0];
    let request =
        Request::new("GET", "/", &[("Host", &target.to_string())], None).map_err(Failure::runtime)?;
    let config = Arc::new(load::Config {
        target,
        talk: Talk::Http(request),
        from: Vec::new(),
        seats: 1,
        connections: case.connections,
        pipeline: case.pipeline,
        pace,
        warmup: Duration::ZERO,
        duration,
        late: Late::Queue,
        waiting_max: u64::MAX,
        timeout: Duration::from_secs(10),
        life: case.churn.map_or(Life::Keep, Life::Churn),
        // No port is left in TIME_WAIT by connections that are churned.
        close: CloseBy::Rst,
        ramp_per_s: None,
        verify: true,
        seed: 1,
    });
    let plan = Plan {
        cores: vec![cores.generator],
        connections_max: case.connections as usize + 256,
        out_max: load::out_max(&config),
        stamps: true,
        turn_sends: 16,
        wake: Wake::Hybrid,
        ..Plan::default()
    };
    let (gate, (tell, news)) = (Arc::new(Gate::default()), channel());
    let (its_gate, tell) = (gate.clone(), Mutex::new(tell));
    let make = move |seat, _: &_| {
        let wire = Wire(tell.lock().expect("nothing panics under this lock").clone());
        Load::new(config.clone(), its_gate.clone(), seat, Box::new(wire))
    };
    let generator = uring::start(plan, Control::default(), make).inspect_err(|_| server.control().abort())?;
    let (mut total, mut begin_ns) = (Interval::new(), 0);
    loop {
        match news.recv_timeout(PATIENCE) {
            Ok(News::Ready) => {
                // Every connection has been accepted for longer than a slow accept takes.
                begin_ns = Clock::now_ns() + LEAD_NS;
                gate.open(begin_ns);
            }
            Ok(News::Step(step)) => total.join(&step),
            Ok(News::Over) => break,
            Err(_) => {
                generator.control().abort();
                server.control().abort();
                return Err(Failure::runtime("the load against the stall server did not end"));
            }
        }
    }
    generator.control().abort();
    generator.join();
    Ok(Measured { total, begin_ns, log: end(server, &log) })
}

/// Starts a stall server on a port of the kernel's choice.
fn serve(fault: Fault, cores: Cores) -> Result<(Running, Arc<Mutex<Log>>), Failure> {
    let listen = Listen {
        transport: Transport::Tcp,
        address: ([127, 0, 0, 1], 0).into(),
        v6only: true,
        seat: None,
        late: false,
        refusal: None,
    };
    let plan = Plan {
        cores: vec![cores.server],
        listeners: vec![listen],
        wake: Wake::Hybrid,
        // What has waited for the end of a stall is answered one behind the other, as the model has it, not all at once.
        turn_sends: 8,
        ..Plan::default()
    };
    let log = Arc::new(Mutex::new(Log::default()));
    let its_log = log.clone();
    let make = move |_, _: &_| Stall::new(fault, vec![Speaks::Http], its_log.clone());
    Ok((uring::start(plan, Control::default(), make)?, log))
}

fn end(running: Running, log: &Mutex<Log>) -> Log {
    running.control().drain();
    running.join();
    log.lock().expect("nothing panics under this lock").clone()
}

/// Where the two run: apart, where there are two cores.
#[derive(Clone, Copy, Debug)]
struct Cores {
    server: Option<usize>,
    generator: Option<usize>,
}

impl Cores {
    fn choose() -> Result<Cores, Failure> {
        let allowed = cpu::allowed()?;
        let at = |index: usize| allowed.iter().copied().nth(index).filter(|_| allowed.len() > 1);
        Ok(Cores { server: at(0), generator: at(1) })
    }
}

/// Requests a second.
const RATE: u64 = 10_000;
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
/// What is near enough: 2 %, or 100 us.
const SHARE: f64 = 0.02;
const NEAR_NS: f64 = 100_000.0;
const CALIBRATION: Duration = Duration::from_secs(1);
const LEAD_NS: u64 = 500_000_000;
const PATIENCE: Duration = Duration::from_secs(30);
/// For other tools, none of which knows pipelining at a rate.
const FOREIGN_CONNECTIONS: u32 = 100;

const EXAMPLES: &str = "\
Examples:
  ringmill-load conformance
  ringmill-load conformance --only periodic --json -
  ringmill-load conformance --tool wrk
  ringmill-load conformance --tool 'oha -q {rate} -z {duration}s -c {connections} --no-tui {url}'

Passes within 2 % or 100 us of what is expected; ends with 4 when this generator does not. A tool is shown, not judged.";
