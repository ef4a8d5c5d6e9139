//! The relay over real sockets, once as a machine and once as a story: every test is run over both.

mod relay_rig;

use relay_rig::{Form, Rig, pattern, refused_address, reset};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

macro_rules! both_forms {
    ($($name:ident)*) => {
        mod machine {
            $(#[test] fn $name() { super::$name(super::Form::Machine) })*
        }
        mod story {
            $(#[test] fn $name() { super::$name(super::Form::Story) })*
        }
    };
}

both_forms! {
    what_one_side_says_the_other_hears
    what_the_client_says_before_the_upstream_is_there_is_not_lost
    a_half_close_is_passed_on_whichever_side_begins
    megabytes_both_ways_at_once_arrive_whole_and_in_order
    a_slow_reader_holds_the_sender_back_and_memory_stays_bounded
    an_upstream_that_refuses_closes_the_client_and_is_counted
    an_upstream_that_never_answers_closes_the_client_at_the_deadline_and_is_counted
    a_reset_of_one_side_resets_the_other
    a_relay_goes_on_through_a_drain_until_both_sides_are_done
    a_relay_that_outlives_the_drain_is_cut
}

fn what_one_side_says_the_other_hears(form: Form) {
    let rig = Rig::new(form);
    let (mut client, mut upstream) = rig.pair();
    for round in 0..100u8 {
        say_and_hear(&mut client, &mut upstream, &[round; 64]);
        say_and_hear(&mut upstream, &mut client, &[round; 3000]);
    }
    drop((client, upstream));
    assert_eq!(rig.end().upstream_failed, 0);
}

fn what_the_client_says_before_the_upstream_is_there_is_not_lost(form: Form) {
    let rig = Rig::new(form);
    let early = pattern(1, 200_000);
    let mut client = TcpStream::connect(rig.address()).unwrap();
    let copy = early.clone();
    let writer = thread::spawn(move || {
        client.write_all(&copy).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    });
    let mut heard = Vec::new();
    let mut upstream = rig.accept();
    upstream.read_to_end(&mut heard).unwrap();
    assert!(heard == early);
    drop((upstream, writer.join().unwrap()));
    rig.end();
}

fn a_half_close_is_passed_on_whichever_side_begins(form: Form) {
    let rig = Rig::new(form);
    for client_begins in [true, false] {
        let (client, upstream) = rig.pair();
        let (mut one, mut two) = if client_begins { (client, upstream) } else { (upstream, client) };
        one.write_all(b"that is all I have to say").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut two), b"that is all I have to say");
        // The other way stays open for as long as it is wanted.
        for _ in 0..10 {
            say_and_hear(&mut two, &mut one, b"but I go on");
        }
        two.write_all(b"and end").unwrap();
        two.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut one), b"and end");
    }
    assert_eq!(rig.end().upstream_failed, 0);
}

fn megabytes_both_ways_at_once_arrive_whole_and_in_order(form: Form) {
    const BYTES: usize = 8 << 20;
    let rig = Rig::new(form);
    let (client, upstream) = rig.pair();
    thread::scope(|scope| {
        for (from, to, seed) in [(&client, &upstream, 1), (&upstream, &client, 2)] {
            scope.spawn(move || {
                let mut from = from;
                from.write_all(&pattern(seed, BYTES)).unwrap();
                from.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let mut to = to;
                let mut heard = Vec::new();
                to.read_to_end(&mut heard).unwrap();
                assert!(heard == pattern(seed, BYTES), "{} of {BYTES} bytes came", heard.len());
            });
        }
    });
    let counts = rig.end();
    let all = 2 * (BYTES + 1) as u64; // one byte each way made the pair
    assert_eq!((counts.bytes_in, counts.bytes_out), (all, all));
}

