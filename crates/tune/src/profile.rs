//! What somebody wants a host to be set to: values of knobs, each with why, source, risk and what is known of its effect.
//!
//! A profile runs as root in the end, and may come from anywhere. So it can name only knobs of the catalogue, each value is
//! checked by its kind, and the rest is dropped and listed, whatever the format. Its texts are one line each, since they come to a
//! terminal of root's and into files of sysctl.d. It never says more of its effect than that somebody measured it, and where.

mod export;
mod import;

pub use import::{sysctl_d, tuned};

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::catalogue;
use crate::error::Error;
use crate::knob::Knob;
use crate::value::{Value, plain, shown};

/// The profiles of `sysctl/`, which the program has with it.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("million-connections", include_str!("../../../sysctl/million-connections.toml")),
    ("throughput", include_str!("../../../sysctl/throughput.toml")),
    ("latency", include_str!("../../../sysctl/latency.toml")),
    ("edge", include_str!("../../../sysctl/edge.toml")),
    ("classic", include_str!("../../../sysctl/classic.toml")),
];

/// Values that belong together.
#[derive(Debug, Default)]
pub struct Profile {
    /// What it is called: of a file, its path.
    pub name: String,
    /// What it is for, in a sentence.
    pub what: String,
    /// One a knob and place, inherited ones first.
    pub settings: Vec<Setting>,
    /// What was in it and is not taken.
    pub dropped: Vec<Dropped>,
}

/// One value, and why it should be so.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Of what.
    pub knob: &'static Knob,
    /// Which of its files, where it has several: `eth0/rx-0`. None is all of the hardware's.
    pub place: Option<String>,
    /// To what.
    pub value: Value,
    /// Whether more than that is as good: a host that has more keeps it. Of single numbers only.
    pub at_least: bool,
    /// Why.
    pub why: String,
    /// Who says so.
    pub source: String,
    /// What it may break here; where the profile is silent, what the catalogue says.
    pub risk: String,
    /// What is known of its effect.
    pub evidence: Evidence,
}

/// What is known of a value's effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Somebody recommends it.
    None,
    /// It was measured: where the result is.
    Measured(String),
}

/// Something that a profile asked for in vain, as far as it fits a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What it called the knob.
    pub name: String,
    /// What it wanted.
    pub value: String,
    /// Why not.
    pub why: String,
}

impl Profile {
    /// The profile of this program that is called `word`, or else the file at that path: a profile, a file of sysctl.d or a TuneD
    /// profile. Errors: there is none, or it is not written as one.
    pub fn find(word: &str) -> Result<Profile, Error> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == word) {
            return Profile::read(name, text);
        }
        let path = Path::new(word);
        if !path.exists() {
            return Err(Error::NoProfile(word.into()));
        }
        let unreadable = |why| Error::Unreadable { path: path.into(), why };
        // Opening a pipe that nobody writes to would wait for ever.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::other("this is no regular file")));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        // A file may be called anything.
        let name = &plain(word);
        let has_section = || text.lines().any(|line| line.trim_start().starts_with('['));
        match path.extension().is_some_and(|extension| extension == "toml") {
            true => Profile::read(name, &text),
            false if has_section() => Ok(tuned(name, &text)),
            false => Ok(sysctl_d(name, &text)),
        }
    }

    /// The profile that `text` is, called `name`. Errors: it is no TOML of this form, or a text in it has a line end or another
    /// control character; it inherits what is not there, or itself.
    pub fn read(name: &str, text: &str) -> Result<Profile, Error> {
        Profile::inherit(name, text, &mut Vec::new())
    }

    fn inherit(name: &str, text: &str, heirs: &mut Vec<String>) -> Result<Profile, Error> {
        if heirs.iter().any(|heir| heir == name) {
            return Err(Error::Circle(name.into()));
        }
        heirs.push(name.into());
        let written: Written = toml::from_str(text).map_err(|error| malformed(name, text, &error))?;
        // In a file of sysctl.d a line end would begin a setting, and on a terminal an escape acts.
        if let Some((key, _)) = written.texts().find(|(_, text)| text.contains(char::is_control)) {
            let why = format!("`{key}` has a line end or another control character");
            return Err(Error::Malformed { place: name.into(), why });
        }
        let mut profile = Profile { name: name.into(), what: written.what, ..Profile::default() };
        for parent in &written.inherits {
            let found = BUILT_IN.iter().find(|(known, _)| known == parent);
            let (_, text) = found.ok_or_else(|| Error::NoProfile(parent.clone()))?;
            let parent = Profile::inherit(parent, text, heirs)?;
            parent.settings.into_iter().for_each(|setting| profile.put(setting));
            profile.dropped.extend(parent.dropped);
        }
        for wish in written.set {
            let Wish { knob, value, at_least, why, source, risk, evidence } = wish;
            match Setting::of(&knob, &value.text()) {
                Ok(setting) if at_least && !matches!(setting.value, Value::Integer(_)) => {
                    profile.drop(&knob, &value.text(), &"only a single number can be `at_least`");
                }
                Ok(setting) => profile.put(Setting {
                    at_least,
                    why,
                    source,
                    risk: risk.unwrap_or_else(|| setting.knob.risk.into()),
                    evidence: Evidence::read(&evidence),
                    ..setting
                }),
                Err(error) => profile.drop(&knob, &value.text(), &error),
            }
        }
        heirs.pop();
        Ok(profile)
    }

    /// One of `--set` on a command line. Errors: it is no `NAME=VALUE`, no knob, or no value of it; who types is told.
    pub fn typed(words: &[String]) -> Result<Profile, Error> {
        let mut profile = Profile { name: "--set".into(), ..Profile::default() };
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| Error::NoSetting(word.clone()))?;
            profile.put(Setting::of(name.trim(), value)?);
        }
        Ok(profile)
    }

    /// Adds a setting, in place of an earlier one of the same knob and place.
    fn put(&mut self, setting: Setting) {
        let is_same = |other: &Setting| other.knob.name == setting.knob.name && other.place == setting.place;
        self.settings.retain(|other| !is_same(other));
        self.settings.push(setting);
    }

    fn drop(&mut self, name: &str, value: &str, why: &dyn std::fmt::Display) {
        self.dropped.push(Dropped { name: shown(name), value: shown(value), why: plain(&why.to_string()) });
    }
}

