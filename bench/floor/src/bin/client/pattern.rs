//! The bytes that echo sends, and where a connection stands in them.

/// Period of the pattern; a prime, so that no two messages of a connection look alike.
const PERIOD: usize = 65_521;

/// Where the pattern of a connection stands at a stream offset.
pub fn at(index: u32, offset: usize) -> usize {
    (offset + index as usize * 997) % PERIOD
}

/// Bytes that repeat after `PERIOD` and nowhere before, `bytes` more than one period.
pub fn bytes_beyond_period(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let period: Vec<u8> = (0..PERIOD).map(|_| next()).collect();
    period.iter().copied().cycle().take(PERIOD + bytes).collect()
}
