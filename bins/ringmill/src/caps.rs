//! `ringmill caps`: what this kernel, these limits and this user allow, and what to do about what they do not.
//!
//! Asks and shows; changes nothing. The advice is a pure function of the answers.

use linux::cpu;
use linux::limits::{self, IoUringSwitch};
use linux::ring::{self, Factors};
use serde::Serialize;

use crate::config::Config;
use crate::engine::{self, Choice, Serving};
use crate::table;
use linux::console::Failure;

/// Everything that was asked, under the names of the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Caps {
    version: &'static str,
    kernel: String,
    engine: Engine,
    io_uring: IoUring,
    limits: Limits,
    cores: Cores,
    advice: Vec<String>,
}

/// The engine that serves, or that `--engine auto` would choose.
#[derive(Debug, Serialize)]
struct Engine {
    name: &'static str,
    /// Why it is not io_uring, where that was the first choice.
    instead: Option<String>,
}

#[derive(Debug, Serialize)]
struct IoUring {
    /// The rung of the setup ladder that the kernel gave; none when there is no ring at all.
    tier: Option<String>,
    /// Why there is none.
    refused: Option<String>,
    /// Features that are there beyond the tier.
    present: Vec<&'static str>,
    missing: Vec<Missing>,
    /// Words of `--ring` that this kernel gives.
    factors: Vec<&'static str>,
    /// Who may have a ring by the sysctl kernel.io_uring_disabled.
    allowed_to: &'static str,
    #[serde(skip)]
    cure: Option<String>,
}

#[derive(Debug, Serialize)]
struct Missing {
    feature: String,
    why: String,
}

/// Limits of this process; none is no limit.
#[derive(Debug, Serialize)]
struct Limits {
    nofile_soft: Option<u64>,
    nofile_hard: Option<u64>,
    memlock_bytes_soft: Option<u64>,
    memlock_bytes_hard: Option<u64>,
    /// Locked memory is not counted at all.
    cap_ipc_lock: bool,
    somaxconn: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Cores {
    allowed: Vec<usize>,
    physical: Vec<usize>,
    /// Cores' worth of time that the cgroup grants; none is no limit.
    cgroup_quota: Option<f64>,
}

impl Caps {
    /// Asks the kernel; `serving` is what it serves by, if it does. Errors: only what no Linux refuses (getrlimit(2), uname(2), sched_getaffinity(2)).
    pub(crate) fn ask(serving: Option<&Serving>) -> Result<Caps, Failure> {
        let (nofile, memlock) = (limits::nofile()?, limits::memlock()?);
        let bound = |limit: u64| (limit != u64::MAX).then_some(limit);
        let mut caps = Caps {
            version: env!("CARGO_PKG_VERSION"),
            kernel: limits::kernel_release()?,
            engine: Engine::of(serving),
            io_uring: IoUring::ask(),
            limits: Limits {
                nofile_soft: bound(nofile.soft),
                nofile_hard: bound(nofile.hard),
                memlock_bytes_soft: bound(memlock.soft),
                memlock_bytes_hard: bound(memlock.hard),
                cap_ipc_lock: limits::has_cap_ipc_lock(),
                somaxconn: limits::somaxconn(),
            },
            cores: Cores { allowed: cpu::allowed()?, physical: cpu::physical()?, cgroup_quota: cpu::quota() },
            advice: Vec::new(),
        };
        caps.advice = caps.advise(&Config::default());
        Ok(caps)
    }

    /// As JSON, with a line end.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("text and numbers are JSON") + "\n"
    }