impl Setting {
    /// The knob `name`, which may end in `@PLACE`, to `value`, with nothing said about it. Errors: as of [`Profile::typed`].
    pub fn of(name: &str, value: &str) -> Result<Setting, Error> {
        let (bare, place) = match name.split_once('@') {
            Some((bare, place)) => (bare, Some(place)),
            None => (name, None),
        };
        let knob = catalogue::named(bare).ok_or_else(|| Error::NoKnob(name.into()))?;
        if place.is_some_and(|place| !knob.is_many() || knob.path_at(place).is_none()) {
            return Err(Error::NoSetting(name.into()));
        }
        Ok(Setting {
            knob,
            place: place.map(str::to_owned),
            value: knob.parse(value)?,
            at_least: false,
            why: String::new(),
            source: knob.source.into(),
            risk: knob.risk.into(),
            evidence: Evidence::None,
        })
    }

    /// Whether `now` is as it is wanted.
    pub fn is_met_by(&self, now: &Value) -> bool {
        *now == self.value || self.is_exceeded_by(now)
    }

    /// Whether `now` is more than is wanted, and that is as good.
    pub fn is_exceeded_by(&self, now: &Value) -> bool {
        let (Value::Integer(now), Value::Integer(least)) = (now, &self.value) else { return false };
        self.at_least && now > least
    }

    /// As it is written in a profile: the knob, and its place if it has one.
    pub fn name(&self) -> String {
        match &self.place {
            Some(place) => format!("{}@{place}", self.knob.name),
            None => self.knob.name.into(),
        }
    }
}

impl Evidence {
    const NONE: &str = "none measured here";

    fn read(text: &str) -> Evidence {
        match text.trim() {
            "" | Evidence::NONE => Evidence::None,
            measured => Evidence::Measured(measured.into()),
        }
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Evidence::None => Evidence::NONE,
            Evidence::Measured(text) => text,
        })
    }
}

/// A profile as it stands in its file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    what: String,
    #[serde(default)]
    inherits: Vec<String>,
    #[serde(default)]
    set: Vec<Wish>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    knob: String,
    value: Scalar,
    #[serde(default)]
    at_least: bool,
    why: String,
    source: String,
    risk: Option<String>,
    evidence: String,
}

impl Written {
    /// All that is told of it, each text with its key.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        std::iter::once(("what", self.what.as_str())).chain(self.set.iter().flat_map(Wish::texts))
    }
}

