//! Which rung of io_uring the kernel gives: the server's own engine.
//!
//! On the host itself it is tried; of a tree of files only the release and the switch can be read.

use linux::ring::{self, Factors};

use super::{Cost, Report, told};
use crate::look::Look;

const SUBJECT: &str = "io_uring";

pub(super) fn examine(look: &Look, report: &mut Report) {
    if look.number("proc/sys/kernel/io_uring_disabled") == Some(2) {
        let what = "nobody may have a ring: Ringmill serves by epoll";
        let cure = "`ringmill-lab plan --set kernel.io_uring_disabled=0`, if the host's owner agrees";
        return report.find(Cost::Moderate, SUBJECT, told(what, "kernel.io_uring_disabled is 2", cure));
    }
    if look.is_host() {
        return tried(report);
    }
    let release = look.line("proc/sys/kernel/osrelease").unwrap_or_default();
    match version(&release) {
        None => report.unknown(SUBJECT, "the kernel's release cannot be read"),
        Some(version) if version >= (6, 6) => report.fine(SUBJECT, format!("Linux {release} has all of it")),
        Some(version) => old(version, &release, report),
    }
}

fn tried(report: &mut Report) {
    match ring::probe(&Factors::BEST) {
        Ok(features) if features.missing.is_empty() => report.fine(SUBJECT, features.tier.to_string()),
        Ok(features) => {
            let missing: Vec<String> =
                features.missing.iter().map(|(feature, why)| format!("{feature}: {why}")).collect();
            let evidence = format!("{}; {}", features.tier, missing.join("; "));
            let cure = "a newer kernel, or `ringmill caps` for what each would give";
            report.find(
                Cost::Slight,
                SUBJECT,
                told("the kernel does not give all that the engine can use", evidence, cure),
            );
        }
        Err(error) => {
            let cure = error.cure().unwrap_or_else(|| "`ringmill caps`".into());
            report.find(
                Cost::Moderate,
                SUBJECT,
                told("there is no ring: Ringmill serves by epoll", error.to_string(), cure),
            );
        }
    }
}

fn old(version: (u32, u32), release: &str, report: &mut Report) {
    let (cost, what) = match version {
        (5, minor) if minor < 19 => {
            (Cost::Moderate, "this kernel has no ring that Ringmill can use: it serves by epoll")
        }
        (major, _) if major < 5 => {
            (Cost::Moderate, "this kernel has no ring that Ringmill can use: it serves by epoll")
        }
        _ => (Cost::Slight, "this kernel gives a lower rung of io_uring"),
    };
    report.find(cost, SUBJECT, told(what, format!("Linux {release}"), "Linux 6.6 or newer"));
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    #[test]
    fn the_rung_follows_from_the_release_and_the_switch() {
        let kernel = |release: &'static str, expected: &str| {
            check(examine, &[("proc/sys/kernel/osrelease", release)], expected);
        };
        kernel("6.18.4-arch1\n", "fine: 6.18.4");
        kernel("6.1.0-13-amd64\n", "slight: lower rung");
        kernel("5.15.0\n", "moderate: epoll");
        kernel("4.18.0\n", "moderate: epoll");
        let off = [("proc/sys/kernel/io_uring_disabled", "2\n"), ("proc/sys/kernel/osrelease", "6.18.4\n")];
        check(examine, &off, "moderate: nobody may");
        check(examine, &[], "unknown: release");
    }
}
