//! What a profile would change on a host: for each of its values what is there, what it should be, and what stands in between.
//!
//! Reads, never writes. Whoever writes looks again: between the plan and the write a value may have changed.

use std::fmt::Write;

use serde::Serialize;

use crate::knob::{Access, Knob, Scope};
use crate::probe::{Found, Probe};
use crate::profile::{Dropped, Profile, Setting};
use crate::root::Root;
use crate::value::Value;

/// A profile held against a host.
#[derive(Debug)]
pub struct Plan {
    /// Whose values.
    pub profile: String,
    /// One for each file that a value is for, and for each value that has none here.
    pub lines: Vec<Line>,
    /// What the profile wanted in vain.
    pub dropped: Vec<Dropped>,
}

/// One value of a profile, held against one file.
#[derive(Debug)]
pub struct Line {
    /// What the profile says.
    pub setting: Setting,
    /// Relative to the root; empty where there is none.
    pub path: String,
    /// What the file holds, byte for byte; none where it was not read.
    pub text: Option<String>,
    /// What stands between it and the target.
    pub state: State,
    /// What this kernel says of the knob, where the catalogue says something else: see [`Plan::mark`].
    pub found: Option<Found>,
}

/// What stands between a value and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: it is as it should be.
    Met,
    /// Nothing: it is more than the profile asks for at least, and is left so.
    Kept,
    /// It is something else, and can be written.
    Pending,
    /// It is not here, for this reason.
    Absent(String),
    /// It is not for this program to change: what a person can do.
    Advice(String),
}

impl Plan {
    /// Holds `profile` against what is below `root`.
    pub fn of(profile: Profile, root: &Root) -> Plan {
        let lines = profile.settings.into_iter().flat_map(|setting| lines(setting, root)).collect();
        Plan { profile: profile.name, lines, dropped: profile.dropped }
    }

    /// Notes at each line what was found of its knob.
    pub fn mark(&mut self, probe: &Probe) {
        self.lines.iter_mut().for_each(|line| line.found = probe.note(line.setting.knob));
    }

    /// The values that are to be written.
    pub fn pending(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.state == State::Pending)
    }

    /// As a table for people, one paragraph a value that is not as it should be.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let met = self.lines.iter().filter(|line| line.is_as_wanted()).count();
        for line in self.lines.iter().filter(|line| line.state != State::Met) {
            text.push_str(&line.paragraph());
        }
        for Dropped { name, value, why } in &self.dropped {
            writeln!(text, "dropped  {name} = {value}: {why}").expect("writing to a String cannot fail");
        }
        let pending = self.pending().count();
        let other = self.lines.len() - met - pending;
        let counts = format!(
            "{}: {pending} to change, {met} as wanted, {other} not to be written here, {} dropped\n",
            self.profile,
            self.dropped.len()
        );
        text + &counts
    }

    /// One line a value, those that are not as they should be first.
    pub fn audit(&self) -> String {
        let of = |state: fn(&Line) -> bool| self.lines.iter().filter(move |line| state(line));
        let mut text = String::new();
        for line in of(|line| line.state == State::Pending) {
            let now = line.current().map_or("unreadable".into(), |value| value.to_string());
            writeln!(text, "differs  {} is {now}, wanted {}", line.name(), line.setting.value)
                .expect("writing to a String cannot fail");
        }
        for line in self.lines.iter().filter(|line| line.why_not().is_some()) {
            let why = line.why_not().expect("it was asked for");
            writeln!(text, "{}   {}: {why}", line.state_word(), line.name())
                .expect("writing to a String cannot fail");
        }
        for line in of(Line::is_as_wanted) {
            let now = line.current().expect("it was compared");
            writeln!(text, "as wanted  {} is {now}", line.name()).expect("writing to a String cannot fail");
        }
        for Dropped { name, why, .. } in &self.dropped {
            writeln!(text, "dropped  {name}: {why}").expect("writing to a String cannot fail");
        }
        text
    }

    /// As JSON, with a line end.
    pub fn json(&self) -> String {
        let lines = self.lines.iter().map(Line::shown).collect();
        let dropped = self.dropped.iter();
        let dropped = dropped.map(|d| ShownDropped { name: &d.name, value: &d.value, why: &d.why }).collect();
        let shown = Shown { profile: &self.profile, pending: self.pending().count(), lines, dropped };
        serde_json::to_string_pretty(&shown).expect("text and numbers are JSON") + "\n"
    }
}

impl Line {
    /// The value that the file holds, as far as it can be read.
    pub fn current(&self) -> Option<Value> {
        Value::read(self.setting.knob.kind, self.text.as_ref()?).ok()
    }

