//! What each route answers: a request's head and the counters in, a [`Reply`] out.
//!
//! Pure. Nothing here knows how an answer is sent, and no answer is longer in memory than its own text: what could be long
//! is streamed ([`Reply::Pattern`], [`Reply::Echo`]).

use super::answer::{Extra, Reply};
use super::live;
use super::router::{Found, Route};
use super::{Config, Pages};
use crate::metrics;
use bytes::Bytes;
use proto::http1::{Framing, Head, Method, Status, Version, target};
use serde::Serialize;
use shard::meter::Board;

/// What answers tell of the process.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) board: &'a Board,
    pub(crate) draining: bool,
}

/// The answer to a request.
#[inline]
pub(crate) fn answer(config: &Config, head: &Head<'_>, facts: Facts<'_>) -> Reply {
    let Some(found) = config.table.find(head.path) else { return nowhere(head) };
    if head.method == Method::Get && found.route == Route::Ping {
        return Reply::Ok;
    }
    if found.route.is_private() && !is_admitted(config, head) {
        return Reply::text(
            Status::MisdirectedRequest,
            "this listener is not known by that name: see --name\n",
        );
    }
    if head.method == Method::Options {
        return Reply::Methods { status: Status::NoContent, allow: found.route.allow() };
    }
    if !found.route.serves(head.method) {
        return Reply::Methods { status: Status::MethodNotAllowed, allow: found.route.allow() };
    }
    route(config, head, found, facts)
}

/// Whether the answer is `ok`, the connection goes on after it and no body comes before the next request.
#[inline]
pub(crate) fn is_ping(config: &Config, head: &Head<'_>) -> bool {
    head.method == Method::Get
        && head.keep_alive
        && head.version == Version::H11
        && matches!(head.framing, Framing::None | Framing::Length(0))
        && config.table.is_ping(head.path)
}

fn route(config: &Config, head: &Head<'_>, found: Found<'_>, facts: Facts<'_>) -> Reply {
    match (found.route, &config.pages) {
        (Route::Ping | Route::Health, _) => Reply::Ok,
        (Route::Echo, _) => Reply::Echo,
        (Route::Bytes, _) => pattern(found.variable),
        (Route::User, _) => user(found.variable, head.query),
        (Route::Home, Pages::Site { live }) => html(live::page(live.then_some(facts.board))),
        (Route::Style, _) => file("text/css; charset=utf-8", include_str!("page.css")),
        (Route::Script, _) => file("text/javascript; charset=utf-8", include_str!("page.js")),
        (Route::Live, Pages::Site { live: true }) => fresh(JSON, live::json(facts.board)),
        (Route::Live, _) => {
            Reply::text(Status::Forbidden, "the live figures are not shown on this listener\n")
        }
        (Route::Ready, _) if facts.draining => Reply::text(Status::ServiceUnavailable, "draining\n"),
        (Route::Ready, _) => Reply::text(Status::Ok, "ready\n"),
        (Route::Metrics, Pages::Admin { engine, .. }) => {
            fresh(metrics::CONTENT_TYPE, metrics::render(facts.board, *engine))
        }
        (Route::Caps, Pages::Admin { caps, .. }) => {
            let media = if caps.starts_with(['{', '[']) { JSON } else { "text/plain; charset=utf-8" };
            fresh(media, caps.to_string())
        }
        (Route::Home | Route::Caps | Route::Metrics, _) => Reply::Page(Status::NotFound),
    }
}

/// The answer where there is no such path. `*` is the server itself (RFC 9110 section 9.3.7).
#[cold]
fn nowhere(head: &Head<'_>) -> Reply {
    match head.method {
        Method::Options if head.path == "*" => Reply::Methods { status: Status::NoContent, allow: ALL },
        // We are no proxy: there is no method CONNECT on any path.
        Method::Connect => Reply::Methods { status: Status::MethodNotAllowed, allow: ALL },
        _ => Reply::Page(Status::NotFound),
    }
}

/// Whether the peer asks for us by a name of ours. Only HTTP/1.0 may leave the name out, which no browser does.
fn is_admitted(config: &Config, head: &Head<'_>) -> bool {
    match (&config.names, head.host) {
        (None, _) => true,
        (Some(names), Some(host)) => names.admit(&host),
        (Some(_), None) => head.version == Version::H10,
    }
}

