//! UDP echo in four ways: one datagram a call, many a call, many with GRO and GSO, and a ring.

use std::io;
use std::mem;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use floor::args::{Args, quit};
use floor::buffers::{Buffers, Chunk, Layout};
use floor::process::{pin, stop_on_signals, stopped, write_report};
use floor::ring::{F_MORE, Ring, Setup, Sqe};
use floor::sock::{self, check, option};

/// Datagrams of one `recvmmsg`.
const BATCH: usize = 64;
/// Room for a train of segments (UDP_GRO joins up to 64 KiB).
const TRAIN_BYTES: usize = 64 << 10;
const DATAGRAM_BYTES: usize = 2048;
const NAME_BYTES: usize = size_of::<libc::sockaddr_in>();
/// One integer of ancillary data, with its header.
const CONTROL_BYTES: usize = 32;
const GROUP: u16 = 0;

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let addr: SocketAddrV4 = args.parse("--addr", "127.0.0.1:7104".parse().expect("an address"));
    let core = args.parse("--core", 0usize);
    let mode = args.parse("--mode", "plain".to_string());
    let report = args.text("--report");
    args.finish();

    pin(core)?;
    stop_on_signals();
    let socket = sock::bind_udp(addr)?;
    let calls = match mode.as_str() {
        "plain" => plain(&blocking(socket)?),
        "batch" => batch(&blocking(socket)?, false)?,
        "gro" => batch(&blocking(socket)?, true)?,
        "ring" => ring(&socket)?,
        other => quit(&format!("--mode {other}: plain, batch, gro or ring")),
    };
    write_report(report.as_deref(), &[("enters", calls)]);
    Ok(())
}

/// These loops have nothing else to wait for.
fn blocking(socket: OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, 0) })?;
    Ok(socket)
}

/// `recvfrom`, `sendto`.
fn plain(socket: &OwnedFd) -> u64 {
    let mut buffer = [0u8; TRAIN_BYTES];
    let mut calls = 0;
    while !stopped() {
        // SAFETY: the buffer and the name are ours and as long as we say.
        unsafe {
            let mut name: libc::sockaddr_in = mem::zeroed();
            let mut name_bytes = NAME_BYTES as u32;
            let (fd, at) = (socket.as_raw_fd(), (&raw mut name).cast());
            let read = libc::recvfrom(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0, at, &mut name_bytes);
            if read >= 0 {
                libc::sendto(fd, buffer.as_ptr().cast(), read as usize, 0, at, name_bytes);
            }
        }
        calls += 2;
    }
    calls
}

/// What one entry of a batch points to.
#[repr(C, align(16))]
struct Place {
    name: libc::sockaddr_in,
    piece: libc::iovec,
    control: [u8; CONTROL_BYTES],
    bytes: [u8; TRAIN_BYTES],
}

/// `recvmmsg` of what is there (at least one), `sendmmsg` of all of it. With `trains`, segments of one flow come joined
/// (UDP_GRO) and go joined (UDP_SEGMENT).
fn batch(socket: &OwnedFd, trains: bool) -> io::Result<u64> {
    if trains {
        option(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)?;
    }
    // SAFETY: all zeroes is a valid value of these plain structs.
    let (mut places, mut headers) = unsafe {
        let places: Vec<Place> = (0..BATCH).map(|_| mem::zeroed()).collect();
        (places, [mem::zeroed::<libc::mmsghdr>(); BATCH])
    };
    let room = if trains { TRAIN_BYTES } else { DATAGRAM_BYTES };
    let mut calls = 0;
    while !stopped() {
        for (header, place) in headers.iter_mut().zip(&mut places) {
            place.piece = libc::iovec { iov_base: place.bytes.as_mut_ptr().cast(), iov_len: room };
            header.msg_hdr.msg_name = (&raw mut place.name).cast();
            header.msg_hdr.msg_namelen = NAME_BYTES as u32;
            header.msg_hdr.msg_iov = &raw mut place.piece;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = place.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = if trains { CONTROL_BYTES } else { 0 };
        }
        let (fd, all) = (socket.as_raw_fd(), headers.as_mut_ptr());
        // SAFETY: every header points to its own place; all outlive the call.
        let came = unsafe { libc::recvmmsg(fd, all, BATCH as u32, libc::MSG_WAITFORONE, ptr::null_mut()) };
        calls += 1;
        let came = came.max(0) as usize;
        for (header, place) in headers[..came].iter_mut().zip(&mut places) {
            place.piece.iov_len = header.msg_len as usize;
            if trains {
                answer_as_train(&mut header.msg_hdr, header.msg_len);
            }
        }
        let mut gone = 0;
        while gone < came && !stopped() {
            // SAFETY: as above; the headers now say how much came.
            let sent = unsafe { libc::sendmmsg(fd, all.add(gone), (came - gone) as u32, 0) };
            calls += 1;
            // A datagram that cannot be sent is dropped, as UDP may.
            gone += sent.max(1) as usize;
        }
    }
    Ok(calls)
}

