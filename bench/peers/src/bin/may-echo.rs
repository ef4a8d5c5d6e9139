//! may: a coroutine a connection, blocking reads and writes, as many workers as threads.

use std::io::{self, Read, Write};

use may::go;
use may::net::{TcpListener, TcpStream};
use peers::Line;

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; peers::BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            bytes => stream.write_all(&buffer[..bytes])?,
        }
    }
}

fn main() -> io::Result<()> {
    let line = Line::read()?;
    may::config().set_workers(line.threads).set_stack_size(0x1000);
    let listener = TcpListener::bind(line.addr)?;
    for stream in listener.incoming() {
        let stream = stream?;
        // A connection that its peer broke is no news.
        go!(move || drop(echo(stream)));
    }
    Ok(())
}