fn pattern(count: &str) -> Reply {
    // `parse` alone would take a plus sign.
    let count = count.bytes().all(|byte| byte.is_ascii_digit()).then(|| count.parse().ok()).flatten();
    match count {
        Some(count @ 0..=PATTERN_BYTES_MAX) => Reply::Pattern(count),
        _ => Reply::text(Status::BadRequest, "/bytes/N: N is a number from 0 to 1073741824\n"),
    }
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

fn user(id: &str, query: Option<&str>) -> Reply {
    let mut plain = Vec::new();
    target::decode(id, &mut plain);
    let Some(id) = str::from_utf8(&plain).ok().filter(|id| is_word(id, ID_CHARS_MAX)) else {
        return Reply::text(Status::BadRequest, "/users/ID: ID is 1 to 64 printable characters in UTF-8\n");
    };
    let mut plain = Vec::new();
    let kind = query.and_then(|query| target::pair(query, "type"));
    if let Some(kind) = kind {
        target::decode_form(kind, &mut plain);
    }
    let text = str::from_utf8(&plain).ok().filter(|text| kind.is_none() || is_word(text, TYPE_CHARS_MAX));
    let Some(text) = text else {
        return Reply::text(
            Status::BadRequest,
            "?type=TYPE: TYPE is 1 to 32 printable characters in UTF-8\n",
        );
    };
    let user = User { id, kind: kind.map(|_| text) };
    let json = serde_json::to_vec(&user).expect("two strings can be written as JSON");
    Reply::Body { status: Status::Ok, media: JSON, extra: &[], body: json.into() }
}

fn is_word(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A file of the page: what it loads, it loads from here, and it runs in nobody's frame.
fn html(body: String) -> Reply {
    Reply::Body { status: Status::Ok, media: "text/html; charset=utf-8", extra: PAGE, body: body.into() }
}

fn file(media: &'static str, text: &'static str) -> Reply {
    Reply::Body { status: Status::Ok, media, extra: NO_CACHE, body: Bytes::from_static(text.as_bytes()) }
}

/// Figures of this moment.
fn fresh(media: &'static str, body: String) -> Reply {
    Reply::Body { status: Status::Ok, media, extra: NO_STORE, body: body.into() }
}

const JSON: &str = "application/json";
const ALL: &str = "GET, HEAD, POST, OPTIONS";
const NO_CACHE: Extra = &[("Cache-Control", b"no-cache")];
const NO_STORE: Extra = &[("Cache-Control", b"no-store")];
const PAGE: Extra = &[
    ("Cache-Control", b"no-store"),
    (
        "Content-Security-Policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
          form-action 'none'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", b"no-referrer"),
    ("Cross-Origin-Resource-Policy", b"same-origin"),
];
const PATTERN_BYTES_MAX: u64 = 1 << 30;
const ID_CHARS_MAX: usize = 64;
const TYPE_CHARS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Config;
    use proto::http1::{Limits, Scan, head};

    /// Asks a listener on 127.0.0.1 and describes the answer by its status and its text or methods.
    fn ask(config: &Config, request: &str) -> (u16, String) {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        ask_raw(config, &request, false)
    }

    fn ask_raw(config: &Config, request: &str, draining: bool) -> (u16, String) {
        let board = Board::new(&[Some(0)]);
        let (head, _) =
            head::parse(request.as_bytes(), &Limits::default(), &mut Scan::default()).unwrap().unwrap();
        let reply = answer(config, &head, Facts { board: &board, draining });
        let text = match &reply {
            Reply::Body { body, .. } => String::from_utf8(body.to_vec()).unwrap(),
            Reply::Methods { allow, .. } => (*allow).to_owned(),
            Reply::Pattern(count) => count.to_string(),
            Reply::Ok | Reply::Page(_) | Reply::Echo => String::new(),
        };
        (reply.status().code(), text)
    }

    const ENGINE: metrics::Engine = metrics::Engine { name: "uring", instead_of: None };

    fn site() -> Config {
        Config::site("127.0.0.1:8080".parse().unwrap(), false, &[])
    }

    fn admin() -> Config {
        Config::admin("127.0.0.1:9090".parse().unwrap(), &[], "{\"kernel\":\"6.18\"}".into(), ENGINE)
    }

    #[test]
    fn every_route_answers_as_its_page_in_the_readme_says() {
        let site = site();
        for (request, code, text) in [
            ("GET /ping", 200, ""),
            ("HEAD /ping", 200, ""),
            ("GET /health", 200, ""),
            ("POST /echo", 200, ""),
            ("GET /bytes/0", 200, "0"),
            ("GET /bytes/1073741824", 200, "1073741824"),
            ("GET /users/7?type=admin", 200, r#"{"id":"7","type":"admin"}"#),
            ("GET /users/7", 200, r#"{"id":"7"}"#),
            ("GET /users/a%20%22b%22?x=1&type=a+b", 200, r#"{"id":"a \"b\"","type":"a b"}"#),
            ("GET /users/%C3%A9?type=%C3%A9", 200, r#"{"id":"é","type":"é"}"#),
            ("GET /nothing", 404, ""),
            ("DELETE /nothing", 404, ""),
            ("GET /metrics", 404, ""),
            ("PUT /ping", 405, "GET, HEAD, OPTIONS"),
            ("PURGE /ping", 405, "GET, HEAD, OPTIONS"),
            ("GET /echo", 405, "POST, OPTIONS"),
            ("CONNECT localhost:80", 405, "GET, HEAD, POST, OPTIONS"),
            ("OPTIONS /ping", 204, "GET, HEAD, OPTIONS"),
            ("OPTIONS /echo", 204, "POST, OPTIONS"),
            ("OPTIONS *", 204, "GET, HEAD, POST, OPTIONS"),
            ("OPTIONS /nothing", 404, ""),
        ] {
            assert_eq!(ask(&site, request), (code, text.to_owned()), "{request}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused_and_say_which() {
        for request in [
            "GET /bytes/1073741825",
            "GET /bytes/99999999999999999999999",
            "GET /bytes/+1",
            "GET /bytes/1%30",
            "GET /bytes/x",
            "GET /users/%FF",
            "GET /users/1?type=",
            "GET /users/1?type=%0A",
            "GET /users/1?type=123456789012345678901234567890123",
        ] {
            let (code, text) = ask(&site(), request);
            assert!(code == 400 && text.contains(" is "), "{request}: {code} {text}");
        }
    }

    #[test]
    fn figures_are_shown_by_our_own_names_only() {
        let with_host = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        for (path, config) in [
            ("/", site()),
            ("/live.json", site()),
            ("/metrics", admin()),
            ("/caps", admin()),
            ("/ready", admin()),
        ] {
            for (host, code) in [
                ("localhost:8080", 200),
                ("127.0.0.1", 200),
                ("[::1]:1", 200),
                ("evil.example:8080", 421),
                ("127.0.0.1.evil.example", 421),
                ("", 421),
            ] {
                assert_eq!(ask_raw(&config, &with_host(path, host), false).0, code, "{path} {host}");
            }
            assert_eq!(ask_raw(&config, &format!("GET {path} HTTP/1.0\r\n\r\n"), false).0, 200);
        }
        // What reveals nothing is served by any name.
        assert_eq!(ask_raw(&site(), &with_host("/ping", "evil.example"), false).0, 200);
    }

    #[test]
    fn off_loopback_figures_need_to_be_asked_for() {
        let address = "192.0.2.1:8080".parse().unwrap();
        for (public, code) in [(false, 403), (true, 200)] {
            let config = Config::site(address, public, &["edge.example".to_owned()]);
            for host in ["192.0.2.1:8080", "edge.example"] {
                let (found, _) =
                    ask_raw(&config, &format!("GET /live.json HTTP/1.1\r\nHost: {host}\r\n\r\n"), false);
                assert_eq!(found, code, "{public} {host}");
                let (found, page) =
                    ask_raw(&config, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), false);
                assert_eq!((found, page.contains("<table")), (200, public), "{public} {host}");
            }
        }
    }

    #[test]
    fn ready_turns_to_503_while_draining() {
        let request = "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(ask_raw(&admin(), request, false).0, 200);
        assert_eq!(ask_raw(&admin(), request, true).0, 503);
    }

    #[test]
    fn admin_pages_are_whole() {
        assert!(ask(&admin(), "GET /metrics").1.ends_with("# EOF\n"));
        assert_eq!(ask(&admin(), "GET /caps"), (200, "{\"kernel\":\"6.18\"}".to_owned()));
        assert_eq!(ask(&admin(), "GET /health").0, 200);
        assert_eq!(ask(&admin(), "GET /ping").0, 404);
    }
}
