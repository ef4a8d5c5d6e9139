//! What the kernel really does with settings, and that a transaction copes with it: in network namespaces of the tests' own.
//!
//! A namespace and a private /run take CAP_SYS_ADMIN; without it each test says aloud that it did not run.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "what is skipped is told")]

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use linux::{namespace, sandbox};
use tune::apply::journal::{self, Head, Record};
use tune::apply::{
    self, ApplyError, Change, End, Host, Outcome, Request, Setting, Step, recover, revert_last,
};
use tune::{Root, catalogue};

/// Runs `test` in a thread with a network namespace and a /run of its own, on that namespace's settings.
fn within(test: fn(&Host, &Root)) {
    let inside = thread::spawn(move || {
        if let Err(error) = namespace::new_network() {
            return eprintln!("skipped: a network namespace takes CAP_SYS_ADMIN ({error})");
        }
        // Journal and lock are the host's otherwise, and somebody may be at work there.
        if let Err(error) = sandbox::empty_over(c"/run") {
            return eprintln!("skipped: a /run of its own takes CAP_SYS_ADMIN ({error})");
        }
        let host = Host { tree: None, netns: Some("own".into()), knobs: catalogue::named };
        test(&host, &host.root().expect("it has a sysfs of its own"));
    });
    inside.join().expect("what was asserted inside");
}

fn change(name: &str, target: &str) -> Change {
    let setting = Setting::named(name, catalogue::named).expect("the tests name what there is");
    let target = setting.knob.parse(target).expect("a value of it");
    Change { setting, target }
}

/// Applies, and confirms if it comes to that.
fn apply(host: &Host, changes: &[Change]) -> Outcome {
    apply_if(host, changes, &mut || Ok(()))
}

/// The same, where it is healthy.
fn apply_if(host: &Host, changes: &[Change], check: &mut dyn FnMut() -> Result<(), String>) -> Outcome {
    let mut dead_man = Command::new(std::env::current_exe().expect("a test knows its file"));
    dead_man.args(["--ignored", "--exact", "dead_man"]);
    let confirm_within = Duration::from_secs(600);
    let request = Request { changes, confirm_within, host_wide: false, dead_man: &mut dead_man, check };
    let tell = &mut |step: Step<'_>| {
        if step == Step::Applied {
            apply::confirm(host).expect("it waits");
        }
    };
    apply::apply(host, request, tell).expect("it begins")
}

#[test]
fn one_number_written_to_a_vector_changes_its_first_field_only_so_vectors_are_written_whole() {
    within(|host, root| {
        let path = "proc/sys/net/ipv4/tcp_rmem";
        let fields = || -> Vec<u64> {
            let text = root.read(path).expect("every kernel has it");
            text.split_whitespace().map(|field| field.parse().expect("a number")).collect()
        };
        let before = fields();
        root.write(path, "8192").expect("the kernel takes it");
        assert_eq!(fields(), [8192, before[1], before[2]]);
        let outcome = apply(host, &[change("net.ipv4.tcp_rmem", "4096 65536 1048576")]);
        assert_eq!(outcome.end, End::Confirmed);
        assert_eq!(fields(), [4096, 65536, 1048576]);
        revert_last(host, &mut |_| {}).expect("it was confirmed");
        assert_eq!(fields(), [8192, before[1], before[2]]);
    });
}

#[test]
fn the_kernel_shows_tabs_where_spaces_were_written_and_that_is_the_same() {
    within(|host, root| {
        let outcome = apply(host, &[change("net.ipv4.ip_local_port_range", "20000 60000")]);
        assert_eq!(outcome.end, End::Confirmed, "{outcome:?}");
        assert_eq!(root.read("proc/sys/net/ipv4/ip_local_port_range").expect("read"), "20000\t60000\n");
        // Written already, so nothing is announced and nothing can be taken back.
        let outcome = apply(host, &[change("net.ipv4.ip_local_port_range", "20000 60000")]);
        assert_eq!(outcome.end, End::Confirmed);
        assert_eq!(revert_last(host, &mut |_| {}).expect("it was confirmed").fates, []);
    });
}

#[test]
fn what_waits_for_its_coupled_setting_is_written_after_it_and_both_come_back() {
    within(|host, root| {
        let paths = ["proc/sys/net/ipv4/ip_local_port_range", "proc/sys/net/ipv4/ip_unprivileged_port_start"];
        let read = || paths.map(|path| root.read(path).expect("every kernel has it"));
        let before = read();
        let (range, bound) = (
            change("net.ipv4.ip_local_port_range", "500 65000"),
            change("net.ipv4.ip_unprivileged_port_start", "80"),
        );
        for changes in [[range.clone(), bound.clone()], [bound, range.clone()]] {
            let outcome = apply(host, &changes);
            assert_eq!(outcome.end, End::Confirmed, "{outcome:?}");
            assert_eq!(read(), ["500\t65000\n", "80\n"]);
            let outcome = revert_last(host, &mut |_| {}).expect("it was confirmed");
            assert!(outcome.is_clean(), "{outcome:?}");
            assert_eq!(read(), before);
        }
        // Alone it waits for nothing.
        let outcome = apply(host, &[range]);
        assert!(outcome.end == End::TakenBack && outcome.why.contains("was refused"), "{outcome:?}");
        assert_eq!(read(), before);
    });
}