impl Wish {
    fn texts(&self) -> [(&'static str, &str); 4] {
        let risk = self.risk.as_deref().unwrap_or_default();
        [("why", &self.why), ("source", &self.source), ("risk", risk), ("evidence", &self.evidence)]
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(i64),
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => text.clone(),
        }
    }
}

fn malformed(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let place = match error.span() {
        Some(span) => format!("{name}:{}", text[..span.start.min(text.len())].matches('\n').count() + 1),
        None => name.into(),
    };
    Error::Malformed { place, why: plain(&error.message().replace('\n', ", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(knob: &str, value: &str) -> String {
        format!(
            "[[set]]\nknob = '{knob}'\nvalue = {value}\nwhy = 'w'\nsource = 's'\nevidence = 'none measured here'\n"
        )
    }

    fn read(sets: &[(&str, &str)]) -> Profile {
        let sets: String = sets.iter().map(|(knob, value)| wish(knob, value)).collect();
        Profile::read("test", &format!("what = 'A test'\n{sets}")).expect("a profile")
    }

    #[test]
    fn every_profile_of_this_program_is_taken_whole() {
        for (name, text) in BUILT_IN {
            let profile = Profile::read(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(profile.dropped, [], "{name}");
            assert!(!profile.what.is_empty() && !profile.settings.is_empty(), "{name}");
            for setting in &profile.settings {
                let name = format!("{name}: {}", setting.name());
                assert!(
                    !setting.why.is_empty() && !setting.source.is_empty() && !setting.risk.is_empty(),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn classic_is_what_is_often_recommended() {
        let profile = Profile::find("classic").expect("it is there");
        let got: Vec<_> = profile.settings.iter().map(|s| format!("{}={}", s.name(), s.value)).collect();
        assert_eq!(
            got,
            [
                "net.ipv4.tcp_tw_reuse=1",
                "net.ipv4.tcp_tw_recycle=0",
                "net.ipv4.tcp_fin_timeout=30",
                "net.core.somaxconn=65535",
                "net.ipv4.tcp_max_syn_backlog=65535",
                "net.ipv4.tcp_abort_on_overflow=0",
            ]
        );
    }

    #[test]
    fn what_the_catalogue_does_not_know_is_dropped_and_listed_whoever_asks() {
        let evil = "|/tmp/x";
        let profile = read(&[("kernel.core_pattern", "'|/tmp/x'"), ("net.core.somaxconn", "512")]);
        for profile in [
            profile,
            sysctl_d("x", "kernel.core_pattern = |/tmp/x\nnet.core.somaxconn=512\n"),
            tuned("x", "[sysctl]\nkernel.core_pattern=|/tmp/x\nnet.core.somaxconn=512\n"),
        ] {
            let [dropped] = &profile.dropped[..] else { panic!("{:?}", profile.dropped) };
            assert_eq!((dropped.name.as_str(), dropped.value.as_str()), ("kernel.core_pattern", evil));
            assert!(dropped.why.contains("no knob of the catalogue"), "{dropped:?}");
            let [setting] = &profile.settings[..] else { panic!("{:?}", profile.settings) };
            assert_eq!(setting.name(), "net.core.somaxconn");
            assert!(!profile.sysctl_d().contains("core_pattern"));
        }
    }

    #[test]
    fn a_text_of_a_profile_is_one_line_so_none_becomes_a_setting_where_it_is_exported() {
        let evil = "x\\nkernel.core_pattern=|/tmp/evil";
        for key in ["what", "why", "source", "risk", "evidence"] {
            let of = |other: &str| if other == key { evil } else { "x" };
            let mut text = format!("what = \"{}\"\n", of("what"));
            text += "[[set]]\nknob = 'net.core.somaxconn'\nvalue = 512\n";
            for other in ["why", "source", "risk", "evidence"] {
                text += &format!("{other} = \"{}\"\n", of(other));
            }
            let error = Profile::read("x.toml", &text).expect_err(key).to_string();
            assert_eq!(error, format!("x.toml: `{key}` has a line end or another control character"));
        }
        let name = format!("ringmill-profile-{}\nkernel.core_pattern=x", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "net.core.somaxconn = 512\n").expect("a file of our own");
        let found = Profile::find(path.to_str().expect("text"));
        fs::remove_file(&path).expect("our own file");
        let text = found.expect("a file of sysctl.d").sysctl_d();
        assert!(!text.lines().any(|line| line.starts_with("kernel")), "{text}");
    }

    #[test]
    fn nothing_that_is_told_of_a_profile_acts_on_a_terminal() {
        let text = "what = 'x'\n[[set]]\nknob = \"net.evil\\u001b[2J\"\nvalue = \"1\\u001b[2J\"\n\
                    why = ''\nsource = ''\nevidence = ''\n";
        for profile in [
            Profile::read("x", text).expect("a profile"),
            sysctl_d("x", "net.evil\u{1b}[2J = 1\u{1b}[2J\n"),
            tuned("x", "[sysctl]\nnet.evil\u{1b}[2J = 1\u{1b}[2J\n"),
        ] {
            let [Dropped { name, value, why }] = &profile.dropped[..] else {
                panic!("{:?}", profile.dropped)
            };
            assert_eq!((name.as_str(), value.as_str()), ("net.evil[2J...", "1[2J..."));
            assert!(why.contains("net.evil") && !why.contains(char::is_control), "{why:?}");
        }
        let check = |text: &str| {
            let error = Profile::read("x", text).expect_err(text).to_string();
            assert!(error.contains("evil") && !error.contains(char::is_control), "{error:?}");
        };
        check("what = 'x'\n\"evil\\u001b[2J\" = 1\n");
        check("what = 'x'\ninherits = [\"evil\\u001b[2J\"]\n");
    }

    #[test]
    fn a_value_that_is_none_of_its_kind_is_dropped_with_the_reason() {
        let check = |knob: &str, value: &str, why: &str| {
            let profile = read(&[(knob, value)]);
            assert!(profile.settings.is_empty(), "{knob}={value}");
            assert!(profile.dropped[0].why.contains(why), "{:?}", profile.dropped);
        };
        check("net.ipv4.tcp_sack", "2", "expected 0 to 1");
        check("net.ipv4.tcp_rmem", "4096", "expected 3 numbers");
        check("net.ipv4.tcp_congestion_control", "'bbr;x'", "expected names");
        check("device.gro_flush_timeout@../../x", "1", "is no setting");
        check("net.core.somaxconn@eth0", "1", "is no setting");
    }

    #[test]
    fn an_heir_overrides_what_it_inherits() {
        let text =
            format!("what = 'An heir'\ninherits = ['classic']\n{}", wish("net.ipv4.tcp_fin_timeout", "15"));
        let profile = Profile::read("heir", &text).expect("a profile");
        let values: Vec<_> =
            profile.settings.iter().filter(|s| s.knob.name.ends_with("fin_timeout")).collect();
        assert!(matches!(&values[..], [one] if one.value == Value::Integer(15)), "{values:?}");
        assert_eq!(profile.settings.len(), 6);
    }

    #[test]
    fn what_is_no_profile_is_said_with_its_line_and_a_cure() {
        let check = |text: &str, what: &str| {
            let error = Profile::read("x.toml", text).expect_err(text);
            assert!(error.to_string().contains(what), "{text}: {error}");
            assert!(!error.cure().is_empty());
        };
        check("what = 'x'\nthreads = 1\n", "x.toml:2: unknown field `threads`");
        check("what = ", "x.toml:1: ");
        check("what = 'x'\ninherits = ['nobody']\n", "`nobody` is no profile");
        assert!(Profile::find("/nowhere/x.toml").is_err_and(|error| error.cure().contains("classic")));
        let error = Profile::inherit("classic", "what = 'x'\n", &mut vec!["classic".into()]);
        assert!(matches!(error, Err(Error::Circle(_))));
    }

    #[test]
    fn who_types_a_setting_is_told_what_is_wrong_with_it() {
        let check = |word: &str, what: &str, cure: &str| {
            let error = Profile::typed(&[word.into()]).expect_err(word);
            assert!(error.to_string().contains(what), "{word}: {error}");
            assert!(error.cure().contains(cure), "{word}: {}", error.cure());
        };
        check("net.core.somaxconn", "is no setting", "--set net.core.somaxconn=4096");
        check("net.ipv4.somaxconn=1", "is no knob", "`net.core.somaxconn`");
        check("kernel.core_pattern=x", "is no knob", "ringmill-lab knobs");
        check("net.core.somaxconn=many", "expected 0 to", "explain net.core.somaxconn");
        let typed = Profile::typed(&["net/core/somaxconn=9".into()]).expect("slashes");
        assert_eq!(typed.settings[0].name(), "net.core.somaxconn");
    }
}