    /// As a table, advice last.
    pub(crate) fn text(&self) -> String {
        let Caps { io_uring, limits, cores, .. } = self;
        let number = |limit: Option<u64>| limit.map_or("no limit".into(), table::thousands);
        let size = |limit: Option<u64>| limit.map_or("no limit".into(), table::bytes);
        let ring = match (&io_uring.tier, &io_uring.refused) {
            (Some(tier), _) => tier.clone(),
            (None, why) => why.clone().unwrap_or_default(),
        };
        let engine = match &self.engine.instead {
            None => self.engine.name.to_string(),
            Some(_) => format!("{}, since there is no ring (--engine auto)", self.engine.name),
        };
        let mut rows = vec![
            ("kernel", self.kernel.clone()),
            ("engine", engine),
            ("io_uring", ring),
            ("io_uring for", io_uring.allowed_to.to_string()),
        ];
        if !io_uring.present.is_empty() {
            rows.push(("features", io_uring.present.join(", ")));
        }
        if !io_uring.factors.is_empty() {
            rows.push(("for --ring", io_uring.factors.join(", ")));
        }
        rows.extend(
            io_uring
                .missing
                .iter()
                .map(|missing| ("missing", format!("{}: {}", missing.feature, missing.why))),
        );
        let (soft, hard) = (limits.memlock_bytes_soft, limits.memlock_bytes_hard);
        let uncounted = if limits.cap_ipc_lock { ", not counted (CAP_IPC_LOCK)" } else { "" };
        let descriptors =
            format!("{}, may be raised to {}", number(limits.nofile_soft), number(limits.nofile_hard));
        let granted = cores.cgroup_quota.map_or("all of them".into(), |quota| format!("the time of {quota}"));
        rows.extend([
            ("descriptors", descriptors),
            ("locked memory", format!("{}, may be raised to {}{uncounted}", size(soft), size(hard))),
            ("accept queue", format!("{} (net.core.somaxconn)", number(limits.somaxconn))),
            ("cores", format!("{}, physical {}", cpu::list(&cores.allowed), cpu::list(&cores.physical))),
            ("cgroup grants", granted),
        ]);
        rows.extend(self.advice.iter().map(|advice| ("advice", advice.clone())));
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(name, value)| vec![name.to_string(), value]).collect();
        table::columns(&rows)
    }

    /// What a user could do about what is short for `config`, most pressing first.
    fn advise(&self, config: &Config) -> Vec<String> {
        let mut advice = Vec::new();
        if self.io_uring.tier.is_none() {
            advice.extend(self.io_uring.cure.as_ref().map(|cure| format!("for a ring: {cure}")));
        }
        let shards = self.cores.allowed.len() as u64;
        let pool = config.pool();
        let wanted = u64::from(pool.count) * u64::from(pool.bytes) * shards;
        if let Some(memlock) =
            self.limits.memlock_bytes_soft.filter(|have| *have < wanted && !self.limits.cap_ipc_lock)
        {
            let (have, wanted) = (table::bytes(memlock), table::bytes(wanted));
            advice.push(format!("for fixed buffers on {shards} shards: `ulimit -l` of {wanted}, not {have}"));
        }
        if let Some(nofile) = self.limits.nofile_hard.filter(|have| *have < config.connections_max) {
            let (have, wanted) = (table::thousands(nofile), table::thousands(config.connections_max));
            advice.push(format!(
                "for {wanted} connections a shard on one ring: `ulimit -Hn {}`, not {have}",
                config.connections_max
            ));
        }
        if let Some(somaxconn) = self.limits.somaxconn.filter(|have| *have < config.backlog) {
            advice.push(format!(
                "for bursts: `sysctl -w net.core.somaxconn={}`, not {somaxconn}",
                config.backlog
            ));
        }
        if let Some(quota) = self.cores.cgroup_quota.filter(|quota| *quota < shards as f64) {
            advice.push(format!("for a shard on each core: a cgroup cpu.max of {shards} cores, not {quota}"));
        }
        advice
    }
}

impl Engine {
    fn of(serving: Option<&Serving>) -> Engine {
        let serving = serving.cloned().unwrap_or_else(|| engine::choose(Choice::Auto));
        Engine { name: serving.engine.name(), instead: serving.instead }
    }
}

