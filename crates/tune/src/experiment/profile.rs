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

/// One knob of a profile, and what is to be compared for it.
#[derive(Debug)]
struct Trial {
    /// Its name.
    name: String,
    /// What the profile sets it to.
    value: String,
    /// The profile without it; or why it cannot be tried here.
    without: Result<ArmPlan, String>,
}

/// What of `settings` can be tried here, all together, and the trial of each. `takes` says of an arm of one of them why this machine
/// refuses it, if it does.
fn trials(settings: &[Setting], takes: &dyn Fn(&ArmPlan) -> Result<(), String>) -> (ArmPlan, Vec<Trial>) {
    let answer = |setting: &Setting| testable(setting.knob).and_then(|()| takes(&together([setting])));
    let asked: Vec<(&Setting, Result<(), String>)> =
        settings.iter().map(|setting| (setting, answer(setting))).collect();
    let without = |left_out: Option<usize>| {
        let kept = asked.iter().enumerate();
        let kept = kept.filter(|(at, (_, answer))| answer.is_ok() && Some(*at) != left_out);
        together(kept.map(|(_, (setting, _))| *setting))
    };
    let trial = |(at, (setting, answer)): (usize, &(&Setting, Result<(), String>))| Trial {
        name: setting.name(),
        value: setting.value.to_string(),
        without: answer.clone().map(|()| without(Some(at))),
    };
    (without(None), asked.iter().enumerate().map(trial).collect())
}

/// The arm of some settings.
fn together<'a>(settings: impl IntoIterator<Item = &'a Setting>) -> ArmPlan {
    let mut arm = ArmPlan::default();
    for setting in settings {
        arm.set(setting.knob, setting.value.clone()).expect("it was asked whether it is testable");
    }
    arm
}

/// Tries the whole profile against the default, then each of its knobs, but for those that this machine refuses when they are alone.
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
        let takes = |arm: &ArmPlan| match arm.spec().as_str() {
            "net.ipv4.tcp_congestion_control=bbr" => Err("not permitted".to_owned()),
            "net.core.somaxconn=8" | "net.ipv4.tcp_fin_timeout=30" => Ok(()),
            other => panic!("{other} is not one setting alone"),
        };
        let (whole, trials) = trials(&settings, &takes);
        assert_eq!(whole.spec(), "net.core.somaxconn=8,net.ipv4.tcp_fin_timeout=30");
        let expected = [Ok("net.ipv4.tcp_fin_timeout=30"), Err("not permitted"), Ok("net.core.somaxconn=8")];
        assert_eq!(without(&trials), expected.map(|arm| arm.map(str::to_owned).map_err(str::to_owned)));
    }
}
