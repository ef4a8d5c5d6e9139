//! Transparent huge pages: who gets them unasked, and who waits while memory is made whole for them.

use super::{Cost, Report, told};
use crate::look::Look;
use crate::value::{Kind, Value};

const SUBJECT: &str = "huge pages";
const DIRECTORY: &str = "sys/kernel/mm/transparent_hugepage";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let chosen = |file: &str| {
        let text = look.line(&format!("{DIRECTORY}/{file}"))?;
        Value::read(Kind::Enum(&[]), &text).ok().map(|value| value.to_string())
    };
    let Some(enabled) = chosen("enabled") else {
        return report.fine(SUBJECT, "this kernel has no transparent ones");
    };
    let defrag = chosen("defrag").unwrap_or_default();
    let evidence = format!("enabled {enabled}, defrag {defrag}");
    if defrag == "always" && enabled != "never" {
        let what = "an allocation may wait while memory is compacted for a huge page";
        let cure = "`ringmill-lab plan --set mm.transparent_hugepage_defrag=defer+madvise`";
        report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
    } else if enabled == "always" {
        let what = "programs get huge pages unasked: more memory than they use, and work in the background";
        let cure = "`ringmill-lab plan --set mm.transparent_hugepage=madvise`, and measure: programs with much memory gain by them";
        report.find(Cost::Slight, SUBJECT, told(what, evidence, cure));
    } else {
        report.fine(SUBJECT, evidence);
    }
}

#[cfg(test)]
mod tests {
    use super::{DIRECTORY, examine};
    use crate::doctor::tests::check;

    #[test]
    fn waiting_for_huge_pages_costs_more_than_having_them() {
        let (enabled, defrag) = (format!("{DIRECTORY}/enabled"), format!("{DIRECTORY}/defrag"));
        let host = |on: &'static str, wait: &'static str| [(enabled.clone(), on), (defrag.clone(), wait)];
        let see = |on, wait, expected: &str| {
            let files = host(on, wait);
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
            check(examine, &files, expected);
        };
        see(
            "always [madvise] never\n",
            "always defer [madvise] never\n",
            "fine: enabled madvise, defrag madvise",
        );
        see("[always] madvise never\n", "always [defer] madvise never\n", "slight: unasked");
        see("[always] madvise never\n", "[always] defer madvise never\n", "moderate: compacted");
        see("always madvise [never]\n", "[always] defer madvise never\n", "fine: enabled never");
    }
}
