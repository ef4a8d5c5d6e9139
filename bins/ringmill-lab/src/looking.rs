//! The commands that look and change nothing: doctor, knobs, explain, plan, audit.

use std::path::Path;
use std::process::ExitCode;

use linux::console::{Failure, tell};
use tune::{Look, Plan, Probe, Profile, Root, catalogue, doctor, explain};

use crate::applying;
use crate::args::{self, Common, Wanted};

/// Something is not as it should be.
const PENDING: u8 = 3;

pub(crate) fn doctor(common: &Common) -> Result<ExitCode, Failure> {
    let _ = root(common)?;
    let report = doctor::Report::of(&Look::at(&common.root));
    show(common, || report.text(), || report.json())
}

pub(crate) fn knobs(knobs: &args::Knobs, common: &Common) -> Result<ExitCode, Failure> {
    if knobs.markdown {
        return tell(&explain::markdown()).map(|()| ExitCode::SUCCESS);
    }
    let probe = Probe::of(&root(common)?, catalogue::all());
    show(common, || explain::list(&probe), || explain::json(&probe))
}

pub(crate) fn explain(explain: &args::Explain, common: &Common) -> Result<ExitCode, Failure> {
    let knob = catalogue::named(&explain.knob)
        // The last word of a name is enough, where no other knob is meant by it.
        .or_else(|| catalogue::meant(&explain.knob).filter(|_| !explain.knob.contains(['.', '/'])))
        .ok_or_else(|| failure(tune::Error::NoKnob(explain.knob.clone())))?;
    let probe = Probe::of(&root(common)?, std::iter::once(knob));
    show(common, || explain::one(knob, &probe), || explain::json_one(knob, &probe))
}

pub(crate) fn plan(plan: &args::Plan, common: &Common) -> Result<ExitCode, Failure> {
    let profile = wanted(&plan.wanted)?;
    if plan.sysctl_d {
        return tell(&profile.sysctl_d()).map(|()| ExitCode::SUCCESS);
    }
    if plan.tuned {
        return tell(&profile.tuned()).map(|()| ExitCode::SUCCESS);
    }
    compare(profile, &root(common)?, common, Plan::text)
}

pub(crate) fn audit(audit: &args::Audit, common: &Common) -> Result<ExitCode, Failure> {
    let profile = Profile::find(&audit.profile).map_err(failure)?;
    let root = applying::root(&applying::enter(&audit.place, common)?)?;
    compare(profile, &root, common, Plan::audit)
}

/// Holds a profile against the host. The exit code says whether something is not as it should be.
fn compare(
    profile: Profile,
    root: &Root,
    common: &Common,
    text: fn(&Plan) -> String,
) -> Result<ExitCode, Failure> {
    let plan = planned(profile, root);
    let is_pending = plan.pending().next().is_some();
    let code = show(common, || text(&plan), || plan.json())?;
    Ok(if is_pending { ExitCode::from(PENDING) } else { code })
}

/// A profile held against a host, with what its kernel says of the knobs.
pub(crate) fn planned(profile: Profile, root: &Root) -> Plan {
    let mut plan = Plan::of(profile, root);
    let probe = Probe::of(root, plan.lines.iter().map(|line| line.setting.knob));
    plan.mark(&probe);
    plan
}

pub(crate) fn wanted(wanted: &Wanted) -> Result<Profile, Failure> {
    match &wanted.profile {
        Some(name) => Profile::find(name),
        None => Profile::typed(&wanted.set),
    }
    .map_err(failure)
}

pub(crate) fn root(common: &Common) -> Result<Root, Failure> {
    let root = if common.root == Path::new("/") { Root::host() } else { Root::tree(&common.root) };
    root.map_err(|why| {
        Failure::usage(format!("--root {}: {why}", common.root.display()))
            .cure("a directory that can be read")
    })
}

/// Tells the text, and writes the JSON where it is wanted; on standard output it stands for the text.
pub(crate) fn show(
    common: &Common,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> String,
) -> Result<ExitCode, Failure> {
    match common.json.as_deref() {
        None => tell(&text())?,
        Some(path) if path == Path::new("-") => tell(&json())?,
        Some(path) => {
            linux::file::replace(path, json()).map_err(|why| {
                Failure::runtime(format!("--json {}: {why}", path.display()))
                    .cure("somewhere else to write to")
            })?;
            tell(&text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn failure(error: tune::Error) -> Failure {
    Failure::usage(error.to_string()).cure(error.cure())
}