impl IoUring {
    fn ask() -> IoUring {
        let allowed_to = match limits::io_uring_switch() {
            IoUringSwitch::Everybody => "everybody (kernel.io_uring_disabled=0)",
            IoUringSwitch::Group => "root and kernel.io_uring_group (kernel.io_uring_disabled=1)",
            IoUringSwitch::Nobody => "nobody (kernel.io_uring_disabled=2)",
        };
        match ring::probe(&Factors::BEST) {
            Ok(features) => {
                let missing = features.missing.iter();
                let missing = missing
                    .map(|(feature, why)| Missing { feature: feature.to_string(), why: why.to_string() });
                IoUring {
                    tier: Some(features.tier.to_string()),
                    refused: None,
                    present: features.present,
                    missing: missing.collect(),
                    factors: Factors::each()
                        .filter(|(_, factors)| ring::probe(factors).is_ok())
                        .map(|(word, _)| word)
                        .collect(),
                    allowed_to,
                    cure: None,
                }
            }
            Err(error) => IoUring {
                tier: None,
                refused: Some(error.to_string()),
                present: Vec::new(),
                missing: Vec::new(),
                factors: Vec::new(),
                allowed_to,
                cure: error.cure(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that lacks nothing.
    fn plenty() -> Caps {
        Caps {
            version: "0",
            kernel: "6.18.0".into(),
            engine: Engine { name: "uring", instead: None },
            io_uring: IoUring {
                tier: Some("best".into()),
                refused: None,
                present: vec!["recv multishot"],
                missing: Vec::new(),
                factors: vec!["inc=on"],
                allowed_to: "everybody",
                cure: None,
            },
            limits: Limits {
                nofile_soft: Some(1024),
                nofile_hard: Some(1 << 20),
                memlock_bytes_soft: Some(8 << 20),
                memlock_bytes_hard: Some(8 << 20),
                cap_ipc_lock: false,
                somaxconn: Some(4096),
            },
            cores: Cores { allowed: vec![0, 1], physical: vec![0], cgroup_quota: None },
            advice: Vec::new(),
        }
    }

    #[test]
    fn a_machine_that_lacks_nothing_gets_no_advice() {
        assert_eq!(plenty().advise(&Config::default()), Vec::<String>::new());
    }

    #[test]
    fn each_shortage_gets_advice_with_its_numbers() {
        let check = |change: fn(&mut Caps), part: &str| {
            let mut caps = plenty();
            change(&mut caps);
            let advice = caps.advise(&Config::default());
            assert!(matches!(&advice[..], [line] if line.contains(part)), "{part}: {advice:?}");
        };
        let refused = |caps: &mut Caps| {
            caps.io_uring.tier = None;
            caps.io_uring.cure = Some("ask the admin".into());
        };
        check(refused, "ask the admin");
        check(|caps| caps.limits.memlock_bytes_soft = Some(1 << 20), "`ulimit -l` of 8.0 MiB, not 1.0 MiB");
        check(|caps| caps.limits.nofile_hard = Some(4096), "`ulimit -Hn 100000`, not 4,096");
        check(|caps| caps.limits.somaxconn = Some(128), "net.core.somaxconn=4096`, not 128");
        check(|caps| caps.cores.cgroup_quota = Some(1.5), "2 cores, not 1.5");
    }

    #[test]
    fn locked_memory_that_is_not_counted_is_never_short() {
        let mut caps = plenty();
        caps.limits.memlock_bytes_soft = Some(0);
        caps.limits.cap_ipc_lock = true;
        assert_eq!(caps.advise(&Config::default()), Vec::<String>::new());
        assert!(
            caps.text().contains("0 B, may be raised to 8.0 MiB, not counted (CAP_IPC_LOCK)"),
            "{}",
            caps.text()
        );
    }

    #[test]
    fn no_limit_is_said_in_words_and_null_in_json() {
        let mut caps = plenty();
        caps.limits.nofile_hard = None;
        assert!(caps.text().contains("1,024, may be raised to no limit"), "{}", caps.text());
        assert!(caps.json().contains("\"nofile_hard\": null"), "{}", caps.json());
    }
}
