//! What was done: the counters of every shard, as a table for people and as JSON for programs.
//!
//! Every counter of the meter's table is in the JSON by its own name; a new one appears by being in that table.

use std::io;
use std::path::Path;

use linux::file;
use serde::{Serialize, Serializer};
use shard::meter::{Board, Snapshot};
use shard::plan;

use crate::table;

/// The counters at one moment: while serving (SIGUSR1), or at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    /// Whether the server has ended; else the counters go on.
    ended: bool,
    shards: Vec<Shard>,
    totals: Counts,
    /// Submissions without a last completion; not known before the end.
    in_flight_at_exit: Option<u64>,
    /// Receive buffers that nobody gave back; not known before the end.
    buffers_lent_at_exit: Option<u64>,
    drained: u64,
    aborted: u64,
}

#[derive(Debug, Serialize)]
struct Shard {
    shard: usize,
    core: Option<usize>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Counts(Snapshot);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(metric, value)| (metric.name, value)))
    }
}

impl Report {
    /// The counters while the shards go on.
    pub(crate) fn live(board: &Board) -> Report {
        let shards = (0..board.seats()).map(|seat| (board.core(seat), board.snapshot(seat)));
        Report::of(shards.collect())
    }

    /// The counters at the end.
    pub(crate) fn last(report: &plan::Report) -> Report {
        let seats = report.seats.iter();
        Report {
            ended: true,
            in_flight_at_exit: Some(seats.clone().map(|seat| seat.in_flight_at_exit).sum()),
            buffers_lent_at_exit: Some(seats.clone().map(|seat| seat.buffers_lent_at_exit).sum()),
            ..Report::of(seats.map(|seat| (seat.core, seat.counts)).collect())
        }
    }

    fn of(shards: Vec<(Option<usize>, Snapshot)>) -> Report {
        let totals: Snapshot = shards.iter().map(|(_, counts)| *counts).sum();
        let shards = shards.into_iter().enumerate();
        Report {
            version: env!("CARGO_PKG_VERSION"),
            ended: false,
            shards: shards
                .map(|(shard, (core, counts))| Shard { shard, core, counts: Counts(counts) })
                .collect(),
            totals: Counts(totals),
            in_flight_at_exit: None,
            buffers_lent_at_exit: None,
            drained: totals.drained,
            aborted: totals.aborted,
        }
    }

