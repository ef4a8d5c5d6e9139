//! The server's side as the client finds it: connections, and the length of its HTTP answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use floor::args::quit;

use crate::load::Mode;

/// What is asked over HTTP.
pub const HTTP_REQUEST: &[u8] = b"GET /ping HTTP/1.1\r\nHost: bench\r\n\r\n";

/// Asks once, reads one answer whole, gives its length.
pub fn learn_answer(addr: SocketAddrV4) -> io::Result<usize> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(HTTP_REQUEST)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            quit("the server closed instead of answering");
        }
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some(head_bytes) = text.find("\r\n\r\n").map(|at| at + 4) else { continue };
        let length = text[..head_bytes].lines().find_map(|line| line.strip_prefix("content-length:"));
        let Some(body_bytes) = length.and_then(|value| value.trim().parse::<usize>().ok()) else {
            quit("the answer has no Content-Length");
        };
        if !text.starts_with("http/1.1 200") {
            quit("the answer is not 200");
        }
        if answer.len() == head_bytes + body_bytes {
            return Ok(answer.len());
        }
    }
}

/// One connected socket; TCP without Nagle.
pub fn connect(mode: Mode, addr: SocketAddrV4) -> io::Result<OwnedFd> {
    if mode == Mode::Udp {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(addr)?;
        return Ok(socket.into());
    }
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}
