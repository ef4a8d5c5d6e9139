//! One run: everything in it is fresh, and gone when it ends.
//!
//! It has a thread of its own, which enters a new namespace and never comes back. Server and load are started by that thread, so they are
//! in the namespace too and see its devices in `/sys`, and the kernel ends them should the thread end before them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use linux::machine::Counters;
use linux::{cpu, loopback, namespace};
use stats::experiment::Run;
use stats::outcome::{Environment, Outcome, State};
use stats::verdict::{Finding, findings};

use super::arm::{ArmPlan, Set};
use super::load::printed;
use super::place::Place;
use super::server::Server;
use super::workload::{Kind, Workload, is_time_of_answers};
use crate::root::Root;
use crate::value::Value;

/// What a run gave; its place in the experiment is not yet in it.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) run: Run,
    /// Where it ran; a command does not say.
    pub(super) environment: Option<Environment>,
}

/// Makes a run of `arm`. Errors: why there is none, in a sentence without its end.
pub(super) fn one(
    place: &Place,
    workload: &Workload,
    arm: &ArmPlan,
    seed: u64,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Made, String> {
    apart(|| {
        fresh(&arm.settings)?;
        let before = Weather::now();
        let mut made = match &workload.kind {
            Kind::Command(words) => command(place, workload, words, is_stopped),
            kind => native(place, workload, kind, arm, seed, is_stopped),
        }?;
        (made.run.steal_share, made.run.pressure_share) = Weather::now().since(&before);
        Ok(made)
    })
}

/// Whether this machine takes the settings of `arm`, and its server the flags: tried, and all of it gone. Errors: what refuses them, in a
/// sentence without its end.
pub(super) fn takes(place: &Place, kind: &Kind, arm: &ArmPlan) -> Result<(), String> {
    apart(|| {
        fresh(&arm.settings)?;
        match kind.scheme() {
            _ if arm.flags.is_empty() => Ok(()),
            None => Err("it is a flag of the server, and a command brings its own".into()),
            Some(scheme) => Server::start(place, scheme, &arm.flags).map(drop),
        }
    })
}

/// What `act` returns, in a thread of its own.
fn apart<T: Send>(act: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| scope.spawn(act).join()).expect("a run says what it met instead of a panic")
}

/// Takes the calling thread into a new network namespace with these settings, and with a `/sys` that shows it.
fn fresh(settings: &[Set]) -> Result<(), String> {
    let met = |what: &'static str| move |why: std::io::Error| format!("{what}: {why}");
    namespace::new_network().map_err(met("a network namespace of its own takes CAP_SYS_ADMIN"))?;
    loopback::lift().map_err(met("lift the loopback device"))?;
    // Before the first program is started: it is to see the devices that the namespace has, and no others.
    namespace::own_sysfs().map_err(met("a sysfs of its own"))?;
    let root = Root::host().map_err(met("open the settings"))?;
    for Set { knob, value } in settings {
        let met = |why: std::io::Error| format!("{}={value}: {why}", knob.name);
        // Looked at first: a write may find nothing too, such as a congestion control that is no module of this kernel.
        root.read(knob.path).map_err(|why| match why.kind() {
            std::io::ErrorKind::NotFound => {
                format!("{}: this kernel shows it in no namespace but the first", knob.name)
            }
            _ => met(why),
        })?;
        // The catalogue says whose it is; the kernel's word counts more, and what is written here must not be felt elsewhere.
        if root.is_read_only(knob.path).map_err(met)? {
            return Err(format!(
                "{}: this kernel shows it in a namespace, and it is the whole host's",
                knob.name
            ));
        }
        root.write(knob.path, &value.to_string()).map_err(met)?;
        let text = root.read(knob.path).map_err(met)?;
        if Value::read(knob.kind, &text).as_ref() != Ok(value) {
            return Err(format!("{}={value}: the kernel made `{}` of it", knob.name, text.trim()));
        }
    }
    Ok(())
}

