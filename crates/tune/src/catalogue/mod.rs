//! Every knob there is, as data, a file for each subject.
//!
//! A row is what the kernel's own documentation says, or its source where that is silent; `source` names it. Nothing here
//! says that a value is good: that is for a profile to claim and for an experiment to find.

mod boot;
mod device;
mod fs_vm_kernel;
mod net_core;
mod net_ipv4;
mod ringmill;

use crate::knob::Knob;

/// One subject of the catalogue.
#[derive(Debug)]
pub struct Subject {
    /// What its knobs are about.
    pub title: &'static str,
    /// They.
    pub knobs: &'static [Knob],
}

/// The subjects, in the order in which they are shown.
pub const SUBJECTS: &[Subject] = &[
    Subject { title: "Queues, budgets and buffers (net.core)", knobs: net_core::KNOBS },
    Subject { title: "TCP, UDP and ports (net.ipv4)", knobs: net_ipv4::KNOBS },
    Subject { title: "Files, memory, the kernel, connection tracking", knobs: fs_vm_kernel::KNOBS },
    Subject { title: "Devices, CPUs and interrupts", knobs: device::KNOBS },
    Subject { title: "Boot parameters (advice only)", knobs: boot::KNOBS },
    Subject { title: "Ringmill and sockets", knobs: ringmill::KNOBS },
];

/// Every knob, subject after subject.
pub fn all() -> impl Iterator<Item = &'static Knob> {
    SUBJECTS.iter().flat_map(|subject| subject.knobs)
}

/// The knob of that name. A sysctl's slashes are as good as its dots (sysctl(8)).
pub fn named(name: &str) -> Option<&'static Knob> {
    let is_meant = |knob: &&Knob| knob.name == name || knob.name == name.replace('/', ".");
    all().find(is_meant)
}

/// What a name that is none may have meant: the knob whose last word is the same or contains it.
pub fn meant(name: &str) -> Option<&'static Knob> {
    let last = name.rsplit(['.', '/']).next().filter(|last| last.len() > 3)?;
    let ends = |knob: &&Knob| knob.name.rsplit('.').next() == Some(last);
    all().find(ends).or_else(|| all().find(|knob| knob.name.contains(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::{Access, Scope};
    use std::collections::BTreeSet;

    #[test]
    fn every_row_is_whole() {
        for knob in all() {
            let Knob { name, what, risk, source, .. } = *knob;
            assert!(!what.is_empty() && !risk.is_empty() && !source.is_empty(), "{name}");
            assert!(!what.ends_with('.') && !risk.ends_with('.'), "{name}: a phrase has no full stop");
            for sentences in [knob.inert, knob.truth] {
                assert!(sentences.is_empty() || sentences.ends_with('.'), "{name}: {sentences}");
            }
        }
        assert!(all().count() >= 80, "{}", all().count());
    }

    #[test]
    fn every_name_and_every_file_is_there_once() {
        let names: BTreeSet<_> = all().map(|knob| knob.name).collect();
        assert_eq!(names.len(), all().count());
        let files: Vec<_> = all().map(|knob| knob.path).filter(|path| !path.is_empty()).collect();
        assert_eq!(files.iter().collect::<BTreeSet<_>>().len(), files.len());
    }

    #[test]
    fn a_sysctl_lies_where_its_name_says_and_a_knob_without_a_file_is_never_written() {
        for knob in all() {
            let is_sysctl = ["net.", "fs.", "vm.", "kernel."].iter().any(|top| knob.name.starts_with(top));
            if is_sysctl {
                assert_eq!(knob.path, format!("proc/sys/{}", knob.name.replace('.', "/")));
            }
            assert_eq!(knob.path.is_empty(), knob.access != Access::File, "{}", knob.name);
            assert!(!knob.path.starts_with('/') && !knob.path.contains(".."), "{}", knob.name);
            assert_eq!(
                knob.scope == Scope::Ringmill,
                matches!(knob.access, Access::Flag(_)),
                "{}",
                knob.name
            );
        }
    }

    #[test]
    fn only_what_a_namespace_shows_of_its_own_devices_is_of_a_device() {
        for knob in all().filter(|knob| knob.scope == Scope::Device) {
            // Every other file is the same one from each namespace.
            assert!(knob.path.starts_with("sys/class/net/"), "{}: {}", knob.name, knob.path);
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for knob in all() {
            if let Some(text) = knob.default {
                assert_eq!(knob.parse(text).map(|value| value.to_string()), Ok(text.into()), "{}", knob.name);
            }
        }
    }

    #[test]
    fn what_is_coupled_is_in_the_catalogue() {
        for knob in all() {
            for other in knob.coupled {
                assert!(named(other).is_some(), "{}: {other}", knob.name);
                assert_ne!(*other, knob.name);
            }
        }
    }

    #[test]
    fn what_runs_a_program_is_no_knob() {
        for name in ["kernel.core_pattern", "kernel.modprobe", "kernel.hotplug", "kernel.poweroff_cmd"] {
            assert!(named(name).is_none(), "{name}");
        }
        assert!(all().all(|knob| !knob.path.contains("binfmt_misc")));
    }

    #[test]
    fn the_truths_about_popular_advice_are_told() {
        let check = |name: &str, told: &str| {
            let truth = named(name).expect(name).truth;
            assert!(truth.contains(told), "{name}: {truth}");
        };
        check("net.ipv4.tcp_tw_recycle", "gone since Linux 4.12");
        check("net.ipv4.tcp_tw_reuse", "outgoing connections only");
        check("net.ipv4.tcp_fin_timeout", "not the time of TIME_WAIT");
        check("net.ipv4.tcp_max_syn_backlog", "inert while syncookies are on");
        check("net.ipv4.tcp_abort_on_overflow", "0 is the default");
        check("net.core.somaxconn", "listen() must ask");
        check("net.core.busy_poll", "nothing on loopback");
        check("net.ipv4.tcp_migrate_req", "saves connections");
    }

    #[test]
    fn what_the_kernels_source_says_is_what_the_rows_say() {
        let knob = |name: &str| named(name).expect(name);
        let weight = knob("net.core.dev_weight");
        assert!(weight.what.contains("sends") && weight.inert.contains("Of what is sent"), "{weight:?}");
        let reserve = knob("net.core.mem_pcpu_rsv");
        assert_eq!((reserve.since, reserve.parse("255").is_err()), (Some("6.9"), true));
        assert!(knob("socket.incoming_cpu").inert.contains("from Linux 4.6 until 6.2"));
    }

    #[test]
    fn a_name_is_found_by_dots_or_slashes_and_a_mistyped_one_by_its_last_word() {
        let name = |knob: Option<&Knob>| knob.map(|knob| knob.name);
        assert_eq!(name(named("net/core/somaxconn")), Some("net.core.somaxconn"));
        assert_eq!(name(named("somaxconn")), None);
        assert_eq!(name(meant("somaxconn")), Some("net.core.somaxconn"));
        assert_eq!(name(meant("net.ipv4.somaxconn")), Some("net.core.somaxconn"));
        assert_eq!(name(meant("tw_reuse")), Some("net.ipv4.tcp_tw_reuse"));
        assert_eq!(name(meant("kernel.core_pattern")), None);
    }
}
