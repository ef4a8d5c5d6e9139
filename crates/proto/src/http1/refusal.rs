//! Why a request is refused: one row for each rule, with its status and a word that stays the same for metrics.
//!
//! After any of these the connection answers once and closes: where the next request would begin is not known.

use core::fmt;

use super::status::Status;

/// Makes the enum, its list and its table out of one row for each refusal.
macro_rules! refusals {
    ($($(#[$doc:meta])+ $name:ident: $status:ident, $code:literal, $reason:literal;)+) => {
        /// A request that will not be served.
        ///
        /// `Display` says it to a person, [`code`](Self::code) to a metric, [`status`](Self::status) to the peer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[$doc])+ $name,)+
        }

        impl Refusal {
            /// Every refusal, in the order of the enum: for metrics that list all labels, and for tests.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            const fn row(self) -> (Status, &'static str, &'static str) {
                match self {
                    $(Self::$name => (Status::$status, $code, $reason),)+
                }
            }
        }
    };
}

refusals! {
    /// A byte below 0x20 or 0x7F in the head (a tab is one in the request line). TLS on the plain port ends here.
    ControlByte: BadRequest, "control-byte", "a control byte in the head";
    /// A carriage return without its line feed.
    BareCr: BadRequest, "bare-cr", "a carriage return without a line feed";
    /// A line feed without a carriage return before it.
    BareLf: BadRequest, "bare-lf", "a line feed without a carriage return";
    /// More than one empty line before the request line.
    EmptyLines: BadRequest, "empty-lines", "more than one empty line before the request";
    /// A byte of 0x80 or more in the request line.
    NonAscii: BadRequest, "non-ascii", "a byte outside ASCII in the request line";
    /// The request line is not `method SP target SP HTTP/x.y`.
    RequestLine: BadRequest, "request-line", "the request line is not: method, space, target, space, version";
    /// The method is not a token.
    MethodToken: BadRequest, "method-token", "the method is not a token";
    /// A byte that the target may not have, or a form that does not go with the method.
    Target: BadRequest, "target", "the request target is malformed";
    /// A percent sign without two hex digits.
    TargetPercent: BadRequest, "target-percent", "a percent sign without two hex digits in the request target";
    /// An encoded NUL, or another encoded control byte in the path.
    TargetControl: BadRequest, "target-control", "an encoded control byte in the request target";
    /// A segment of the path that is `.` or `..`, plain or encoded.
    DotSegment: BadRequest, "dot-segment", "a dot segment in the path";
    /// A header line that begins with a space or a tab.
    ObsFold: BadRequest, "obs-fold", "a header line that begins with white space (obsolete line folding)";
    /// White space between a header's name and its colon.
    SpaceBeforeColon: BadRequest, "space-before-colon", "white space between a header name and its colon";
    /// A header's name is empty or not a token.
    HeaderName: BadRequest, "header-name", "a header name is empty or not a token";
    /// A header line without a colon.
    HeaderLine: BadRequest, "header-line", "a header line without a colon";
    /// No Host in HTTP/1.1.
    HostMissing: BadRequest, "host-missing", "no Host header";
    /// More than one Host.
    HostRepeated: BadRequest, "host-repeated", "more than one Host header";
    /// A Host, or an authority in the target, that is not `host` or `host:port`.
    HostInvalid: BadRequest, "host-invalid", "the host is malformed";
    /// Content-Length is not digits only.
    LengthInvalid: BadRequest, "length-invalid", "Content-Length is not digits only";
    /// Content-Length is given twice, even if both agree.
    LengthRepeated: BadRequest, "length-repeated", "more than one Content-Length header";
    /// Content-Length together with Transfer-Encoding.
    LengthAndEncoding: BadRequest, "length-and-encoding", "Content-Length together with Transfer-Encoding";
    /// Transfer-Encoding is malformed, repeated, or `chunked` is not there once and last.
    EncodingInvalid: BadRequest, "encoding-invalid", "Transfer-Encoding is not one final chunked";
    /// Transfer-Encoding in HTTP/1.0.
    EncodingInOldVersion: BadRequest, "encoding-in-old-version", "Transfer-Encoding in HTTP/1.0";
    /// A chunk size is not 1 to 16 hex digits followed by its line end or an extension.
    ChunkSize: BadRequest, "chunk-size", "a malformed chunk size";
    /// A chunk extension is malformed, or there are too many bytes of them.
    ChunkExtension: BadRequest, "chunk-extension", "malformed or too long chunk extensions";
    /// A chunk's payload is not followed by CR LF.
    ChunkEnd: BadRequest, "chunk-end", "a chunk that does not end where its size says";
    /// A trailer line that a header line could not be.
    Trailer: BadRequest, "trailer", "a malformed trailer";
    /// The peer took too long. Set by whoever keeps the time, never by this crate.
    Timeout: RequestTimeout, "timeout", "the request did not arrive in time";
    /// The body is longer than [`Limits::body_bytes_max`](super::Limits::body_bytes_max).
    BodyTooLarge: ContentTooLarge, "body-too-large", "the body is too large";
    /// The target is longer than [`Limits::uri_bytes_max`](super::Limits::uri_bytes_max).
    UriTooLong: UriTooLong, "uri-too-long", "the request target is too long";
    /// An expectation other than `100-continue`.
    Expectation: ExpectationFailed, "expectation", "an expectation other than 100-continue";
    /// The head is longer than [`Limits::head_bytes_max`](super::Limits::head_bytes_max).
    HeadTooLarge: HeadTooLarge, "head-too-large", "the head is too large";
    /// More header lines than [`Limits::headers_max`](super::Limits::headers_max).
    HeadersTooMany: HeadTooLarge, "headers-too-many", "too many header lines";
    /// The trailers exceed the bounds of a head.
    TrailersTooLarge: HeadTooLarge, "trailers-too-large", "the trailers are too large";
    /// The method is longer than [`METHOD_BYTES_MAX`](super::METHOD_BYTES_MAX).
    MethodTooLong: NotImplemented, "method-too-long", "the method is too long";
    /// A transfer coding other than `chunked`.
    CodingUnknown: NotImplemented, "coding-unknown", "a transfer coding other than chunked";
    /// A version other than HTTP/1.0 and HTTP/1.1.
    VersionUnknown: VersionNotSupported, "version-unknown", "a version other than HTTP/1.0 and HTTP/1.1";
}

impl Refusal {
    /// What the peer is told (RFC 9110 section 15.5, RFC 6585 section 5).
    #[must_use]
    pub const fn status(self) -> Status {
        self.row().0
    }

    /// A short name that never changes, for a metric's label: `bare-lf`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().1
    }

    /// One sentence for people, without a final stop.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.row().2
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for Refusal {}
