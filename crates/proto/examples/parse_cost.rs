//! What parsing and answering costs: runs one case so often, for an instruction counter or a clock around it.
//!
//! `parse_cost CASE COUNT` with CASE one of `none httparse ping curl browser encode canned`;
//! `httparse` is that crate alone on the input of `ping`.
//! The instructions of one operation are the difference of two runs: `valgrind --tool=callgrind` with COUNT 1000 and 2000, by 1000.

use std::hint::black_box;
use std::mem::MaybeUninit;

use proto::http1::encode::{Canned, Length, Meta};
use proto::http1::{HEADERS_MAX, Limits, Scan, Status, date, encode, head};

const PING: &[u8] = b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const CURL: &[u8] =
    b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";

const BROWSER: &[u8] = b"GET /users/42?type=admin HTTP/1.1\r\n\
Host: 127.0.0.1:8080\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Linux\"\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: none\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9\r\n\
\r\n";

fn main() {
    let mut args = std::env::args().skip(1);
    let case = args.next().expect("a case");
    let count: u64 = args.next().and_then(|text| text.parse().ok()).expect("a count");
    match case.as_str() {
        "none" => (0..count).for_each(|round| _ = black_box(round)),
        "httparse" => parse_only(PING, count),
        "ping" => parse(PING, count),
        "curl" => parse(CURL, count),
        "browser" => parse(BROWSER, count),
        "encode" => write(count),
        "canned" => copy(count),
        other => panic!("no case {other}"),
    }
}

fn parse(input: &[u8], count: u64) {
    let limits = Limits::default();
    let mut scan = Scan::default();
    for _ in 0..count {
        let (head, used) = head::parse(black_box(input), &limits, &mut scan).expect("valid").expect("whole");
        black_box((&head, used));
    }
}

fn parse_only(input: &[u8], count: u64) {
    for _ in 0..count {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        black_box(request.parse_with_uninit_headers(black_box(input), &mut slots)).expect("valid");
        black_box(&request);
    }
}

fn meta(date: &date::Date) -> Meta<'_> {
    Meta { content_type: Some("text/plain"), length: Length::Known(2), ..Meta::new(date) }
}

fn write(count: u64) {
    let date = date::imf_fixdate(784_111_777);
    let mut out = Vec::with_capacity(4096);
    for _ in 0..count {
        out.clear();
        let _promise = black_box(encode::head(&mut out, Status::Ok, black_box(&meta(&date))));
        out.extend_from_slice(b"ok");
        black_box(&out);
    }
}

fn copy(count: u64) {
    let date = date::imf_fixdate(784_111_777);
    let ping = Canned::new(Status::Ok, &meta(&date), b"ok");
    let mut out = Vec::with_capacity(4096);
    for _ in 0..count {
        out.clear();
        out.extend_from_slice(black_box(&ping).answer());
        black_box(&out);
    }
}
