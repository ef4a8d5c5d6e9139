//! monoio on io_uring: a runtime a core, a task a connection, `read` and `write_all` with an owned buffer.

use std::io;
use std::net::TcpListener;

use monoio::buf::IoBuf;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use peers::Line;

/// Entries of the submission queue: every connection of the largest case has a request in it.
const ENTRIES: u32 = 4096;

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(peers::BUFFER_BYTES);
    loop {
        let (read, filled) = stream.read(buffer).await;
        let bytes = read?;
        if bytes == 0 {
            return Ok(());
        }
        let (written, sent) = stream.write_all(filled.slice(..bytes)).await;
        written?;
        buffer = sent.into_inner();
    }
}

async fn accept(listener: TcpListener) -> io::Result<()> {
    let listener = monoio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        monoio::spawn(echo(stream));
    }
}

fn serve(listener: TcpListener) -> io::Result<()> {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(ENTRIES).build()?;
    runtime.block_on(accept(listener))
}

fn main() -> io::Result<()> {
    Line::read()?.serve(serve)
}
