//! Connections that say one thing, are answered, and are silent from then on: what memory per connection is asked about.
//!
//! Blocking and one after the other, since nothing is timed. An answer is waited for, so that the server has taken the connection and has
//! let go of what it needed meanwhile.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::args::Service;

/// Connections to one server, open until they are dropped.
#[derive(Debug)]
pub(super) struct Idle {
    service: Service,
    address: SocketAddr,
    streams: Vec<TcpStream>,
}

impl Idle {
    /// None yet.
    pub(super) fn new(service: Service, address: SocketAddr) -> Idle {
        Idle { service, address, streams: Vec::new() }
    }

    /// Opens more until there are `count`, or `is_enough` says so. Errors: which one was not opened, or not answered.
    pub(super) fn grow(&mut self, count: usize, is_enough: impl Fn() -> bool) -> Result<(), String> {
        while self.streams.len() < count && !is_enough() {
            let nth = self.streams.len() + 1;
            let stream = self.open().map_err(|why| format!("idle connection {nth} of {count}: {why}"))?;
            self.streams.push(stream);
        }
        Ok(())
    }

    fn open(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (question, end): (String, &[u8]) = match self.service {
            Service::Http => (format!("GET /ping HTTP/1.1\r\nHost: {}\r\n\r\n", self.address), b"\r\n\r\nok"),
            Service::Echo | Service::UdpEcho => (ECHO.to_owned(), ECHO.as_bytes()),
        };
        stream.write_all(question.as_bytes())?;
        let (mut answer, mut piece) = (Vec::new(), [0; 512]);
        while !answer.ends_with(end) {
            match stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if answer.len() > ANSWER_MAX => return Err(io::ErrorKind::InvalidData.into()),
                bytes => answer.extend_from_slice(&piece[..bytes]),
            }
        }
        Ok(stream)
    }
}

const ECHO: &str = "is anybody there";
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any answer to be expected.
const ANSWER_MAX: usize = 4096;
