//! The io_uring engine over real sockets, with the smallest service there is.

use shard::plan::{Control, Listen, Plan, Transport};
use shard::{End, Event, Io, Leg, Next, Origin, Service};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread;

/// Sends back what comes, as it came.
struct Echo;

impl Service for Echo {
    type Session = Option<Leg>;
    type Note = ();
    const INPUT_MAX: usize = 64 * 1024;

    fn open(&mut self, origin: Origin, _: &mut Io<'_, Self>) -> Option<Leg> {
        match origin {
            Origin::Accepted(leg, _) => Some(leg),
            Origin::Root => None,
        }
    }

    fn on(&mut self, session: &mut Option<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(leg, mut input) => {
                let out = io.out(leg);
                while let Some(chunk) = input.take(out.room()) {
                    assert!(out.push(chunk).is_ok());
                }
                Next::Stay
            }
            Event::Datagram(leg, packet) => {
                let _ = io.send_to(leg, packet.peer, packet.local, packet.chunk());
                Next::Stay
            }
            Event::Eof(_) | Event::Failed(..) => Next::Close,
            Event::Drain(_) if session.is_none() => Next::Close,
            _ => Next::Stay,
        }
    }

    fn end(&mut self, _: Option<Leg>, _: End) {}
}

fn plan(seats: usize) -> Plan {
    let address = "127.0.0.1:0".parse().unwrap();
    let listen =
        |transport| Listen { transport, address, v6only: false, seat: None, late: false, refusal: None };
    let listeners = vec![listen(Transport::Tcp), listen(Transport::Udp)];
    Plan { cores: vec![None; seats], listeners, ..Plan::default() }
}

fn serve(plan: Plan, client: impl FnOnce(&[SocketAddr])) -> shard::plan::Report {
    let running = shard::engine::uring::start(plan, Control::default(), |_, _| Echo).unwrap();
    client(running.addresses());
    running.control().drain();
    let report = running.join();
    for seat in &report.seats {
        assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit), (0, 0));
        assert_eq!(seat.counts.accepted, seat.counts.closed);
    }
    report
}

/// Bytes that tell where they belong.
fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u64).wrapping_mul(0x9e37_79b9).to_le_bytes()[2] ^ seed).collect()
}

fn echo_through(stream: &mut TcpStream, sent: &[u8]) {
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == sent, "{} of {} bytes came back, or others", back.len(), sent.len());
    });
}

#[test]
fn a_seat_that_panics_before_it_serves_does_not_leave_the_start_hanging() {
    let started = thread::spawn(|| {
        shard::engine::uring::start(plan(2), Control::default(), |seat, _| {
            assert_eq!(seat, 0, "this seat cannot be made");
            Echo
        })
        .map(drop)
    });
    assert!(started.join().is_err(), "the panic is passed on, after the other seat has ended");
}

#[test]
fn many_clients_get_back_what_they_sent_and_a_half_close_brings_the_rest() {
    let report = serve(plan(2), |addresses| {
        thread::scope(|scope| {
            for seed in 0..40 {
                scope.spawn(move || {
                    let len = [1, 64, 4096, 70_000, 3_000_000][usize::from(seed) % 5];
                    echo_through(&mut TcpStream::connect(addresses[0]).unwrap(), &pattern(seed, len));
                });
            }
        });
    });
    let accepted: u64 = report.seats.iter().map(|seat| seat.counts.accepted).sum();
    assert_eq!(accepted, 40);
}

#[test]
fn datagrams_come_back_from_the_address_they_were_sent_to() {
    serve(plan(1), |addresses| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(addresses[1]).unwrap();
        for len in [0, 1, 64, 1400, 9000] {
            let sent = pattern(7, len);
            socket.send(&sent).unwrap();
            let mut back = vec![0; 10_000];
            let n = socket.recv(&mut back).unwrap();
            assert_eq!(&back[..n], &sent[..]);
        }
    });
}

/// 16 tables of 16 slots each, of which 64 stay free.
#[test]
fn a_late_listener_is_served_when_the_tables_of_all_rings_have_filled_up() {
    let address = "127.0.0.1:0".parse().unwrap();
    let listen =
        |late| Listen { transport: Transport::Tcp, address, v6only: false, seat: None, late, refusal: None };
    let plan = Plan {
        cores: vec![None],
        listeners: vec![listen(false), listen(true)],
        connections_max: 192,
        ring: "slots=16".parse().unwrap(),
        ..Plan::default()
    };
    serve(plan, |addresses| {
        let greet = |address: &SocketAddr| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"in").unwrap();
            let mut back = [0; 2];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"in");
            stream
        };
        let all: Vec<TcpStream> = (0..192).map(|_| greet(&addresses[0])).collect();
        let late: Vec<TcpStream> = (0..16).map(|_| greet(&addresses[1])).collect();
        drop((all, late));
    });
}
