//! What a client has to bring back to show that its address is its own: nothing is kept of it until then.
//!
//! A cookie is SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012: a MAC for short inputs) of the address, the port and the
//! number of the HELLO, under a key of its period. The keys of the periods are drawn from one secret in the same way, so all seats of
//! a process agree on them without a word, and no key signs for longer than a period. A cookie holds in its period and the next: for
//! one to two minutes.

use core::hash::Hasher;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::net::{IpAddr, SocketAddr};

/// Bytes of a cookie. A HELLO that asks for one has as many zero bytes in its place, so the answer is no longer than the question.
pub const COOKIE_BYTES: usize = 16;

/// Bytes of the secret.
pub const KEY_BYTES: usize = 16;

/// How long one key signs, in milliseconds.
pub const PERIOD_MS: u64 = 60_000;

/// Who gives and checks cookies.
#[derive(Clone, Copy)]
pub struct Jar {
    secret: [u8; KEY_BYTES],
}

impl Jar {
    /// `secret` must be of the system's entropy, and the same on all seats.
    #[must_use]
    pub const fn new(secret: [u8; KEY_BYTES]) -> Jar {
        Jar { secret }
    }

    /// The cookie for a HELLO with the number `seq` from `peer`.
    #[must_use]
    pub fn give(&self, peer: SocketAddr, seq: u32, now_ms: u64) -> [u8; COOKIE_BYTES] {
        self.of(now_ms / PERIOD_MS, peer, seq).to_le_bytes()
    }

    /// Whether `cookie` was given for it in this period or the one before.
    #[must_use]
    pub fn is_good(&self, cookie: &[u8], peer: SocketAddr, seq: u32, now_ms: u64) -> bool {
        let Ok(cookie) = <[u8; COOKIE_BYTES]>::try_from(cookie) else { return false };
        let (cookie, period) = (u128::from_le_bytes(cookie), now_ms / PERIOD_MS);
        let is = |period| self.of(period, peer, seq) ^ cookie == 0;
        is(period) || period.checked_sub(1).is_some_and(is)
    }

    /// A number that nobody outside can guess, another for each `nonce`.
    #[must_use]
    pub fn draw(&self, nonce: u64) -> u64 {
        let mut draw = SipHasher24::new_with_key(&self.secret);
        // One byte more than what the keys are drawn from.
        draw.write_u64(nonce);
        draw.write_u8(0);
        draw.finish128().h1
    }

    fn of(&self, period: u64, peer: SocketAddr, seq: u32) -> u128 {
        let mut draw = SipHasher24::new_with_key(&self.secret);
        draw.write_u64(period);
        let mut mac = SipHasher24::new_with_key(&draw.finish128().as_u128().to_le_bytes());
        // One form for both families: 16 bytes, so nothing that is written can be read as something else.
        let ip = match peer.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        mac.write(&ip.octets());
        mac.write_u16(peer.port());
        mac.write_u32(seq);
        mac.finish128().as_u128()
    }
}

impl core::fmt::Debug for Jar {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Jar")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_holds_for_its_address_its_port_its_number_and_two_periods() {
        let jar = Jar::new([7; KEY_BYTES]);
        let peer = "192.0.2.1:5000".parse().unwrap();
        let given = 10 * PERIOD_MS + 30_000;
        let cookie = jar.give(peer, 9, given);
        let good = |jar: &Jar, peer: &str, seq, now| jar.is_good(&cookie, peer.parse().unwrap(), seq, now);
        assert!(good(&jar, "192.0.2.1:5000", 9, given));
        assert!(good(&jar, "192.0.2.1:5000", 9, 12 * PERIOD_MS - 1));
        // The same address as a socket of IPv6 shows it.
        assert!(good(&jar, "[::ffff:192.0.2.1]:5000", 9, given));
        assert!(!good(&jar, "192.0.2.1:5000", 9, 12 * PERIOD_MS), "its time is over");
        assert!(!good(&jar, "192.0.2.1:5000", 9, 10 * PERIOD_MS - 1), "it comes from the future");
        assert!(!good(&jar, "192.0.2.1:5001", 9, given), "another port");
        assert!(!good(&jar, "192.0.2.2:5000", 9, given), "another address");
        assert!(!good(&jar, "192.0.2.1:5000", 8, given), "another question");
        assert!(!good(&Jar::new([8; KEY_BYTES]), "192.0.2.1:5000", 9, given), "another secret");
    }

    #[test]
    fn no_bit_of_a_cookie_can_be_turned_and_no_byte_left_out() {
        let (jar, peer) = (Jar::new([1; KEY_BYTES]), "[2001:db8::1]:5000".parse().unwrap());
        let cookie = jar.give(peer, 0, 0);
        assert!(jar.is_good(&cookie, peer, 0, 0) && cookie != [0; COOKIE_BYTES]);
        for bit in 0..8 * COOKIE_BYTES {
            let mut other = cookie;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!jar.is_good(&other, peer, 0, 0), "bit {bit}");
        }
        for bytes in 0..COOKIE_BYTES {
            assert!(!jar.is_good(&cookie[..bytes], peer, 0, 0), "{bytes} bytes");
        }
    }
}