    /// The knob, with its place where it has several.
    pub fn name(&self) -> String {
        self.setting.name()
    }

    fn state_word(&self) -> &'static str {
        match self.state {
            State::Met => "met",
            State::Kept => "kept",
            State::Pending => "pending",
            State::Absent(_) => "absent",
            State::Advice(_) => "advice",
        }
    }

    fn is_as_wanted(&self) -> bool {
        matches!(self.state, State::Met | State::Kept)
    }

    fn why_not(&self) -> Option<&str> {
        match &self.state {
            State::Met | State::Kept | State::Pending => None,
            State::Absent(why) | State::Advice(why) => Some(why),
        }
    }

    /// What there is to know about it, in three lines.
    fn paragraph(&self) -> String {
        let knob = self.setting.knob;
        let unit = if knob.unit.is_empty() { String::new() } else { format!(" {}", knob.unit) };
        let target = &self.setting.value;
        let now = self.current().map_or("-".into(), |value| value.to_string());
        let mut text = match self.why_not() {
            None if self.state == State::Kept => {
                format!("{}  {now}{unit} is kept: the profile asks for {target} at least\n", self.name())
            }
            None => format!("{}  {now} -> {target}{unit}\n", self.name()),
            Some(why) => format!("{}  {target}{unit}: {why}\n", self.name()),
        };
        let default = knob.default.map_or("not the same on every host".into(), str::to_owned);
        let reboot = if knob.scope == Scope::Boot { "needs a reboot" } else { "no reboot" };
        // What is absent or may not be written says so by its state.
        let found = self.found.filter(|found| matches!(found, Found::OfHost | Found::OfNamespace));
        let found = found.map_or(String::new(), |found| format!(", but here {}", found.text()));
        writeln!(
            text,
            "  kernel default {default}; {}{found}; {reboot}; risk {}: {}",
            knob.scope, knob.danger, self.setting.risk
        )
        .expect("writing to a String cannot fail");
        if !self.setting.why.is_empty() {
            writeln!(text, "  why: {} (evidence: {})", self.setting.why, self.setting.evidence)
                .expect("writing to a String cannot fail");
        }
        text + "\n"
    }

    fn shown(&self) -> ShownLine<'_> {
        let knob = self.setting.knob;
        ShownLine {
            knob: self.name(),
            path: &self.path,
            state: self.state_word(),
            reason: self.why_not(),
            current: self.current().map(|value| value.to_string()),
            target: self.setting.value.to_string(),
            at_least: self.setting.at_least,
            default: knob.default,
            unit: knob.unit,
            scope: knob.scope.to_string(),
            found: self.found.map(Found::text),
            reboot: knob.scope == Scope::Boot,
            danger: knob.danger.to_string(),
            risk: &self.setting.risk,
            why: &self.setting.why,
            source: &self.setting.source,
            evidence: self.setting.evidence.to_string(),
            coupled: knob.coupled,
        }
    }
}

/// A line for each file that a setting is for.
fn lines(setting: Setting, root: &Root) -> Vec<Line> {
    let knob = setting.knob;
    let without = |setting: Setting, state: State| {
        vec![Line { setting, path: String::new(), text: None, state, found: None }]
    };
    if let Some(release) = knob.removed {
        return without(setting, State::Absent(format!("gone since Linux {release}")));
    }
    match knob.access {
        Access::File => {}
        Access::Flag(flag) => {
            let advice = format!("`ringmill {flag} {}`", setting.value);
            return without(setting, State::Advice(advice));
        }
        Access::Advice => {
            let advice = match knob.scope {
                Scope::Boot => "a parameter of the kernel's command line",
                Scope::Socket => "an option of the program's own sockets",
                _ => "held by a program for as long as it runs",
            };
            return without(setting, State::Advice(advice.into()));
        }
    }
    let places = match (&setting.place, knob.is_many()) {
        (Some(place), _) => vec![place.clone()],
        (None, false) => vec![String::new()],
        (None, true) => places(knob, root),
    };
    if places.is_empty() {
        return without(setting, State::Absent(nowhere(knob)));
    }
    places.into_iter().map(|place| line(setting.clone(), &place, root)).collect()
}

