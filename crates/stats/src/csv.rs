//! The series of a result as comma-separated values (RFC 4180, lines end with `\n`): one line a step, one column a figure.
//!
//! Names end with their unit, as in the JSON result. A figure that the samples do not carry is empty, never 0. The same result gives
//! the same bytes.

use crate::outcome::Step;

/// The series with its head.
pub fn series(steps: &[Step]) -> String {
    let mut out = COLUMNS.map(|(name, _)| name).join(",");
    out.push('\n');
    for step in steps {
        out.push_str(&COLUMNS.map(|(_, figure)| figure(step)).join(","));
        out.push('\n');
    }
    out
}

type Column = (&'static str, fn(&Step) -> String);

const COLUMNS: [Column; 16] = [
    ("from_ns", |step| step.from_ns.to_string()),
    ("to_ns", |step| step.to_ns.to_string()),
    ("answered_per_s", |step| {
        let ns = step.to_ns.saturating_sub(step.from_ns);
        optional((ns > 0).then(|| step.completed as f64 * 1e9 / ns as f64))
    }),
    ("answered", |step| step.answered.to_string()),
    ("completed", |step| step.completed.to_string()),
    ("errors", |step| step.errors.to_string()),
    ("bytes_in", |step| step.bytes_in.to_string()),
    ("mean_ns", |step| optional(step.mean_ns)),
    ("p50_ns", |step| optional(step.p50_ns)),
    ("p90_ns", |step| optional(step.p90_ns)),
    ("p99_ns", |step| optional(step.p99_ns)),
    ("p99_9_ns", |step| optional(step.p99_9_ns)),
    ("max_ns", |step| optional(step.max_ns)),
    ("service_p99_ns", |step| optional(step.service_p99_ns)),
    ("send_lag_p99_ns", |step| optional(step.send_lag_p99_ns)),
    ("connections", |step| step.connections.to_string()),
];

fn optional(figure: Option<impl ToString>) -> String {
    figure.map_or(String::new(), |figure| figure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_empty_and_what_is_zero_is_zero() {
        let steps = [
            Step {
                to_ns: 500_000_000,
                answered: 4,
                completed: 3,
                mean_ns: Some(1_500.5),
                max_ns: Some(2_000),
                ..Step::default()
            },
            Step { from_ns: 500_000_000, to_ns: 1_000_000_000, connections: 64, ..Step::default() },
        ];
        let expected = "\
from_ns,to_ns,answered_per_s,answered,completed,errors,bytes_in,mean_ns,p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns,service_p99_ns,\
send_lag_p99_ns,connections
0,500000000,6,4,3,0,0,1500.5,,,,,2000,,,0
500000000,1000000000,0,0,0,0,0,,,,,,,,,64
";
        assert_eq!(series(&steps), expected);
    }
}