/// `ringmill-load` against `ringmill`.
fn native(
    place: &Place,
    workload: &Workload,
    kind: &Kind,
    arm: &ArmPlan,
    seed: u64,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Made, String> {
    let scheme = kind.scheme().expect("only a command has none");
    let server = Server::start(place, scheme, &arm.flags)?;
    let (path, flags) = kind.load();
    let mut load = Command::new(&place.load);
    load.arg(format!("{scheme}://{}{path}", server.address)).args(flags);
    match workload.rate_per_s {
        Some(per_s) => load.args(["--rate", &per_s.to_string()]),
        None => load.arg("--closed"),
    };
    let ms = |time: Duration| format!("{}ms", time.as_millis());
    load.args(["--duration", &ms(workload.duration), "--warmup", &ms(workload.warmup)]);
    load.args([
        "--seed",
        &seed.to_string(),
        "--cores",
        &cpu::list(&place.cores_load),
        "--quiet",
        "--json",
        "-",
    ]);
    let before = server.process.cpu_ns();
    let longest = workload.duration + workload.warmup + PATIENCE;
    let (text, _) = printed(load, &place.cores_load, longest, &|| is_stopped())?;
    let spent = server.process.cpu_ns().zip(before).map(|(after, before)| after.saturating_sub(before));
    let outcome: Outcome =
        serde_json::from_str(&text).map_err(|why| format!("the generator's result cannot be read: {why}"))?;
    let run = figures(&outcome, &workload.metric, spent);
    Ok(Made { run, environment: Some(outcome.environment) })
}

/// What a result of the generator says, with what the server's process spent meanwhile.
fn figures(outcome: &Outcome, metric: &str, spent_ns: Option<u64>) -> Run {
    let excluded = spoilt(&findings(outcome), metric).map(str::to_owned);
    let mut run = Run { excluded, ..Run::default() };
    run.put("failed_requests", outcome.errors.sum() as f64);
    run.put("requests_per_s", outcome.rate.achieved_per_s);
    run.put("received_bytes_per_s", outcome.rate.received_bytes_per_s);
    let answers = outcome.arrivals.answered + outcome.arrivals.warmup;
    if let Some(spent) = spent_ns.filter(|_| answers > 0) {
        run.put("cpu_ns_per_request", spent as f64 / answers as f64);
    }
    let response = &outcome.latency.response;
    let quantiles = [
        ("p50_ns", response.p50_ns),
        ("p90_ns", response.p90_ns),
        ("p99_ns", response.p99_ns),
        ("p99_9_ns", response.p99_9_ns),
        ("max_ns", response.max_ns),
        ("connect_p99_ns", outcome.latency.connect.p99_ns),
        ("connect_max_ns", outcome.latency.connect.max_ns),
    ];
    for (name, ns) in quantiles {
        ns.into_iter().for_each(|ns| run.put(name, ns as f64));
    }
    for (counter, name) in COUNTERS {
        let change = outcome.environment.changes.iter().find(|change| change.name == *counter);
        change.into_iter().for_each(|change| run.put(name, change.by as f64));
    }
    run
}

/// Why a run is invalid by the generator's own rules, if it is so for what the generator did, or for want of what the metric is made of.
/// The judge of that must call it invalid itself: a reservation beside errors that spoil the run is no reason to leave it out. Requests that
/// failed and a rate that was not reached are what a setting does to a server: without such runs it would look harmless.
fn spoilt<'a>(findings: &'a [Finding], metric: &str) -> Option<&'a str> {
    let judges: &[&str] = match is_time_of_answers(metric) {
        true => &["send_lag:", "answers:", "samples:"],
        false => &["send_lag:", "answers:"],
    };
    let is_its_own = |finding: &&Finding| judges.iter().any(|judge| finding.reason.starts_with(judge));
    let mut invalid = findings.iter().filter(|finding| finding.state == State::Invalid);
    invalid.find(is_its_own).map(|finding| finding.reason.as_str())
}

/// The user's program, whose figure is found by its path in what it printed: `rate.achieved_per_s`.
fn command(
    place: &Place,
    workload: &Workload,
    words: &[String],
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Made, String> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    let mut cores = place.cores_server.clone();
    cores.extend(place.cores_load.iter().filter(|core| !place.cores_server.contains(core)));
    let (text, code) = printed(command, &cores, COMMAND_LONGEST, &|| is_stopped())?;
    let mut made = Made::default();
    if code != Some(0) {
        made.run.excluded =
            Some(code.map_or("a signal ended it".into(), |code| format!("it ended with code {code}")));
    }
    let printed: serde_json::Value =
        serde_json::from_str(&text).map_err(|why| format!("what {} printed is no JSON: {why}", words[0]))?;
    let found = workload.metric.split('.').try_fold(&printed, |value, key| value.get(key));
    let value = found.and_then(serde_json::Value::as_f64);
    let value =
        value.ok_or_else(|| format!("what {} printed has no number {}", words[0], workload.metric))?;
    made.run.put(&workload.metric, value);
    Ok(made)
}

