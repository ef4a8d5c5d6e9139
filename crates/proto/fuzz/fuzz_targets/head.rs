//! One head: any bytes give one answer, whole and byte by byte, and nothing is accepted that httparse refuses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::http1::{Limits, Scan, head};

fuzz_target!(|input: &[u8]| {
    let limits = Limits::default();
    let whole = head::parse(input, &limits, &mut Scan::default());
    let mut scan = Scan::default();
    let mut pieces = (1..=input.len()).map(|end| head::parse(&input[..end], &limits, &mut scan));
    let first = pieces.find(|told| *told != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole);

    let Ok(Some((parsed, used))) = whole else { return };
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut slots);
    assert_eq!(request.parse(&input[..used]), Ok(httparse::Status::Complete(used)));
    assert_eq!(request.method, Some(parsed.method.name()));
    let headers = request.headers.iter().map(|header| (header.name, header.value));
    assert!(headers.eq(parsed.headers()));
});