#[test]
fn a_mask_that_is_refused_and_changed_all_the_same_is_taken_back() {
    within(|host, root| {
        let path = "proc/sys/net/core/rps_default_mask";
        if let Err(error) = root.write(path, "1") {
            return eprintln!("skipped: this kernel has no default mask ({error})");
        }
        let before = root.read(path).expect("it was written");
        // CPUs that this machine has not: the kernel says no, and leaves an empty mask.
        let cpus = linux::cpu::allowed().expect("a thread runs somewhere").len();
        let target = format!("{:x}", 1u64 << cpus.clamp(5, 31));
        let Err(error) = root.write(path, &target) else {
            return eprintln!("skipped: this machine has a CPU for the mask {target}");
        };
        let after = root.read(path).expect("it can be read");
        if after == before {
            return eprintln!("skipped: this kernel leaves the mask as it was ({error})");
        }
        root.write(path, "1").expect("it was taken before");
        let outcome = apply(host, &[change("net.core.rps_default_mask", &target)]);
        assert_eq!(outcome.end, End::TakenBack);
        assert!(outcome.why.contains("was refused"), "{}", outcome.why);
        assert!(outcome.is_clean(), "{outcome:?}");
        assert_eq!(root.read(path).expect("it can be read"), before);
    });
}

#[test]
fn a_congestion_control_that_the_host_restricts_is_refused_in_a_namespace() {
    within(|host, root| {
        // The list of what every process may have is the host's alone, and process 1 is of the host.
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let available = read("/proc/sys/net/ipv4/tcp_available_congestion_control");
        let before = root.read("proc/sys/net/ipv4/tcp_congestion_control").expect("every kernel has it");
        for name in available.split_whitespace().filter(|name| *name != before.trim()) {
            let outcome = apply(host, &[change("net.ipv4.tcp_congestion_control", name)]);
            let now = root.read("proc/sys/net/ipv4/tcp_congestion_control").expect("every kernel has it");
            match outcome.end {
                End::Confirmed => {
                    assert_eq!(now.trim(), name);
                    revert_last(host, &mut |_| {}).expect("it was confirmed");
                }
                End::TakenBack => {
                    assert!(outcome.why.contains("Operation not permitted"), "{name}: {}", outcome.why);
                    assert!(outcome.is_clean() && now == before, "{name}: {outcome:?}");
                }
            }
        }
        let unknown = apply(host, &[change("net.ipv4.tcp_congestion_control", "nosuch")]);
        assert_eq!((unknown.end, unknown.is_clean()), (End::TakenBack, true), "{unknown:?}");
    });
}

#[test]
fn a_device_of_the_namespace_is_changed_and_the_hosts_is_not() {
    within(|host, root| {
        let before = root.read("sys/class/net/lo/gro_flush_timeout").expect("every device has it");
        let change = change("device.gro_flush_timeout@lo", "20000");
        let unhealthy = apply_if(host, std::slice::from_ref(&change), &mut || Err("no answer".into()));
        assert!(unhealthy.end == End::TakenBack && unhealthy.is_clean(), "{unhealthy:?}");
        assert_eq!(root.read("sys/class/net/lo/gro_flush_timeout").expect("read"), before);
        let outcome = apply(host, &[change]);
        assert_eq!(outcome.end, End::Confirmed, "{outcome:?}");
        assert_eq!(root.read("sys/class/net/lo/gro_flush_timeout").expect("read"), "20000\n");
        let of_host = Root::host().expect("there is a /").read("sys/class/net/lo/gro_flush_timeout");
        assert_eq!(of_host.expect("every device has it"), before);
    });
}

#[test]
fn what_waits_in_a_namespace_is_confirmed_and_taken_back_from_within_it_only() {
    within(|host, root| {
        let (path, changes) =
            ("proc/sys/net/ipv4/tcp_fin_timeout", [change("net.ipv4.tcp_fin_timeout", "30")]);
        let check = &mut || {
            let elsewhere = thread::scope(|scope| {
                let other = scope.spawn(|| {
                    namespace::new_network().expect("one was made before");
                    [apply::confirm(host), apply::take_back_now(host)]
                });
                other.join().expect("answers")
            });
            for answer in elsewhere {
                let Err(ApplyError::WaitsElsewhere { netns }) = &answer else { panic!("{answer:?}") };
                assert_eq!(netns.as_deref(), Some("own"));
            }
            Ok(())
        };
        assert_eq!(apply_if(host, &changes, check).end, End::Confirmed);
        assert_eq!(root.read(path).expect("every kernel has it"), "30\n");
    });
}

#[test]
fn a_journal_of_a_namespace_whose_name_is_gone_blocks_until_a_recover_from_anywhere() {
    within(|host, _| {
        let head = Head {
            version: journal::VERSION,
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .expect("every kernel has it")
                .trim()
                .into(),
            namespace: "net:[1]".into(),
            netns: Some("gone".into()),
            ..Head::default()
        };
        let line = serde_json::to_string(&Record::Begun(head)).expect("plain data") + "\n";
        let change = change("net.ipv4.tcp_fin_timeout", "30");
        assert_eq!(apply(host, std::slice::from_ref(&change)).end, End::Confirmed);
        fs::write("/run/ringmill-lab/journal.jsonl", line).expect("a /run of our own");
        let error = revert_last(host, &mut |_| {}).expect_err("it is unfinished");
        assert!(matches!(&error, ApplyError::Unfinished { netns: Some(name) } if name == "gone"), "{error}");
        let outcome = recover(host, &mut |_| {}).expect("nobody has the lock").expect("it is unfinished");
        assert_eq!(outcome.why, "its network namespace is gone, and its settings with it");
        assert!(recover(host, &mut |_| {}).expect("nobody has the lock").is_none());
    });
}

#[test]
#[ignore = "the dead-man of the other tests"]
fn dead_man() {
    apply::stand_by(catalogue::named).expect("its parent gives the order");
}
