//! The headers that HTTP itself must know: Host, Content-Length, Transfer-Encoding, Expect and Connection.
//!
//! Header lines come in one by one, already free of bad bytes; at the end they say how the body is framed, or
//! why the request is refused. Where two headers could be read in two ways, neither is believed.

use super::head::{Framing, Version};
use super::host::Host;
use super::limits::Limits;
use super::refusal::Refusal;
use super::token::{is_token, trim};

/// What the headers say that HTTP itself must know. All others are the service's.
#[derive(Default)]
pub(super) struct Fields<'b> {
    host: Option<Host<'b>>,
    length: Option<u64>,
    /// The verdict on Transfer-Encoding, if it was there. It waits for Content-Length and the version.
    encoding: Option<Result<(), Refusal>>,
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
}

impl<'b> Fields<'b> {
    /// Takes in one header line.
    #[inline]
    pub(super) fn add(&mut self, name: &'b [u8], value: &'b [u8]) -> Result<(), Refusal> {
        match name.len() {
            4 if is_name(name, b"host") => {
                let host = Host::new(value).ok_or(Refusal::HostInvalid)?;
                let repeated = self.host.replace(host);
                return if repeated.is_some() { Err(Refusal::HostRepeated) } else { Ok(()) };
            }
            6 if is_name(name, b"expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                self.expects_continue = true;
            }
            10 if is_name(name, b"connection") => self.connection(value),
            14 if is_name(name, b"content-length") => {
                let repeated = self.length.replace(length(value)?);
                return if repeated.is_some() { Err(Refusal::LengthRepeated) } else { Ok(()) };
            }
            17 if is_name(name, b"transfer-encoding") => {
                let repeated = self.encoding.is_some();
                self.encoding = Some(if repeated { Err(Refusal::EncodingInvalid) } else { encoding(value) });
            }
            _ => {}
        }
        Ok(())
    }

    /// Options other than these two are for the service (`upgrade`) or for nobody.
    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(trim) {
            self.says_close |= option.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Whether the connection may be kept (RFC 9112 section 9.3): close wins.
    #[inline]
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.says_close && (version == Version::H11 || self.says_keep_alive)
    }

    /// The Host; there must be one in HTTP/1.1 (RFC 9112 section 3.2).
    #[inline]
    pub(super) fn host(&self, version: Version) -> Result<Option<Host<'b>>, Refusal> {
        match self.host {
            None if version == Version::H11 => Err(Refusal::HostMissing),
            host => Ok(host),
        }
    }

    /// Whether the peer waits for `100 Continue`: not without a body, and HTTP/1.0 does not know it.
    #[inline]
    pub(super) fn expect_continue(&self, version: Version, framing: Framing) -> bool {
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        self.expects_continue && version == Version::H11 && has_body
    }

    /// How the body's end is found (RFC 9112 section 6.3).
    #[inline]
    pub(super) fn framing(&self, version: Version, limits: &Limits) -> Result<Framing, Refusal> {
        match (self.encoding, self.length) {
            (None, None) => Ok(Framing::None),
            (None, Some(length)) if length > limits.body_bytes_max => Err(Refusal::BodyTooLarge),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (Some(_), Some(_)) => Err(Refusal::LengthAndEncoding),
            (Some(_), None) if version == Version::H10 => Err(Refusal::EncodingInOldVersion),
            (Some(verdict), None) => verdict.map(|()| Framing::Chunked),
        }
    }
}

/// Whether `name`, a token, is `lower` but for case. Setting bit 5 maps no other token byte onto a lower-case
/// letter or a hyphen, and the length is a constant, so this is a few words compared at once.
#[inline]
fn is_name<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    let differing = name.iter().zip(lower).fold(0, |all, (byte, lower)| all | ((byte | 0x20) ^ lower));
    differing == 0
}

/// The number in Content-Length: digits and nothing else. More than `u64::MAX` is too large, not malformed.
fn length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::LengthInvalid);
    }
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    value.iter().try_fold(0, add).ok_or(Refusal::BodyTooLarge)
}

/// Whether Transfer-Encoding is exactly `chunked`. What else it may be only decides how it is refused: a
/// coding we do not know is 501, anything that hides or repeats `chunked` is 400 (RFC 9112 sections 6.1, 6.3).
fn encoding(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let codings = || value.split(|&byte| byte == b',').map(trim);
    let chunked_before_last = codings().rev().skip(1).any(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    if chunked_before_last || !codings().all(is_token) {
        return Err(Refusal::EncodingInvalid);
    }
    Err(Refusal::CodingUnknown)
}
