//! Frames: any bytes as a stream, whole and in pieces, and the same pieces as datagrams, against the oracle of the tests. The first
//! bytes of the input choose the pieces' sizes.
#![no_main]

#[path = "../../tests/frame/oracle.rs"]
mod oracle;
#[allow(dead_code, reason = "the tests read golden files with a part of it")]
#[path = "../../tests/frame/reader.rs"]
mod reader;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<u8>, Vec<u8>)| {
    let (is_narrow, sizes, bytes) = input;
    let cuts = sizes.iter().scan(0, |at, &size| {
        *at += usize::from(size);
        (*at < bytes.len()).then_some(*at)
    });
    let cuts: Vec<usize> = cuts.collect();
    let payload_bytes_max = if is_narrow { 8 } else { 1 << 20 };
    oracle::stream(&bytes, payload_bytes_max, &cuts);
    let begins = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([bytes.len()]);
    oracle::datagrams(begins.zip(ends).map(|(begin, end)| &bytes[begin..end]), payload_bytes_max);
});
