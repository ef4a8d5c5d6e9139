//! The raw accept rate: a loop that accepts and closes on core 0, and one that connects and resets on core 1, as fast as they go.

use std::io;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use floor::process::pin;

/// Connections a second that were accepted over `time`.
pub fn measure(time: Duration) -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let std::net::SocketAddr::V4(address) = listener.local_addr()? else {
        unreachable!("it was bound to one")
    };
    // Where the client has failed nobody comes any more.
    let soon = libc::timeval { tv_sec: 2, tv_usec: 0 };
    set(listener.as_raw_fd(), libc::SO_RCVTIMEO, &soon)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| connect(address, &over));
        // In a thread of its own, which is pinned. The queue goes with it, so that the client waits for no place there.
        let rate = scope.spawn(move || accept(listener, time)).join().expect("it does not panic");
        over.store(true, Ordering::Relaxed);
        client.join().expect("the client does not panic")?;
        rate
    })
}

fn accept(listener: TcpListener, time: Duration) -> io::Result<f64> {
    pin(0)?;
    let (began, mut accepted) = (Instant::now(), 0);
    loop {
        drop(listener.accept()?);
        accepted += 1;
        let took = began.elapsed();
        if took >= time {
            return Ok(f64::from(accepted) / took.as_secs_f64());
        }
    }
}

fn connect(address: SocketAddrV4, over: &AtomicBool) -> io::Result<()> {
    pin(1)?;
    while !over.load(Ordering::Relaxed) {
        // What was not accepted when the listener went is refused or reset.
        let Ok(stream) = TcpStream::connect(address) else { break };
        // By a reset: no port is left in TIME_WAIT.
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        set(stream.as_raw_fd(), libc::SO_LINGER, &at_once)?;
    }
    Ok(())
}

fn set<T>(fd: i32, option: i32, value: &T) -> io::Result<()> {
    let (value, bytes) = ((&raw const *value).cast(), size_of::<T>() as u32);
    // SAFETY: `value` outlives the call and its size is given.
    floor::sock::check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, value, bytes) }).map(drop)
}
