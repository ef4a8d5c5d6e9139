//! ringline 0.6 with its defaults: a worker a core, multishot receives, and what is received goes back from where the kernel put it
//! (`forward_held`), one send of a connection at a time.
//!
//! Its shorter way, `run_direct_echo`, sends without waiting for the send before, and mixes up a stream as soon as one is short (16
//! KiB messages, 16 at a time): no echo.

use std::future::Future;
use std::io;

use peers::Line;
use ringline::{AsyncEventHandler, ConfigBuilder, ConnCtx, RinglineBuilder};

struct Echo;

impl AsyncEventHandler for Echo {
    #[allow(clippy::manual_async_fn, reason = "the future may not borrow the handler")]
    fn on_accept(&self, connection: ConnCtx) -> impl Future<Output = ()> + 'static {
        async move {
            connection.enable_recv_forward();
            loop {
                connection.recv_ready().await;
                // Nothing held means that the connection was closed.
                let Ok(send) = connection.forward_held() else { return };
                if !send.await.is_ok_and(|bytes| bytes > 0) {
                    return;
                }
            }
        }
    }

    fn create_for_worker(_: usize) -> Self {
        Self
    }
}

fn main() -> io::Result<()> {
    let line = Line::read()?;
    let config = ConfigBuilder::new()
        .workers(line.threads)
        .backlog(peers::BACKLOG as i32)
        .tcp_nodelay(true)
        .build()
        .map_err(io::Error::other)?;
    let launched = RinglineBuilder::new(config).bind(line.addr).launch::<Echo>();
    let (_shutdown, workers) = launched.map_err(io::Error::other)?;
    for worker in workers {
        worker.join().map_err(|_| io::Error::other("a worker panicked"))?.map_err(io::Error::other)?;
    }
    Ok(())
}
