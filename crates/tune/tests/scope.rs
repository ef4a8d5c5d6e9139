//! Whose settings are: the catalogue against this kernel, in a network namespace of the test's own. Nothing is written.

#![expect(clippy::print_stderr, reason = "what is skipped is told")]

use tune::probe::{Found, Note, Probe};
use tune::{Root, catalogue};

#[test]
fn a_sysctl_of_a_namespace_is_there_in_a_new_one_and_one_of_the_host_is_not() {
    let probe = Probe::of(&Root::host().expect("there is a /"), catalogue::all());
    if let Some(why) = probe.no_namespace {
        return eprintln!("skipped: {why}");
    }
    assert!(probe.asked - probe.absent() > 50, "{} of {} are not here", probe.absent(), probe.asked);
    // What a container may not write is no word against the catalogue.
    let is_scope = |note: &&Note| note.found != Found::ReadOnly;
    let against: Vec<&Note> = probe.against().filter(is_scope).collect();
    assert_eq!(against, Vec::<&Note>::new());
}

#[test]
fn every_value_that_this_kernel_shows_is_one_of_its_kind() {
    for knob in catalogue::all().filter(|knob| !knob.path.is_empty() && !knob.is_many()) {
        let Ok(text) = std::fs::read_to_string(format!("/{}", knob.path)) else { continue };
        if let Err(error) = tune::Value::read(knob.kind, &text) {
            panic!("{}: {error}", knob.name);
        }
    }
}
