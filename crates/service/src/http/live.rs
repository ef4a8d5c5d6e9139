//! The figures on the page: filled into it when it is asked for, and as JSON for its script once a second after that.

use serde::Serialize;
use shard::meter::Board;
use std::fmt::Write;

/// What the page shows of one shard.
#[derive(Serialize)]
struct Row {
    core: Option<usize>,
    connections: u64,
    accepted: u64,
    requests: u64,
    bytes_in: u64,
    bytes_out: u64,
    enters: u64,
}

#[derive(Serialize)]
struct Live {
    shards: Vec<Row>,
}

fn rows(board: &Board) -> impl Iterator<Item = Row> {
    (0..board.seats()).map(|seat| {
        let counts = board.snapshot(seat);
        Row {
            core: board.core(seat),
            connections: counts.connections,
            accepted: counts.accepted,
            requests: counts.requests,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            enters: counts.enters,
        }
    })
}

/// The figures as the page's script reads them.
pub(crate) fn json(board: &Board) -> String {
    let live = Live { shards: rows(board).collect() };
    serde_json::to_string(&live).expect("numbers can be written as JSON")
}

/// The page, with the figures of this moment where they may be shown.
pub(crate) fn page(board: Option<&Board>) -> String {
    let figures = board.map_or_else(|| CLOSED.to_owned(), table);
    PAGE.replacen("<!-- figures -->", &figures, 1).replacen("<!-- version -->", env!("CARGO_PKG_VERSION"), 1)
}

fn table(board: &Board) -> String {
    let mut body = String::new();
    for (seat, row) in rows(board).enumerate() {
        let core = row.core.map_or("any".to_owned(), |core| core.to_string());
        let Row { connections, accepted, requests, bytes_in, bytes_out, enters, .. } = row;
        writeln!(
            body,
            "<tr><th scope=\"row\">{seat}</th><td>{core}</td><td class=\"wide\"></td><td>{connections}</td><td>{accepted}</td>\
             <td>{requests}</td><td>{bytes_in}</td><td>{bytes_out}</td><td>{enters}</td></tr>"
        )
        .expect("writing to a String does not fail");
    }
    TABLE.replacen("<!-- rows -->", &body, 1)
}

const PAGE: &str = include_str!("page.html");
const TABLE: &str = include_str!("table.html");
const CLOSED: &str =
    "<p>The live figures are shown on loopback only, unless the server is told otherwise.</p>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_each_shard_with_and_without_its_script() {
        let board = Board::new(&[Some(4), None]);
        board.seat(1).requests.add(12_345);
        let page = page(Some(&board));
        assert!(
            page.contains("<td>12345</td>") && page.contains("<td>any</td>") && !page.contains("<!--"),
            "{page}"
        );
        let json: serde_json::Value = serde_json::from_str(&json(&board)).unwrap();
        assert_eq!((&json["shards"][0]["core"], &json["shards"][1]["requests"]), (&4.into(), &12_345.into()));
    }

    #[test]
    fn the_page_needs_nothing_from_anywhere_else() {
        for text in [PAGE, TABLE, include_str!("page.css"), include_str!("page.js")] {
            // The SVG namespace is a name, not a place; the page has no other absolute address.
            assert!(!text.contains("://"), "{text}");
            assert!(
                !text.contains("style=") && !text.contains("onclick"),
                "the page's policy forbids inline code"
            );
        }
    }
}
