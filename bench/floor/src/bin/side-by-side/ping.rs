//! The one question over HTTP, and what every server has to answer to it: 200, a text, `ok`.
//!
//! Never measures: it is asked before a run, to see that all answer the same, and once on each connection that is to be idle.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const REQUEST: &[u8] = b"GET /ping HTTP/1.1\r\nHost: bench\r\n\r\n";

/// How long an answer may take before the connection counts as one that nobody serves.
const PATIENCE: Duration = Duration::from_secs(2);

/// A new connection that was answered once. Errors: the socket's, and `InvalidData` for another answer.
pub fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    let (mut answer, mut bytes) = ([0; 1024], 0);
    while !is_whole(&answer[..bytes]) {
        match stream.read(&mut answer[bytes..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes += read,
        }
    }
    match is_right(&answer[..bytes]) {
        true => Ok(stream),
        false => {
            let said = String::from_utf8_lossy(&answer[..bytes]).into_owned();
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("another answer: {said:?}")))
        }
    }
}

/// Head and body; a body is as long here as the right one.
fn is_whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    head.is_some_and(|at| answer.len() >= at + 4 + 2)
}

fn is_right(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let typed = text.contains("content-type: text/plain; charset=utf-8\r\n");
    let sized = text.contains("content-length: 2\r\n");
    text.starts_with("http/1.1 200 ") && typed && sized && text.ends_with("\r\n\r\nok")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_answer_is_right_whatever_case_its_fields_have() {
        let right = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nok";
        assert!(is_whole(right.as_bytes()) && is_right(right.as_bytes()));
        assert!(is_right(right.replace("Content-", "content-").as_bytes()));
        for (from, to) in [("200", "404"), ("text/plain", "text/html"), ("\r\nok", "\r\nno"), (": 2", ": 3")]
        {
            assert!(!is_right(right.replace(from, to).as_bytes()), "{to} passed");
        }
        assert!(!is_whole(&right.as_bytes()[..right.len() - 1]));
    }
}