fn line(mut setting: Setting, place: &str, root: &Root) -> Line {
    let path = setting.knob.path_at(place).expect("places are made of its stars, or were checked");
    setting.place = (!place.is_empty()).then(|| place.to_owned());
    let (text, state) = match root.read(&path) {
        Ok(text) => {
            let now = Value::read(setting.knob.kind, &text).ok();
            let state = match now {
                Some(now) if now == setting.value => State::Met,
                Some(now) if setting.is_exceeded_by(&now) => State::Kept,
                _ if root.is_read_only(&path).unwrap_or(false) => {
                    State::Absent(format!("nobody may write /{path} here: it is the host's, or a fact"))
                }
                _ => State::Pending,
            };
            (Some(text), state)
        }
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            let since = setting.knob.since.map_or(String::new(), |since| format!(" (since Linux {since})"));
            (None, State::Absent(format!("this kernel has no /{path}{since}")))
        }
        Err(why) => (None, State::Absent(format!("/{path}: {why}"))),
    };
    Line { setting, path, text, state, found: None }
}

/// What is for nobody in particular: why it is for none.
fn nowhere(knob: &Knob) -> String {
    match knob.path.starts_with("proc/irq") {
        true => format!("say which interrupt: `{}@24=...`", knob.name),
        false => "there is no such device, queue or CPU here".into(),
    }
}

/// The files that a knob with stars stands for where nobody says which: those of hardware. Loopback, bridges and tunnels are left
/// alone, and of interrupts each has to be named: what is right for one is wrong for the next.
fn places(knob: &Knob, root: &Root) -> Vec<String> {
    if knob.path.starts_with("proc/irq") {
        return Vec::new();
    }
    let mut found: Vec<(String, String)> = vec![(String::new(), String::new())];
    for part in knob.path.split('/') {
        found = found
            .into_iter()
            .flat_map(|(place, before)| match part {
                "*" => root
                    .names(&before)
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|name| before != "sys/class/net" || is_hardware(name, root))
                    .map(|name| (joined(&place, &name), joined(&before, &name)))
                    .collect(),
                part => vec![(place, joined(&before, part))],
            })
            .collect();
    }
    // Transmit queues have no rps_cpus, and a CPU without a governor no such file.
    found.into_iter().filter(|(_, path)| root.read(path).is_ok()).map(|(place, _)| place).collect()
}

/// Whether a network device is one of a bus: only those have a `device/`.
fn is_hardware(name: &str, root: &Root) -> bool {
    root.read(&format!("sys/class/net/{name}/device/uevent")).is_ok()
}

fn joined(before: &str, part: &str) -> String {
    if before.is_empty() { part.into() } else { format!("{before}/{part}") }
}

#[derive(Serialize)]
struct Shown<'a> {
    profile: &'a str,
    pending: usize,
    lines: Vec<ShownLine<'a>>,
    dropped: Vec<ShownDropped<'a>>,
}

#[derive(Serialize)]
struct ShownLine<'a> {
    knob: String,
    path: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    current: Option<String>,
    target: String,
    at_least: bool,
    default: Option<&'static str>,
    unit: &'static str,
    scope: String,
    found: Option<&'static str>,
    reboot: bool,
    danger: String,
    risk: &'a str,
    why: &'a str,
    source: &'a str,
    evidence: String,
    coupled: &'static [&'static str],
}

