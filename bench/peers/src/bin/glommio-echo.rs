//! glommio 0.9: an executor a core, a task a connection, `read` and `write_all`.
//!
//! glommio 0.9 can park with work left to do when its preemption timer fires first. The timer is an hour here, so that it does not.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{CpuSet, LocalExecutorPoolBuilder, PoolPlacement};
use peers::Line;

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; peers::BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            bytes => stream.write_all(&buffer[..bytes]).await?,
        }
    }
}

fn main() -> io::Result<()> {
    let Line { addr, threads } = Line::read()?;
    let cores = CpuSet::online()?.filter(move |core| core.cpu < threads);
    let serve = move || async move {
        // glommio sets SO_REUSEPORT itself.
        let listener = TcpListener::bind(addr)?;
        loop {
            glommio::spawn_local(echo(listener.accept().await?)).detach();
        }
    };
    let executors = LocalExecutorPoolBuilder::new(PoolPlacement::MaxPack(threads, Some(cores)))
        .preempt_timer(Duration::from_secs(3600))
        .on_all_shards(serve)?;
    let ended: glommio::Result<Vec<io::Result<()>>, ()> = executors.join_all().into_iter().collect();
    ended?.into_iter().collect()
}
