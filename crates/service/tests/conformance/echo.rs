//! Echo: every byte comes back, in order and uncopied, whatever the client does and whatever becomes of others.

use crate::server::{ECHO, Engine, Recipe, Server, connect, tcp};
use crate::site_rig::noise;
use shard::plan::Listen;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;

on_every_engine! {
    a_dual_stack_listener_serves_both_families_and_one_for_version_6_only_one
    megabytes_in_flight_come_back_whole_and_a_half_closed_client_reads_the_rest
    bytes_sent_one_by_one_come_back_in_order
    clients_that_reset_in_the_middle_disturb_nobody
    messages_from_four_kibibytes_on_are_never_copied
    a_mebibyte_at_a_time_is_never_copied_while_the_reader_reads
}

on_every_ring! {
    megabytes_in_flight_come_back_whole_and_a_half_closed_client_reads_the_rest
    bytes_sent_one_by_one_come_back_in_order
    clients_that_reset_in_the_middle_disturb_nobody
    messages_from_four_kibibytes_on_are_never_copied
}

fn a_dual_stack_listener_serves_both_families_and_one_for_version_6_only_one(engine: Engine) {
    for v6only in [false, true] {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let server = Recipe::new()
            .plan(|plan| plan.listeners[ECHO] = Listen { address: any, v6only, ..tcp() })
            .serve(engine);
        let port = server.echo_address().port();
        let mut client = connect((Ipv6Addr::LOCALHOST, port).into());
        assert_eq!(exchange(&mut client, b"six"), b"six");
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(mut client) => assert!(!v6only && exchange(&mut client, b"four") == b"four"),
            Err(error) => assert!(v6only && error.kind() == ErrorKind::ConnectionRefused, "{error}"),
        }
        drop(client);
        server.end();
    }
}

fn megabytes_in_flight_come_back_whole_and_a_half_closed_client_reads_the_rest(engine: Engine) {
    const BYTES: usize = 8 << 20;
    let server = Server::new(engine);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let mut client = server.echo();
            scope.spawn(move || {
                let sent = noise(seed, BYTES);
                // Nothing is read before nothing more can be written: both ways are full then.
                let full = fill(&client, &sent);
                let (mut writer, rest) = (client.try_clone().unwrap(), sent[full..].to_vec());
                let writer = thread::spawn(move || {
                    writer.write_all(&rest).and_then(|()| writer.shutdown(Shutdown::Write)).unwrap();
                });
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).unwrap();
                writer.join().unwrap();
                assert!(
                    heard == sent,
                    "client {seed}: {} of {BYTES} bytes came back, or others",
                    heard.len()
                );
            });
        }
    });
    let counts = server.end();
    assert_eq!((counts.bytes_in, counts.bytes_out), (4 * BYTES as u64, 4 * BYTES as u64));
}

fn bytes_sent_one_by_one_come_back_in_order(engine: Engine) {
    let server = Server::new(engine);
    let mut client = server.echo();
    let sent = noise(5, 5000);
    let (alone, together) = sent.split_at(1000);
    for &byte in alone {
        assert_eq!(exchange(&mut client, &[byte]), [byte]);
    }
    for &byte in together {
        client.write_all(&[byte]).unwrap();
    }
    let mut heard = vec![0; together.len()];
    client.read_exact(&mut heard).unwrap();
    assert!(heard == together);
    // A server that drains waits for those that may still be sending.
    drop(client);
    server.end();
}

fn clients_that_reset_in_the_middle_disturb_nobody(engine: Engine) {
    let server = Server::new(engine);
    let mut other = server.echo();
    let piece = noise(6, 1 << 20);
    for round in 0..40 {
        // Some reset with both ways full, some with answers on their way, some at once.
        let client = server.echo();
        let sent = &piece[..piece.len() * (round % 4) / 3];
        fill(&client, sent);
        let message = noise(round as u64, 3000);
        assert!(exchange(&mut other, &message) == message, "round {round}");
        linux::net::set_linger_zero(&client).unwrap();
        drop(client);
        assert!(exchange(&mut other, &message) == message, "round {round}");
    }
    drop(other);
    let counts = server.end();
    assert_eq!((counts.accepted, counts.closed, counts.aborted), (41, 41, 0));
}

fn messages_from_four_kibibytes_on_are_never_copied(engine: Engine) {
    let server = Server::new(engine);
    let mut client = server.echo();
    for bytes in [4 << 10, 16 << 10, 64 << 10] {
        let message = noise(7, bytes);
        for _ in 0..100 {
            assert!(exchange(&mut client, &message) == message, "{bytes} bytes");
        }
    }
    drop(client);
    assert_eq!(server.end().bytes_copied, 0);
}

/// Not on every ring: where a thread of the kernel sends (sqpoll), a send may outlive its turn whoever reads.
fn a_mebibyte_at_a_time_is_never_copied_while_the_reader_reads(engine: Engine) {
    let server = Server::new(engine);
    let mut client = server.echo();
    let message = noise(8, 1 << 20);
    for _ in 0..16 {
        let mut writer = client.try_clone().unwrap();
        let heard = thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&message).unwrap());
            let mut heard = vec![0; message.len()];
            client.read_exact(&mut heard).unwrap();
            heard
        });
        assert!(heard == message);
    }
    drop(client);
    assert_eq!(server.end().bytes_copied, 0);
}

/// Writes as much of `bytes` as the connection takes without anybody reading; says how much that was.
pub(crate) fn fill(stream: &TcpStream, bytes: &[u8]) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut writer = stream;
    let mut written = 0;
    while written < bytes.len() {
        match writer.write(&bytes[written..]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("a connection that nobody reads from takes no more, but lives: {error}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
    written
}

/// Sends a message and reads as many bytes.
pub(crate) fn exchange(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    let mut heard = vec![0; message.len()];
    stream.write_all(message).and_then(|()| stream.read_exact(&mut heard)).expect("the echo answers");
    heard
}
