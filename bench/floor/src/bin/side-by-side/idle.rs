//! The memory case: what a server has with no connection, with a few idle ones and with many.
//!
//! Each connection asks once and is answered before it falls idle, so that what a first request makes a server keep is counted. The
//! client is this program: its connections are its own descriptors.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cases::{IDLE_FEW, IDLE_MANY};
use crate::ping;
use crate::server::Server;

/// How long a server is left alone before it is looked at: what it gives back, it has given back by then.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens them all, and gives the memory at each stage.
pub fn measure(addr: SocketAddr, server: &Server) -> Result<Value, String> {
    let before = settled_kib(server);
    let mut held = Vec::with_capacity(IDLE_MANY as usize);
    let mut grow = |to: u32| -> Result<u64, String> {
        for number in held.len() as u32..to {
            held.push(ping::connect(addr).map_err(|error| format!("connection {number}: {error}"))?);
        }
        Ok(settled_kib(server))
    };
    let (few, many) = (grow(IDLE_FEW)?, grow(IDLE_MANY)?);
    if let Some(lost) = held.iter().position(|stream| !is_open(stream)) {
        return Err(format!("connection {lost} was closed while it was idle"));
    }
    let each = (many as f64 - few as f64) * 1024.0 / f64::from(IDLE_MANY - IDLE_FEW);
    Ok(
        json!({ "memory_kib_none": before, "memory_kib_few": few, "memory_kib_many": many, "memory_bytes_each": each }),
    )
}

fn settled_kib(server: &Server) -> u64 {
    thread::sleep(SETTLE);
    server.memory_kib()
}

/// Neither closed nor saying anything.
fn is_open(stream: &TcpStream) -> bool {
    let nothing = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0; 1]));
    nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
