//! A profile on trial: what is compared with what, and one experiment after the other.
//!
//! Each knob is tried within the profile, not alone: A is the profile without it, B the whole. So it is asked what a profile would lose.

use std::time::Duration;

use stats::experiment::{Proof, Tried};

use super::arm::{ArmPlan, testable};
use super::course::{Course, CourseError, Plan};
use crate::knob::Knob;
use crate::value::Value;

/// One knob of a profile, and what is to be compared for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its name.
    pub name: String,
    /// What the profile sets it to.
    pub value: String,
    /// The profile without it; or why it cannot be tried here.
    pub without: Result<ArmPlan, String>,
}

/// What `settings` can be tried here, all together, and the trial of each.
pub fn trials(settings: &[(&'static Knob, Value)]) -> (ArmPlan, Vec<Trial>) {
    let all = |left_out: Option<&str>| {
        let mut arm = ArmPlan::default();
        let kept = settings.iter().filter(|(knob, _)| Some(knob.name) != left_out);
        // What cannot be tried is in no arm.
        kept.for_each(|(knob, value)| drop(arm.set(knob, value.clone())));
        arm
    };
    let trial = |(knob, value): &(&'static Knob, Value)| Trial {
        name: knob.name.to_owned(),
        value: value.to_string(),
        without: testable(knob).map(|()| all(Some(knob.name))),
    };
    (all(None), settings.iter().map(trial).collect())
}

/// Tries the whole profile against the default, then each of its knobs. `plan` says how; its arms and family are not looked at, and its
/// budget is for all of it. Errors: the whole profile cannot be run, or the budget has no room for a first look at each.
pub fn prove(
    profile: &str,
    settings: &[(&'static Knob, Value)],
    plan: &Plan,
    course: &mut Course<'_>,
    next: &mut dyn FnMut(&str),
) -> Result<Proof, CourseError> {
    let (whole, trials) = trials(settings);
    let family = trials.iter().filter(|trial| trial.without.is_ok()).count() as u64;
    let budget: Duration = plan.budget / (family as u32 + 1);
    let of = |a: ArmPlan, family: u64| Plan { a, b: whole.clone(), budget, family, ..plan.clone() };
    next("the whole profile");
    let head = of(ArmPlan::default(), 1).run(course)?;
    let mut tried = Vec::with_capacity(trials.len());
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
    Ok(Proof::of(profile, head, tried))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::named;

    #[test]
    fn each_knob_is_tried_against_the_profile_without_it_and_what_leaks_is_in_no_arm() {
        let setting = |name: &str, value: &str| {
            let knob = named(name).expect(name);
            (knob, knob.parse(value).expect(value))
        };
        let settings = [
            setting("net.core.somaxconn", "8"),
            setting("vm.swappiness", "1"),
            setting("net.ipv4.tcp_fin_timeout", "30"),
        ];
        let (whole, trials) = trials(&settings);
        assert_eq!(whole.spec(), "net.core.somaxconn=8,net.ipv4.tcp_fin_timeout=30");
        let without: Vec<_> = trials.iter().map(|trial| trial.without.as_ref().map(ArmPlan::spec)).collect();
        assert_eq!(without[0], Ok("net.ipv4.tcp_fin_timeout=30".into()));
        assert!(without[1].as_ref().is_err_and(|why| why.contains("whole host")));
        assert_eq!(without[2], Ok("net.core.somaxconn=8".into()));
    }
}
