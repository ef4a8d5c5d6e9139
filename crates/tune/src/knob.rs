//! One setting that a network server may depend on, as data: where it lives, what it takes, what it does, when it does nothing,
//! what it risks, and who says so.
//!
//! Never reads or writes a setting: a knob is a row of the [catalogue](crate::catalogue), and others act by it. What is no row
//! there cannot be named in a profile, which is what keeps a profile from being a way to run code as root.

use std::fmt;

use crate::value::{Kind, Value, ValueError};

/// One setting. All of it is known when the program is built; what a host has is asked for by others.
#[derive(Debug)]
pub struct Knob {
    /// What it is called: a sysctl by its own name (`net.core.somaxconn`), what belongs to a device `device.NAME`, to the CPUs
    /// `cpu.NAME`, to a socket `socket.NAME`, to the boot `boot.NAME`, to Ringmill `ringmill.NAME`.
    pub name: &'static str,
    /// Its file relative to the root: `proc/sys/net/core/somaxconn`. A part that is `*` stands for each device, queue, CPU or
    /// interrupt that is there: `sys/class/net/*/queues/*/rps_cpus`. Empty where it is no file.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Of its numbers: `bytes`, `pages`, `us`, `connections`; empty where it has none.
    pub unit: &'static str,
    /// Whose setting it is, and so who else feels a change.
    pub scope: Scope,
    /// The kernel's own value; none where it depends on the memory, the build or the device.
    pub default: Option<&'static str>,
    /// What it does, in one sentence.
    pub what: &'static str,
    /// When it does nothing: a sentence or two.
    pub inert: &'static str,
    /// What a careless value breaks, in one sentence.
    pub risk: &'static str,
    /// How much that is.
    pub danger: Danger,
    /// What is widely said of it and is not so; empty where nothing is.
    pub truth: &'static str,
    /// Names of the knobs that must change and be taken back together with it.
    pub coupled: &'static [&'static str],
    /// The first release that has it; none where it is older than 4.0.
    pub since: Option<&'static str>,
    /// The first release that no longer has it.
    pub removed: Option<&'static str>,
    /// Who may change it, and how.
    pub access: Access,
    /// Where that can be read: a page of the kernel's documentation or a manual page.
    pub source: &'static str,
}

/// Whose setting a knob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One socket, by its owner.
    Socket,
    /// A network namespace: the host has one, an experiment has its own.
    Netns,
    /// A device, or a queue of one.
    Device,
    /// Every process of the host. In a container too: it leaks.
    Host,
    /// The kernel's command line: the next boot.
    Boot,
    /// The server's own flags.
    Ringmill,
}

/// How much harm a careless value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// Somewhat slower, at worst.
    Low,
    /// Memory, power, or connections of others.
    Medium,
    /// The host's safety, its reachability, or memory without a bound.
    High,
}

/// How a knob is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By writing its file.
    File,
    /// By a flag of `ringmill`, which is named here.
    Flag(&'static str),
    /// Not by this program: it advises only. Boot parameters, options of a socket, files that act only while they are open.
    Advice,
}

impl Knob {
    /// Whether a plan may write it.
    pub fn is_writable(&self) -> bool {
        self.access == Access::File && self.removed.is_none()
    }

    /// Whether its path stands for several files.
    pub fn is_many(&self) -> bool {
        self.path.split('/').any(|part| part == "*")
    }

    /// The path of one of its files: `place` has a part for each `*`, with slashes between (`eth0`, `eth0/rx-0`). None where
    /// their number differs, or a part is no plain name: it comes from a profile, and must not lead elsewhere.
    pub fn path_at(&self, place: &str) -> Option<String> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:@".contains(&byte))
        };
        let mut parts = place.split('/').filter(|_| !place.is_empty());
        let mut path = Vec::new();
        for part in self.path.split('/') {
            path.push(if part == "*" { parts.next().filter(|part| is_plain(part))? } else { part });
        }
        parts.next().is_none().then(|| path.join("/"))
    }

    /// A value for it, from words of a person. Errors: what it takes instead.
    pub fn parse(&self, text: &str) -> Result<Value, ValueError> {
        Value::parse(self.kind, text).map_err(|error| error.of(self.name))
    }

    /// The kernel's own value, where it is known.
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| Value::parse(self.kind, text).expect("a test reads the default of each knob"))
    }
}

/// What most rows share: a file of the kernel that anybody may read and root may write.
pub(crate) const SYSCTL: Knob = Knob {
    name: "",
    path: "",
    kind: Kind::SWITCH,
    unit: "",
    scope: Scope::Netns,
    default: None,
    what: "",
    inert: "",
    risk: "",
    danger: Danger::Low,
    truth: "",
    coupled: &[],
    since: None,
    removed: None,
    access: Access::File,
    source: "",
};

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Scope::Socket => "socket",
            Scope::Netns => "network namespace",
            Scope::Device => "device",
            Scope::Host => "host",
            Scope::Boot => "boot",
            Scope::Ringmill => "ringmill",
        })
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Danger::Low => "low",
            Danger::Medium => "medium",
            Danger::High => "high",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_fills_the_stars_of_a_path_and_leads_nowhere_else() {
        let queue = Knob { path: "sys/class/net/*/queues/*/rps_cpus", ..SYSCTL };
        let check = |place: &str, expected: Option<&str>| {
            assert_eq!(queue.path_at(place).as_deref(), expected, "{place}");
        };
        assert!(queue.is_many());
        check("eth0/rx-0", Some("sys/class/net/eth0/queues/rx-0/rps_cpus"));
        check("eth0.5/rx-0", Some("sys/class/net/eth0.5/queues/rx-0/rps_cpus"));
        check("eth0", None);
        check("eth0/rx-0/x", None);
        check("../rx-0", None);
        check("eth0/..", None);
        check("eth0/ ", None);
        check("", None);
        let one = Knob { path: "proc/sys/net/core/somaxconn", ..SYSCTL };
        assert_eq!(one.path_at("").as_deref(), Some(one.path));
        assert_eq!(one.path_at("eth0"), None);
    }

    #[test]
    fn what_is_gone_or_only_advised_is_not_written() {
        assert!(SYSCTL.is_writable());
        assert!(!Knob { removed: Some("4.12"), ..SYSCTL }.is_writable());
        assert!(!Knob { access: Access::Advice, ..SYSCTL }.is_writable());
        assert!(!Knob { access: Access::Flag("--engine"), ..SYSCTL }.is_writable());
    }
}
