//! compio on io_uring: a runtime a core, a task a connection, `read` and `write_all` with an owned buffer.

use std::io;
use std::net::TcpListener;

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::TcpStream;
use compio::runtime::Runtime;
use peers::Line;

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(peers::BUFFER_BYTES);
    loop {
        buffer.clear();
        let BufResult(read, filled) = stream.read(buffer).await;
        let bytes = read?;
        if bytes == 0 {
            return Ok(());
        }
        let BufResult(written, sent) = stream.write_all(filled.slice(..bytes)).await;
        written?;
        buffer = sent.into_inner();
    }
}

async fn accept(listener: TcpListener) -> io::Result<()> {
    let listener = compio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        compio::runtime::spawn(echo(stream)).detach();
    }
}

fn serve(listener: TcpListener) -> io::Result<()> {
    Runtime::new()?.block_on(accept(listener))
}

fn main() -> io::Result<()> {
    Line::read()?.serve(serve)
}