fn a_slow_reader_holds_the_sender_back_and_memory_stays_bounded(form: Form) {
    const BYTES: usize = 48 << 20;
    let rig = Rig::new(form);
    let (client, mut upstream) = rig.pair();
    client.set_nonblocking(true).unwrap();
    let piece = pattern(3, 1 << 20);
    let (mut said, mut heard, mut blocked) = (0, 0, 0);
    let mut buffer = vec![0; 512 << 10];
    // The reader reads only when the writer cannot go on: all that is between them is full then.
    while heard < BYTES {
        while said < BYTES {
            let at = said % piece.len();
            match (&client).write(&piece[at..piece.len().min(at + BYTES - said)]) {
                Ok(n) => said += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the client cannot write: {error}"),
            }
        }
        if said == BYTES {
            client.shutdown(Shutdown::Write).unwrap();
        } else {
            blocked += 1;
        }
        assert!(rig.held() <= rig.held_max(), "{} bytes are held", rig.held());
        let n = upstream.read(&mut buffer).unwrap();
        assert!(n > 0 && same(&buffer[..n], &piece, heard));
        heard += n;
    }
    assert!(blocked > 0, "nothing held the sender back");
    assert_eq!(rest(&mut upstream), b"");
    drop((client, upstream));
    rig.end();
}

fn an_upstream_that_refuses_closes_the_client_and_is_counted(form: Form) {
    let (nobody, _its_socket) = refused_address();
    let rig = Rig::to(form, nobody, Duration::from_secs(5));
    for _ in 0..3 {
        let mut client = TcpStream::connect(rig.address()).unwrap();
        assert_eq!(rest(&mut client), b"");
    }
    assert_eq!(rig.end().upstream_failed, 3);
}

fn an_upstream_that_never_answers_closes_the_client_at_the_deadline_and_is_counted(form: Form) {
    // One connection fills the queue of a listener with backlog 0; further SYNs are dropped (listen(2)).
    let options = linux::net::ListenOptions { backlog: 0, ..Default::default() };
    let full = linux::net::Listener::bind(([127, 0, 0, 1], 0).into(), &options).unwrap();
    let _first = TcpStream::connect(full.address()).unwrap();
    let rig = Rig::to(form, full.address(), Duration::from_millis(20));
    let mut client = TcpStream::connect(rig.address()).unwrap();
    assert_eq!(rest(&mut client), b"");
    assert_eq!(rig.end().upstream_failed, 1);
}

fn a_reset_of_one_side_resets_the_other(form: Form) {
    let rig = Rig::new(form);
    for client_breaks in [true, false] {
        let (client, upstream) = rig.pair();
        let (one, mut two) = if client_breaks { (client, upstream) } else { (upstream, client) };
        reset(one);
        let mut byte = [0];
        assert_eq!(two.read(&mut byte).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    }
    assert_eq!(rig.end().upstream_failed, 1, "a client that breaks is not the upstream's failure");
}

fn a_relay_goes_on_through_a_drain_until_both_sides_are_done(form: Form) {
    let rig = Rig::new(form);
    let (mut client, mut upstream) = rig.pair();
    rig.drain();
    for _ in 0..10 {
        say_and_hear(&mut client, &mut upstream, b"still");
        say_and_hear(&mut upstream, &mut client, b"here");
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut upstream), b"");
    drop(upstream);
    assert_eq!(rest(&mut client), b"");
    assert_eq!(rig.end().aborted, 0);
}

fn a_relay_that_outlives_the_drain_is_cut(form: Form) {
    let mut plan = Rig::plan();
    plan.drain = Duration::from_millis(20);
    let rig = Rig::with(form, plan);
    let (mut client, mut upstream) = rig.pair();
    rig.drain();
    let mut byte = [0];
    for side in [&mut client, &mut upstream] {
        assert_eq!(side.read(&mut byte).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    }
    assert_eq!(rig.end().aborted, 1);
}

fn say_and_hear(one: &mut TcpStream, two: &mut TcpStream, said: &[u8]) {
    one.write_all(said).unwrap();
    let mut heard = vec![0; said.len()];
    two.read_exact(&mut heard).unwrap();
    assert_eq!(heard, said);
}

/// All that comes until the peer's end.
fn rest(from: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Whether `bytes` is what `piece`, repeated for ever, has from position `at` on.
fn same(bytes: &[u8], piece: &[u8], at: usize) -> bool {
    let mut from = at % piece.len();
    let mut left = bytes;
    while !left.is_empty() {
        let n = left.len().min(piece.len() - from);
        if left[..n] != piece[from..from + n] {
            return false;
        }
        (left, from) = (&left[n..], 0);
    }
    true
}
