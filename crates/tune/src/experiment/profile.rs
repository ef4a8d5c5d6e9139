//! A profile on trial: what is compared with what, and one experiment after the other.
//!
//! Each knob is tried within the profile, not alone: A is the profile without it, B the whole. So it is asked what a profile would lose.
//! What this machine refuses is in no arm, or one such knob would keep all others from their trial.

use std::time::Duration;

use stats::experiment::{Proof, Tried};

use super::arm::{ArmPlan, testable};
use super::course::{Course, CourseError, Plan};
use super::run;
use crate::profile::{Dropped, Profile, Setting};

/// One knob of a profile, or some that this machine takes together only, and what is to be compared for it.
#[derive(Debug)]
struct Trial {
    /// Its name; of some, all of them.
    name: String,
    /// What the profile sets it to.
    value: String,
    /// The profile without it; or why it cannot be tried here.
    without: Result<ArmPlan, String>,
}

/// What of `settings` can be tried here, all together, and the trial of each. `takes` says of an arm why this machine refuses it, if it
/// does.
fn trials(settings: &[Setting], takes: &dyn Fn(&ArmPlan) -> Result<(), String>) -> (ArmPlan, Vec<Trial>) {
    let Sets { order, sets, refused } = sets(settings, takes);
    let without = |left_out: &[usize]| {
        together(order.iter().filter(|at| !left_out.contains(at)).map(|at| &settings[*at]))
    };
    let joined = |set: &[usize], of: &dyn Fn(&Setting) -> String| {
        set.iter().map(|at| of(&settings[*at])).collect::<Vec<_>>().join(" + ")
    };
    let mut trials: Vec<(usize, Trial)> = Vec::new();
    let trial = |set: &[usize], without| Trial {
        name: joined(set, &Setting::name),
        value: joined(set, &|setting| setting.value.to_string()),
        without,
    };
    trials.extend(sets.iter().map(|set| (set[0], trial(set, Ok(without(set))))));
    trials.extend(refused.into_iter().map(|(at, why)| (at, trial(&[at], Err(why)))));
    trials.sort_by_key(|(at, _)| *at);
    (without(&[]), trials.into_iter().map(|(_, trial)| trial).collect())
}

/// Settings of a profile by their places in it.
struct Sets {
    /// Those that can be tried, in an order in which each is taken.
    order: Vec<usize>,
    /// The same: one alone, or those of which one is refused without the other.
    sets: Vec<Vec<usize>>,
    /// Those that cannot, and why.
    refused: Vec<(usize, String)>,
}

/// Asks for each setting alone, and for one that is refused so whether it is taken after another: a range of ports after the bound
/// that it would cross. One more question tells that of most there is no such other.
fn sets(settings: &[Setting], takes: &dyn Fn(&ArmPlan) -> Result<(), String>) -> Sets {
    let ask =
        |order: &[usize], last: usize| takes(&together(order.iter().chain([&last]).map(|at| &settings[*at])));
    let mut found = Sets { order: Vec::new(), sets: Vec::new(), refused: Vec::new() };
    let mut alone = Vec::new();
    for (at, setting) in settings.iter().enumerate() {
        match testable(setting.knob) {
            Err(why) => found.refused.push((at, why)),
            Ok(()) => match ask(&[], at) {
                Ok(()) => found.order.push(at),
                Err(why) => alone.push((at, why)),
            },
        }
    }
    found.sets.extend(found.order.iter().map(|at| vec![*at]));
    for (at, why) in alone {
        let other = || found.sets.iter().position(|set| ask(set, at).is_ok());
        match Some(()).filter(|()| ask(&found.order, at).is_ok()).and_then(|()| other()) {
            Some(set) => {
                found.order.push(at);
                found.sets[set].push(at);
            }
            None => found.refused.push((at, why)),
        }
    }
    found
}

/// The arm of some settings.
fn together<'a>(settings: impl IntoIterator<Item = &'a Setting>) -> ArmPlan {
    let mut arm = ArmPlan::default();
    for setting in settings {
        arm.set(setting.knob, setting.value.clone()).expect("it was asked whether it is testable");
    }
    arm
}