/// Turns the ancillary data of a received train into that of one to send; none when a single datagram came.
fn answer_as_train(header: &mut libc::msghdr, bytes: u32) {
    // SAFETY: the control buffer holds what the kernel wrote and has room for one integer.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        if !control.is_null()
            && (*control).cmsg_level == libc::SOL_UDP
            && (*control).cmsg_type == libc::UDP_GRO
        {
            let segment = libc::CMSG_DATA(control).cast::<libc::c_int>().read_unaligned();
            if (segment as u32) < bytes {
                (*control).cmsg_type = libc::UDP_SEGMENT;
                (*control).cmsg_len = libc::CMSG_LEN(2) as usize;
                libc::CMSG_DATA(control).cast::<u16>().write_unaligned(segment as u16);
                header.msg_controllen = libc::CMSG_SPACE(2) as usize;
                return;
            }
        }
    }
    header.msg_controllen = 0;
}

/// What the kernel writes before the name and the payload (io_uring_prep_recvmsg_multishot(3)).
#[repr(C)]
struct Before {
    name_bytes: u32,
    control_bytes: u32,
    payload_bytes: u32,
    flags: u32,
}

/// Multishot receive, one send per datagram straight from the received buffer to the received name, one enter a turn.
fn ring(socket: &OwnedFd) -> io::Result<u64> {
    const RECV: u64 = u64::MAX;
    let mut ring = Ring::new(&Setup { entries: 1024, completions: 4096, files: 0, ..Setup::default() })?;
    let mut buffers = Buffers::new(&ring, GROUP, 512, DATAGRAM_BYTES as u32, Layout::Single)?;
    // SAFETY: all zeroes is a valid header; only the lengths are read.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_namelen = NAME_BYTES as u32;
    let receive = Sqe::recvmsg_multishot(socket.as_raw_fd(), GROUP, &header, RECV);
    let mut lent: Vec<Option<Chunk>> = vec![None; 512];
    let mut armed = false;
    while !stopped() {
        if !armed {
            ring.push(receive);
            armed = true;
        }
        ring.turn(1, 0)?;
        let completions = ring.reap();
        for &cqe in &completions {
            if cqe.user_data != RECV {
                if let Some(chunk) = lent[cqe.user_data as usize].take() {
                    buffers.release(chunk);
                }
                continue;
            }
            armed = cqe.flags & F_MORE != 0;
            if cqe.result <= 0 {
                continue;
            }
            let chunk = buffers.take_single(cqe);
            let name = chunk.from.wrapping_add(size_of::<Before>());
            let payload = name.wrapping_add(NAME_BYTES);
            let bytes = chunk.len - (size_of::<Before>() + NAME_BYTES) as u32;
            lent[chunk.id() as usize] = Some(chunk);
            let id = u64::from(chunk.id());
            ring.push(Sqe::send_to(socket.as_raw_fd(), payload, bytes, name, NAME_BYTES as u16, id));
        }
        ring.give_back(completions);
        buffers.publish();
    }
    Ok(ring.enters())
}
