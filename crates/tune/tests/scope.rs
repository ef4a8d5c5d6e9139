//! Whose settings are: the catalogue against this kernel, in a network namespace of the test's own. Nothing is written.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tune::catalogue;
use tune::knob::Scope;

/// The files of `/proc/sys/net` that a new namespace has and lets its root write; none where this user may make no namespace.
fn in_a_namespace() -> Option<BTreeSet<String>> {
    let find = ["--net", "find", "/proc/sys/net", "-type", "f", "-perm", "-u=w"];
    let told = Command::new("unshare").args(find).output().ok().filter(|told| told.status.success())?;
    Some(String::from_utf8_lossy(&told.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn a_sysctl_of_a_namespace_is_there_in_a_new_one_and_one_of_the_host_is_not() {
    let Some(own) = in_a_namespace() else {
        println!("skipped: this user may make no network namespace (unshare --net)");
        return;
    };
    let here = catalogue::all().filter(|knob| knob.path.starts_with("proc/sys/net/"));
    let here: Vec<_> = here.filter(|knob| Path::new(&format!("/{}", knob.path)).exists()).collect();
    assert!(here.len() > 30, "{} of the catalogue's are here", here.len());
    for knob in here {
        let is_own = own.contains(&format!("/{}", knob.path));
        assert_eq!(is_own, knob.scope == Scope::Netns, "{} is {}", knob.name, knob.scope);
    }
}

/// Every value that this kernel shows can be read, and what it has by default is what the catalogue says, where it says something:
/// both are asked of a new namespace, which has the defaults whatever the host has been set to.
#[test]
fn every_value_that_this_kernel_shows_is_one_of_its_kind() {
    for knob in catalogue::all().filter(|knob| !knob.path.is_empty() && !knob.is_many()) {
        let Ok(text) = std::fs::read_to_string(format!("/{}", knob.path)) else { continue };
        if let Err(error) = tune::Value::read(knob.kind, &text) {
            panic!("{}: {error}", knob.name);
        }
    }
}