/// What others take of the machine.
struct Weather {
    clock: std::time::Instant,
    counters: Counters,
    /// Hundredths of a second of all cores: all of them, and those that the hypervisor gave to others.
    ticks: Option<[u64; 2]>,
}

impl Weather {
    fn now() -> Weather {
        let ticks = ticks(&fs::read_to_string("/proc/stat").unwrap_or_default());
        Weather { clock: std::time::Instant::now(), counters: Counters::now(), ticks }
    }

    /// Shares of the time since `before`: stolen, and waited for a core.
    fn since(&self, before: &Weather) -> (Option<f64>, Option<f64>) {
        let steal = self.ticks.zip(before.ticks).and_then(|([all, stolen], [before_all, before_stolen])| {
            let all = all.checked_sub(before_all).filter(|all| *all > 0)?;
            Some(share(stolen.saturating_sub(before_stolen) as f64 / all as f64))
        });
        let passed = self.clock.duration_since(before.clock).as_micros() as f64;
        let waited = self.counters.get(PRESSURE).zip(before.counters.get(PRESSURE));
        (steal, waited.map(|(after, before)| share((after - before) as f64 / passed)))
    }
}

/// The first line of proc_stat(5): `cpu user nice system idle iowait irq softirq steal ...`.
fn ticks(stat: &str) -> Option<[u64; 2]> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let fields: Vec<u64> = fields.take(8).map(|field| field.parse().ok()).collect::<Option<_>>()?;
    Some([fields.iter().sum(), *fields.get(7)?])
}