#[derive(Serialize)]
struct ShownDropped<'a> {
    name: &'a str,
    value: &'a str,
    why: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    fn plan(fake: &Fake, settings: &[&str]) -> Plan {
        let words: Vec<String> = settings.iter().map(|word| word.to_string()).collect();
        Plan::of(Profile::typed(&words).expect("settings"), &fake.root())
    }

    fn states(plan: &Plan) -> Vec<(String, &'static str)> {
        plan.lines.iter().map(|line| (line.name(), line.state_word())).collect()
    }

    #[test]
    fn a_value_is_met_whatever_stands_between_its_numbers() {
        let fake = Fake::of(&[("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")]);
        let met = plan(&fake, &["net.ipv4.tcp_rmem=4096 131072 6291456"]);
        assert_eq!(states(&met), [("net.ipv4.tcp_rmem".into(), "met")]);
        assert_eq!(met.pending().count(), 0);
        let pending = plan(&fake, &["net.ipv4.tcp_rmem=4096 131072 6291457"]);
        let line = pending.pending().next().expect("one differs");
        assert_eq!(
            line.text.as_deref(),
            Some("4096\t131072\t6291456\n"),
            "what is given back is byte for byte"
        );
        assert!(
            pending.text().contains("4096 131072 6291456 -> 4096 131072 6291457 bytes"),
            "{}",
            pending.text()
        );
    }

    #[test]
    fn what_is_gone_absent_or_no_file_is_said_and_not_pending() {
        let fake = Fake::of(&[]);
        let plan = plan(
            &fake,
            &[
                "net.ipv4.tcp_tw_recycle=0",
                "net.ipv4.tcp_migrate_req=1",
                "boot.mitigations=off",
                "ringmill.spin-us=100",
                "device.irq_affinity=0",
                "device.threaded=1",
            ],
        );
        assert_eq!(plan.pending().count(), 0);
        let text = plan.text();
        for part in [
            "net.ipv4.tcp_tw_recycle  0: gone since Linux 4.12",
            "no /proc/sys/net/ipv4/tcp_migrate_req (since Linux 5.14)",
            "boot.mitigations  off: a parameter of the kernel's command line",
            "`ringmill --spin-us 100`",
            "say which interrupt: `device.irq_affinity@24=...`",
            "there is no such device, queue or CPU here",
            "needs a reboot",
            "--set: 0 to change, 0 as wanted, 6 not to be written here, 0 dropped",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_nobody_may_write_is_not_pending() {
        let fake = Fake::of(&[("proc/sys/net/core/rmem_max", "212992\n")]);
        fake.read_only("proc/sys/net/core/rmem_max");
        let plan = plan(&fake, &["net.core.rmem_max=4194304"]);
        assert_eq!(states(&plan), [("net.core.rmem_max".into(), "absent")]);
        assert!(plan.text().contains("nobody may write"), "{}", plan.text());
    }

    #[test]
    fn what_is_wanted_at_least_is_raised_and_never_lowered() {
        let text = "what = 'x'\n[[set]]\nknob='net.ipv4.tcp_max_orphans'\nvalue=262144\nat_least=true\n\
                    why='w'\nsource='s'\nevidence=''\n";
        let state = |now: &str| {
            let fake = Fake::of(&[("proc/sys/net/ipv4/tcp_max_orphans", now)]);
            let plan = Plan::of(Profile::read("x", text).expect("a profile"), &fake.root());
            assert!(plan.json().contains("\"at_least\": true"));
            (plan.lines[0].state_word(), plan.text(), plan.audit())
        };
        assert_eq!(state("65536\n").0, "pending");
        assert_eq!(state("262144\n").0, "met");
        let (kept, shown, audit) = state("1048576\n");
        assert_eq!(kept, "kept");
        assert!(
            shown.contains("1048576 connections is kept: the profile asks for 262144 at least"),
            "{shown}"
        );
        assert!(shown.contains("0 to change, 1 as wanted"), "{shown}");
        assert!(audit.contains("as wanted  net.ipv4.tcp_max_orphans is 1048576"), "{audit}");
        let vector = text.replace("262144", "'4096 4096 4096'").replace("max_orphans", "rmem");
        let dropped = Profile::read("x", &vector).expect("a profile").dropped;
        assert!(dropped[0].why.contains("a single number"), "{dropped:?}");
    }

    #[test]
    fn where_nobody_says_which_device_it_is_for_those_of_hardware() {
        let fake = Fake::of(&[
            ("sys/class/net/lo/queues/rx-0/rps_cpus", "0\n"),
            ("sys/class/net/eth0/device/uevent", "DRIVER=x\n"),
            ("sys/class/net/eth0/queues/rx-0/rps_cpus", "00000003\n"),
            ("sys/class/net/eth0/queues/rx-1/rps_cpus", "0\n"),
            ("sys/class/net/eth0/queues/tx-0/xps_cpus", "0\n"),
        ]);
        let all = plan(&fake, &["device.rps_cpus=3"]);
        let name = |place: &str| format!("device.rps_cpus@eth0/{place}");
        assert_eq!(states(&all), [(name("rx-0"), "met"), (name("rx-1"), "pending")]);
        assert_eq!(all.lines[1].path, "sys/class/net/eth0/queues/rx-1/rps_cpus");
        let one = plan(&fake, &["device.rps_cpus@lo/rx-0=3"]);
        assert_eq!(states(&one), [("device.rps_cpus@lo/rx-0".into(), "pending")]);
    }

    #[test]
    fn the_json_has_what_a_program_needs_to_decide() {
        let fake = Fake::of(&[("proc/sys/net/core/somaxconn", "128\n")]);
        let profile = Profile::read(
            "x",
            "what = 'x'\n[[set]]\nknob='kernel.core_pattern'\nvalue='|x'\nwhy=''\nsource=''\nevidence=''\n\
            [[set]]\nknob='net.core.somaxconn'\nvalue=4096\nwhy='w'\nsource='s'\nevidence='none measured here'\n",
        );
        let json = Plan::of(profile.expect("a profile"), &fake.root()).json();
        let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(told["pending"], 1);
        assert_eq!(told["dropped"][0]["name"], "kernel.core_pattern");
        let line = &told["lines"][0];
        assert_eq!((&line["current"], &line["target"]), (&"128".into(), &"4096".into()));
        assert_eq!((&line["state"], &line["reboot"]), (&"pending".into(), &false.into()));
        assert_eq!(line["evidence"], "none measured here");
    }
}
