//! The status codes Ringmill answers with, and their lines.

/// A status of an answer. Only codes Ringmill sends exist (RFC 9110 section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the phrase of its code")]
pub enum Status {
    Ok,
    NoContent,
    NotModified,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ContentTooLarge,
    UriTooLong,
    ExpectationFailed,
    MisdirectedRequest,
    TooManyRequests,
    HeadTooLarge,
    InternalError,
    NotImplemented,
    BadGateway,
    ServiceUnavailable,
    GatewayTimeout,
    VersionNotSupported,
}

impl Status {
    /// The three-digit code.
    #[must_use]
    pub fn code(self) -> u16 {
        let line = self.line().as_bytes();
        line[9..12].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))
    }

    /// The phrase, for people: `Not Found`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        let line = self.line();
        &line[13..line.len() - 2]
    }

    /// Whether an answer of this status never has a body nor a length (RFC 9110 sections 15.3.5 and 15.4.5).
    #[must_use]
    pub fn is_bodiless(self) -> bool {
        matches!(self, Self::NoContent | Self::NotModified)
    }

    /// The whole status line with its line end. The version is ours, whatever the peer speaks (RFC 9110
    /// section 2.5).
    #[must_use]
    pub fn line(self) -> &'static str {
        match self {
            Self::Ok => "HTTP/1.1 200 OK\r\n",
            Self::NoContent => "HTTP/1.1 204 No Content\r\n",
            Self::NotModified => "HTTP/1.1 304 Not Modified\r\n",
            Self::BadRequest => "HTTP/1.1 400 Bad Request\r\n",
            Self::Forbidden => "HTTP/1.1 403 Forbidden\r\n",
            Self::NotFound => "HTTP/1.1 404 Not Found\r\n",
            Self::MethodNotAllowed => "HTTP/1.1 405 Method Not Allowed\r\n",
            Self::RequestTimeout => "HTTP/1.1 408 Request Timeout\r\n",
            Self::ContentTooLarge => "HTTP/1.1 413 Content Too Large\r\n",
            Self::UriTooLong => "HTTP/1.1 414 URI Too Long\r\n",
            Self::ExpectationFailed => "HTTP/1.1 417 Expectation Failed\r\n",
            Self::MisdirectedRequest => "HTTP/1.1 421 Misdirected Request\r\n",
            Self::TooManyRequests => "HTTP/1.1 429 Too Many Requests\r\n",
            Self::HeadTooLarge => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
            Self::InternalError => "HTTP/1.1 500 Internal Server Error\r\n",
            Self::NotImplemented => "HTTP/1.1 501 Not Implemented\r\n",
            Self::BadGateway => "HTTP/1.1 502 Bad Gateway\r\n",
            Self::ServiceUnavailable => "HTTP/1.1 503 Service Unavailable\r\n",
            Self::GatewayTimeout => "HTTP/1.1 504 Gateway Timeout\r\n",
            Self::VersionNotSupported => "HTTP/1.1 505 HTTP Version Not Supported\r\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_reason_are_cut_out_of_the_line() {
        assert_eq!((Status::Ok.code(), Status::Ok.reason()), (200, "OK"));
        assert_eq!(Status::VersionNotSupported.code(), 505);
        assert_eq!(Status::HeadTooLarge.reason(), "Request Header Fields Too Large");
    }
}
