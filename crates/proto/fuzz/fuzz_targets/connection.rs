//! A connection: requests and their bodies, in pieces whose sizes the first bytes of the input choose.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use proto::http1::Limits;
use support::read;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (sizes, stream) = input;
    let cuts = sizes.iter().scan(0, |at, &size| {
        *at += usize::from(size);
        (*at < stream.len()).then_some(*at)
    });
    let whole = read(&stream, Limits::default(), []);
    assert_eq!(whole, read(&stream, Limits::default(), cuts), "cut at {sizes:?}");
    assert_eq!(whole, read(&stream, Limits::default(), 1..stream.len().max(1)), "byte by byte");
});
