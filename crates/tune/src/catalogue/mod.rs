//! Every knob there is, as data, a file for each subject.
//!
//! A row is what the kernel's own documentation says, or its source where that is silent; `source` names it. Nothing here
//! says that a value is good: that is for a profile to claim and for an experiment to find.

mod net_core;

use crate::knob::Knob;

/// The tables, in the order in which they are shown.
const TABLES: &[&[Knob]] = &[net_core::KNOBS];

/// Every knob, subject after subject.
pub fn all() -> impl Iterator<Item = &'static Knob> {
    TABLES.iter().copied().flatten()
}

/// The knob of that name. A sysctl's slashes are as good as its dots (sysctl(8)).
pub fn named(name: &str) -> Option<&'static Knob> {
    all().find(|knob| knob.name == name).or_else(|| {
        let dotted = name.replace('/', ".");
        all().find(|knob| knob.name == dotted)
    })
}
