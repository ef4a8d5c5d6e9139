//! Which of the listeners on one address gets a connection: the one of the core that the handshake came in on, by a program
//! that the kernel runs (`SO_ATTACH_REUSEPORT_CBPF`, socket(7)).
//!
//! Decides nothing for cores without a listener: there, and where an index points past the group because a listener was closed
//! (the last one takes its place then), the kernel goes by the hash of the addresses as without a program.

use super::Listener;
use crate::error::Error;
use std::io;
use std::os::fd::AsRawFd;

impl Listener {
    /// Steers the connections of all listeners on this address, this one included: those that come in on `cores[n]` to the
    /// one that began to listen as the `n`-th of them. For the whole group, hence once, after the last of it listens.
    ///
    /// Errors: `Os` with EINVAL where the listener shares its address with nobody, or there are more than [`CORES_MAX`] cores.
    pub fn steer_by_core(&self, cores: &[usize]) -> Result<(), Error> {
        if cores.len() > CORES_MAX {
            return Err(Error::os("steer connections", io::Error::from_raw_os_error(libc::EINVAL)));
        }
        let mut program = program(cores);
        let value = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        let bytes = size_of::<libc::sock_fprog>() as libc::socklen_t;
        let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
        // SAFETY: `value` is `bytes` long and it and the `program` that it points to live through the call, which copies
        // both (socket(7)).
        let result =
            unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, name, (&raw const value).cast(), bytes) };
        super::check(result).map_err(|errno| Error::os("steer connections", errno))
    }
}

/// Two instructions a core, and at most 4,096 in all (bpf(4), `BPF_MAXINSNS`).
pub const CORES_MAX: usize = 2000;

/// Loads the number of the core, and answers with the place of the listener that is for it.
fn program(cores: &[usize]) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let core = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
    let answer = |place: u32| instruction(libc::BPF_RET | libc::BPF_K, 0, place);
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, core)];
    for (place, core) in (0..).zip(cores) {
        program.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, *core as u32));
        program.push(answer(place));
    }
    program.push(answer(NOWHERE));
    program
}

/// No listener stands at this place: the hash decides.
const NOWHERE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use crate::cpu;
    use crate::net::{ListenOptions, Listener};
    use std::net::TcpStream;
    use std::thread;

    #[test]
    fn a_connection_comes_to_the_listener_of_the_core_that_made_it() {
        let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
        let mut cores = cpu::allowed().expect("a thread may run somewhere");
        // Another order than theirs, so that a place is no core's number.
        cores.reverse();
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), &options).expect("a free port");
        let others = cores[1..].iter().map(|_| Listener::bind(first.address(), &options).expect("shared"));
        let others: Vec<Listener> = others.collect();
        let listeners: Vec<&Listener> = std::iter::once(&first).chain(&others).collect();
        listeners[0].steer_by_core(&cores).expect("the kernel has it since Linux 4.6");
        let address = first.address();
        for (place, core) in cores.iter().enumerate() {
            let clients = thread::scope(|scope| {
                let connect = move || {
                    cpu::pin(*core).expect("it is allowed");
                    [(); 8].map(|()| TcpStream::connect(address).expect("somebody listens"))
                };
                scope.spawn(connect).join().expect("no panic")
            });
            for (other, listener) in listeners.iter().enumerate() {
                let waiting = std::iter::from_fn(|| listener.accept_waiting().unwrap()).count();
                assert_eq!(waiting, if other == place { clients.len() } else { 0 }, "core {core}");
            }
        }
    }

    #[test]
    fn cores_without_a_listener_are_served_by_the_others() {
        let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), &options).expect("a free port");
        let second = Listener::bind(first.address(), &options).expect("shared");
        let nowhere = [usize::from(u16::MAX), usize::from(u16::MAX) - 1];
        second.steer_by_core(&nowhere).expect("the kernel has it since Linux 4.6");
        let clients = [(); 32].map(|()| TcpStream::connect(first.address()).expect("somebody listens"));
        let waiting = |listener: &Listener| std::iter::from_fn(|| listener.accept_waiting().unwrap()).count();
        assert_eq!(waiting(&first) + waiting(&second), clients.len());
    }
}