/// To a millionth.
fn share(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// How much longer than its times a load may take: connects, and answers that are late.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a command may take.
const COMMAND_LONGEST: Duration = Duration::from_secs(600);
const PRESSURE: &str = "psi.cpu.some_us";
/// Counters of the run's own namespace that tell how a setting did what it did.
const COUNTERS: &[(&str, &str)] = &[
    ("TcpExt.ListenOverflows", "listen_overflows"),
    ("TcpExt.ListenDrops", "listen_drops"),
    ("Tcp.RetransSegs", "retransmitted_segments"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::FIGURES;

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is not made says so")]
    fn what_this_machine_refuses_is_found_without_a_run() {
        let place = Place {
            server: "/nowhere/ringmill".into(),
            load: "/nowhere/ringmill-load".into(),
            cores_server: cpu::allowed().expect("a thread runs somewhere"),
            cores_load: Vec::new(),
        };
        let command = Kind::Command(vec!["/bin/true".into()]);
        let taken = |kind: &Kind, spec: &str| takes(&place, kind, &ArmPlan::parse(spec).expect("settings"));
        if let Err(why) = taken(&command, "") {
            return eprintln!("not tested: {why}");
        }
        let refused = |kind: &Kind, spec: &str| taken(kind, spec).expect_err(spec);
        assert_eq!(taken(&command, "net.core.somaxconn=8"), Ok(()));
        // Shown as 8080-8081.
        assert_eq!(taken(&command, "net.ipv4.ip_local_reserved_ports=8081,8080"), Ok(()));
        let unknown = "net.ipv4.tcp_congestion_control=nosuch";
        let why = refused(&command, unknown);
        assert!(why.starts_with(&format!("{unknown}: ")) && why.contains("os error"), "{why}");
        assert!(refused(&command, "ringmill:--spin-us 1").contains("a command brings its own"));
        assert!(refused(&Kind::Http, "ringmill:--spin-us 1").contains("/nowhere/ringmill"));
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is not made says so")]
    fn what_a_namespace_shows_of_the_host_is_not_written_whatever_the_catalogue_says() {
        let knob = crate::catalogue::named("net.core.rmem_max").expect("it is there");
        let file = format!("/{}", knob.path);
        let before = fs::read_to_string(&file).expect("every Linux has it");
        // The value that is there: where this fails, nothing has changed for anybody.
        let value = Value::read(knob.kind, &before).expect("a number");
        let met = apart(|| fresh(&[Set { knob, value }]));
        if met.as_ref().is_err_and(|why| why.contains("CAP_SYS_ADMIN")) {
            return eprintln!("not tested: {met:?}");
        }
        let why = met.expect_err("it is the host's");
        assert!(
            why.contains("it is the whole host's") || why.contains("in no namespace but the first"),
            "{why}"
        );
        assert_eq!(fs::read_to_string(&file).expect("read before"), before);
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is not made says so")]
    fn the_programs_of_a_run_see_the_devices_of_its_namespace_and_not_the_hosts() {
        let here = fs::read_dir("/sys/class/net").expect("every Linux has it").flatten();
        let here: Vec<String> = here.filter_map(|device| device.file_name().into_string().ok()).collect();
        let cores = cpu::allowed().expect("a thread runs somewhere");
        let seen = apart(|| {
            fresh(&[])?;
            let mut list = Command::new("ls");
            list.arg("/sys/class/net");
            printed(list, &cores, PATIENCE, &|| false)
        });
        let seen = match seen {
            Err(why) if why.contains("CAP_SYS_ADMIN") => return eprintln!("not tested: {why}"),
            other => other.expect("a namespace of its own").0,
        };
        assert!(seen.lines().any(|device| device == "lo"), "{seen}");
        // A module may put devices of its own into every namespace; hardware is in one only.
        for device in here.iter().filter(|device| *device == "eth0") {
            assert!(!seen.lines().any(|other| other == device), "{device}: {seen}");
        }
    }

    #[test]
    fn every_figure_of_a_run_is_one_that_can_be_declared_and_the_other_way_round() {
        use stats::outcome::Change;
        let text = include_str!("../../../../docs/measuring/stall.json");
        let mut outcome: Outcome = serde_json::from_str(text).expect("a result of the generator");
        let changes = COUNTERS.iter().map(|(counter, _)| Change { name: (*counter).to_owned(), by: 1 });
        outcome.environment.changes = changes.collect();
        let times = &mut outcome.latency;
        for quantiles in [&mut times.response, &mut times.connect] {
            (quantiles.p50_ns, quantiles.p90_ns, quantiles.p99_ns) = (Some(1), Some(1), Some(1));
            (quantiles.p99_9_ns, quantiles.max_ns) = (Some(1), Some(1));
        }
        let run = figures(&outcome, "requests_per_s", Some(1));
        let mut names: Vec<&str> = run.figures.keys().map(String::as_str).collect();
        let mut declared = FIGURES.to_vec();
        names.sort_unstable();
        declared.sort_unstable();
        assert_eq!(names, declared);
    }

    #[test]
    fn stolen_time_is_the_eighth_field_of_all_cores() {
        let stat = "cpu  10 1 20 300 4 0 5 60 7 0\ncpu0 1 1 1 1 1 1 1 1\n";
        assert_eq!(ticks(stat), Some([400, 60]));
        assert_eq!((ticks(""), ticks("cpu  1 2 3\n")), (None, None));
    }

    #[test]
    fn a_run_is_excluded_for_what_its_generator_did_and_not_for_what_the_setting_did_to_the_server() {
        let check = |found: &[(State, &str)], metric: &str, expected: bool| {
            let finding = |&(state, reason): &(State, &str)| Finding { state, reason: reason.into() };
            let found: Vec<Finding> = found.iter().map(finding).collect();
            assert_eq!(spoilt(&found, metric).is_some(), expected, "{found:?} {metric}");
        };
        let lagged = (State::Invalid, "send_lag: p99 is 3 ms");
        let lags = (State::Degraded, "send_lag: p99 is 30 us");
        let failed = (State::Invalid, "errors: 12 % failed");
        let few = (State::Invalid, "samples: 25 carry no quantile");
        check(&[lagged], "requests_per_s", true);
        check(&[lags], "requests_per_s", false);
        check(&[failed], "requests_per_s", false);
        check(&[lags, failed], "requests_per_s", false);
        check(&[lagged, failed], "requests_per_s", true);
        check(&[(State::Invalid, "rate: 50 % of it")], "p99_ns", false);
        check(&[few], "received_bytes_per_s", false);
        check(&[few], "cpu_ns_per_request", false);
        check(&[few], "p99_ns", true);
    }

    #[test]
    fn what_others_take_is_a_share_of_the_time_between() {
        let before = Weather { ticks: Some([1_000, 10]), ..Weather::now() };
        let after = Weather { ticks: Some([1_200, 20]), ..Weather::now() };
        assert_eq!(after.since(&before).0, Some(0.05));
        assert_eq!(before.since(&after).0, None, "time does not go back");
    }
}