/// Tries the whole profile against the default, then each of its knobs, but for those that this machine refuses. Those that it takes after
/// another only are one trial with that other.
/// `plan` says how; its arms and family are not looked at, and its budget is for all of it. Errors: no run can be made here, nothing of the
/// profile can be tried, the whole of it cannot be run, or the budget has no room for a first look at each.
pub fn prove(
    profile: &Profile,
    plan: &Plan,
    course: &mut Course<'_>,
    next: &mut dyn FnMut(&str),
) -> Result<Proof, CourseError> {
    let takes = |arm: &ArmPlan| run::takes(&plan.place, &plan.workload.kind, arm);
    // Of a machine that makes no namespace it would be said that it refuses each knob.
    takes(&ArmPlan::default()).map_err(|why| CourseError::Arm { arm: "A".into(), why })?;
    let (whole, trials) = trials(&profile.settings, &takes);
    let family = trials.iter().filter(|trial| trial.without.is_ok()).count() as u64;
    if family == 0 {
        let reasons = trials.into_iter().filter_map(|trial| Some((trial.name, trial.without.err()?)));
        let dropped = profile.dropped.iter().map(|Dropped { name, why, .. }| (name.clone(), why.clone()));
        let (name, why) = reasons.chain(dropped).next().unwrap_or_default();
        return Err(CourseError::Nothing { name, why });
    }
    let budget: Duration = plan.budget / (family as u32 + 1);
    let of = |a: ArmPlan, family: u64| Plan { a, b: whole.clone(), budget, family, ..plan.clone() };
    next("the whole profile");
    let head = of(ArmPlan::default(), 1).run(course)?;
    let mut tried = Vec::with_capacity(trials.len() + profile.dropped.len());
    for Trial { name, value, without } in trials {
        let came = without.and_then(|without| {
            if (course.is_stopped)() {
                return Err("ended by its user before its turn".into());
            }
            next(&name);
            of(without, family).run(course).map_err(|error| error.to_string())
        });
        tried.push(Tried { name, value, came });
    }
    let dropped = profile.dropped.iter().cloned();
    tried.extend(dropped.map(|Dropped { name, value, why }| Tried { name, value, came: Err(why) }));
    Ok(Proof::of(&profile.name, head, tried))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(words: &[&str]) -> Vec<Setting> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Profile::typed(&words).expect("settings").settings
    }

    fn without(trials: &[Trial]) -> Vec<Result<String, String>> {
        trials.iter().map(|trial| trial.without.as_ref().map(ArmPlan::spec).map_err(String::clone)).collect()
    }

    #[test]
    fn each_knob_is_tried_against_the_profile_without_it_and_what_leaks_is_in_no_arm() {
        let settings = settings(&["net.core.somaxconn=8", "vm.swappiness=1", "net.ipv4.tcp_fin_timeout=30"]);
        let (whole, trials) = trials(&settings, &|_| Ok(()));
        assert_eq!(whole.spec(), "net.core.somaxconn=8,net.ipv4.tcp_fin_timeout=30");
        let without = without(&trials);
        assert_eq!(without[0], Ok("net.ipv4.tcp_fin_timeout=30".into()));
        assert!(without[1].as_ref().is_err_and(|why| why.contains("whole host")));
        assert_eq!(without[2], Ok("net.core.somaxconn=8".into()));
    }

    #[test]
    fn what_this_machine_refuses_is_in_no_arm_and_keeps_nothing_else_from_its_trial() {
        let settings = settings(&[
            "net.core.somaxconn=8",
            "net.ipv4.tcp_congestion_control=bbr",
            "net.ipv4.tcp_fin_timeout=30",
        ]);
        let asked = std::cell::Cell::new(0);
        let takes = |arm: &ArmPlan| {
            asked.set(asked.get() + 1);
            let is_refused = arm.spec().contains("net.ipv4.tcp_congestion_control=bbr");
            if is_refused { Err("not permitted".to_owned()) } else { Ok(()) }
        };
        let (whole, trials) = trials(&settings, &takes);
        assert_eq!(whole.spec(), "net.core.somaxconn=8,net.ipv4.tcp_fin_timeout=30");
        let expected = [Ok("net.ipv4.tcp_fin_timeout=30"), Err("not permitted"), Ok("net.core.somaxconn=8")];
        assert_eq!(without(&trials), expected.map(|arm| arm.map(str::to_owned).map_err(str::to_owned)));
        assert_eq!(asked.get(), 4, "each alone, and once more what was refused");
    }

    #[test]
    fn what_is_taken_after_another_only_is_one_trial_with_it_and_written_after_it() {
        let settings = settings(&[
            "net.ipv4.ip_local_port_range=512 65535",
            "net.core.somaxconn=8",
            "net.ipv4.tcp_fin_timeout=30",
        ]);
        // As if the range were refused until the timeout is set.
        let takes = |arm: &ArmPlan| {
            let spec = arm.spec();
            let range = spec.find("port_range");
            match range.is_none_or(|range| spec.find("fin_timeout").is_some_and(|before| before < range)) {
                true => Ok(()),
                false => Err("invalid".to_owned()),
            }
        };
        let (whole, trials) = trials(&settings, &takes);
        let (somaxconn, pair) =
            ("net.core.somaxconn=8", "net.ipv4.tcp_fin_timeout=30,net.ipv4.ip_local_port_range=512 65535");
        assert_eq!(whole.spec(), format!("{somaxconn},{pair}"));
        let names: Vec<&str> = trials.iter().map(|trial| trial.name.as_str()).collect();
        assert_eq!(names, ["net.core.somaxconn", "net.ipv4.tcp_fin_timeout + net.ipv4.ip_local_port_range"]);
        assert_eq!(trials[1].value, "30 + 512 65535");
        assert_eq!(without(&trials), [Ok(pair.to_owned()), Ok(somaxconn.to_owned())]);
    }
}