    /// As JSON, with a line end.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers under names are JSON") + "\n"
    }

    /// What a person wants to know first.
    pub(crate) fn text(&self) -> String {
        let head = ["shard", "core", "accepted", "requests", "in", "out", "enters/request"];
        let row = |name: String, core: Option<usize>, counts: &Snapshot| {
            let core = core.map_or("-".into(), |core| core.to_string());
            let enters = counts.enters as f64 / counts.requests.max(1) as f64;
            vec![
                name,
                core,
                table::thousands(counts.accepted),
                table::thousands(counts.requests),
                table::bytes(counts.bytes_in),
                table::bytes(counts.bytes_out),
                if counts.requests == 0 { "-".into() } else { format!("{enters:.2}") },
            ]
        };
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(
            self.shards.iter().map(|shard| row(shard.shard.to_string(), shard.core, &shard.counts.0)),
        );
        if self.shards.len() > 1 {
            rows.push(row("all".into(), None, &self.totals.0));
        }
        let mut text = table::columns(&rows) + &self.balance();
        if let (Some(in_flight), Some(lent)) = (self.in_flight_at_exit, self.buffers_lent_at_exit) {
            let Report { drained, aborted, .. } = self;
            text += &format!(
                "drained {drained}, aborted {aborted}; left in flight {in_flight}, buffers lent {lent}\n"
            );
        }
        text
    }

    /// How evenly connections came to the shards: a line where there are several, and connections.
    fn balance(&self) -> String {
        let accepted = |shard: &&Shard| shard.counts.0.accepted;
        let ends = (self.shards.iter().min_by_key(accepted), self.shards.iter().max_by_key(accepted));
        let ((Some(least), Some(most)), true) = (ends, self.shards.len() > 1 && self.totals.0.accepted > 0)
        else {
            return String::new();
        };
        let share = |shard: &Shard| {
            let percent = 100.0 * shard.counts.0.accepted as f64 / self.totals.0.accepted as f64;
            format!("{percent:.1} % (shard {})", shard.shard)
        };
        let even = 100.0 / self.shards.len() as f64;
        format!(
            "accepted by a shard: least {}, most {}; an even share is {even:.1} %\n",
            share(least),
            share(most)
        )
    }

    /// Replaces the file at `path`. Errors: as of `file::replace`.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        file::replace(path, self.json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use shard::meter::METRICS;
    use shard::plan::SeatReport;

    fn seat(core: usize, requests: u64) -> SeatReport {
        let counts =
            Snapshot { requests, enters: 1, drained: 2, aborted: 1, bytes_in: 2048, ..Snapshot::default() };
        SeatReport { core: Some(core), counts, in_flight_at_exit: 0, buffers_lent_at_exit: 3 }
    }

    fn ended() -> Report {
        Report::last(&plan::Report { seats: vec![seat(4, 10), seat(5, 1000)] })
    }

    #[test]
    fn the_json_has_every_counter_of_every_shard_and_their_sum() {
        let json: Value = serde_json::from_str(&ended().json()).expect("JSON");
        for metric in METRICS {
            let value =
                |place: &Value| place[metric.name].as_u64().unwrap_or_else(|| panic!("{}", metric.name));
            let sum = value(&json["shards"][0]) + value(&json["shards"][1]);
            assert_eq!(value(&json["totals"]), sum, "{}", metric.name);
        }
        assert_eq!((&json["shards"][1]["core"], &json["totals"]["requests"]), (&5.into(), &1010.into()));
        assert_eq!((&json["in_flight_at_exit"], &json["buffers_lent_at_exit"]), (&0.into(), &6.into()));
        assert_eq!(
            (&json["drained"], &json["aborted"], &json["ended"]),
            (&4.into(), &2.into(), &true.into())
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_shard_and_one_for_all() {
        let text = ended().text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "shard  core  accepted  requests  in       out  enters/request");
        assert_eq!(lines[3], "all    -     0         1,010     4.0 KiB  0 B  0.00");
        assert_eq!(lines[4], "drained 4, aborted 2; left in flight 0, buffers lent 6");
    }

    #[test]
    fn how_evenly_connections_came_to_the_shards_is_told_where_there_are_several_and_some_came() {
        for (accepted, told) in [
            (&[3, 6, 1][..], "least 10.0 % (shard 2), most 60.0 % (shard 1); an even share is 33.3 %"),
            (&[5, 5], "least 50.0 % (shard 0), most 50.0 % (shard 1); an even share is 50.0 %"),
            (&[0, 0], ""),
            (&[7], ""),
        ] {
            let seats = accepted.iter().map(|&accepted| {
                let counts = Snapshot { accepted, ..Snapshot::default() };
                SeatReport { core: None, counts, in_flight_at_exit: 0, buffers_lent_at_exit: 0 }
            });
            let text = Report::last(&plan::Report { seats: seats.collect() }).text();
            let line = text.lines().find_map(|line| line.strip_prefix("accepted by a shard: "));
            assert_eq!(line.unwrap_or_default(), told);
        }
    }

    #[test]
    fn a_report_while_serving_does_not_claim_what_is_known_at_the_end_only() {
        let board = Board::new(&[Some(0), None]);
        board.seat(1).requests.add(7);
        let json: Value = serde_json::from_str(&Report::live(&board).json()).expect("JSON");
        assert_eq!((&json["totals"]["requests"], &json["shards"][1]["core"]), (&7.into(), &Value::Null));
        assert_eq!((&json["in_flight_at_exit"], &json["ended"]), (&Value::Null, &false.into()));
    }
}
