//! Echo over real sockets: TCP in order and whole whatever the client does, UDP to whom it may answer.

mod site_rig;

use service::udp_echo::{Config, Rate};
use site_rig::{Rig, noise};
use std::io::{Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::thread;

#[test]
fn a_half_closed_client_reads_all_that_it_sent() {
    let rig = Rig::new();
    let mut client = rig.echo();
    let sent = noise(1, 5_000_000);
    let mut writer = client.try_clone().unwrap();
    let copy = sent.clone();
    let sender = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    sender.join().unwrap();
    assert!(heard == sent);
    let counts = rig.end();
    assert!(counts.requests > 0 && counts.bytes_out == 5_000_000);
}

#[test]
fn a_message_that_arrives_whole_is_never_copied() {
    let rig = Rig::new();
    let mut client = rig.echo();
    for bytes in [4 << 10, 16 << 10] {
        let sent = noise(2, bytes);
        for _ in 0..100 {
            let mut heard = vec![0; bytes];
            client.write_all(&sent).and_then(|()| client.read_exact(&mut heard)).unwrap();
            assert!(heard == sent);
        }
    }
    drop(client);
    assert_eq!(rig.end().bytes_copied, 0);
}

#[test]
fn a_client_that_resets_takes_nobody_with_it() {
    let rig = Rig::new();
    let mut other = rig.echo();
    for _ in 0..20 {
        let mut client = rig.echo();
        client.write_all(&noise(3, 300_000)).unwrap();
        linux::net::set_linger_zero(&client).unwrap();
        drop(client);
        let mut byte = [0];
        other.write_all(b"x").and_then(|()| other.read_exact(&mut byte)).unwrap();
    }
    drop(other);
    rig.end();
}

#[test]
fn datagrams_come_back_from_the_address_that_was_asked() {
    let rig = Rig::new();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(rig.udp_echo()).unwrap();
    for bytes in [0, 1, 64, 1400, 9000] {
        let sent = noise(bytes as u64, bytes);
        client.send(&sent).unwrap();
        let mut heard = vec![0; 10_000];
        // `recv` on a connected socket takes no datagram from anywhere else.
        let n = client.recv(&mut heard).unwrap();
        assert!(heard[..n] == sent, "{bytes} bytes");
    }
    assert_eq!(rig.end().datagrams_dropped, 0);
}

#[test]
fn a_source_over_its_rate_is_not_answered_and_each_datagram_is_counted() {
    let rate = Rate { per_second: 1, burst: 5 };
    let rig = Rig::with(|_| {}, Config { rate_loopback: Some(rate), ..Config::default() });
    let (greedy, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    for n in 0..50u8 {
        greedy.send_to(&[n], rig.udp_echo()).unwrap();
    }
    let mut heard = [0; 10];
    for n in 0..5 {
        assert_eq!((greedy.recv(&mut heard).unwrap(), heard[0]), (1, n));
    }
    // Its own address has its own bucket, and is answered behind all of those.
    other.send_to(b"x", rig.udp_echo()).unwrap();
    assert_eq!(other.recv(&mut heard).unwrap(), 1);
    let counts = rig.end();
    // A second or two may have passed on a slow machine.
    assert!((40..=45).contains(&counts.datagrams_dropped), "{}", counts.datagrams_dropped);
    assert_eq!(counts.requests, 51);
}
