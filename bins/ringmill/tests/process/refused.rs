//! A machine with less than was asked for: each shortage is a server that serves with less and says so, or one clear
//! line with its cure.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::thread;

use crate::support::{Home, SMALL, Server, check_echo, check_refusal, get, is_root, ringmill, run};
use linux::sandbox::{self, Refusal};

#[test]
fn a_port_that_another_program_has_is_named_with_the_way_to_find_it() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let taken = [("http", tcp.local_addr()), ("udp-echo", udp.local_addr())];
    for (scheme, address) in taken {
        let address = address.expect("it is bound");
        let output = run(&["--listen", &format!("{scheme}://{address}")]);
        let cure = format!("sport = :{}", address.port());
        check_refusal(output, 1, &format!("address {address} is in use"), &cure);
    }
}

#[test]
fn a_port_that_another_ringmill_has_is_not_shared_with_it() {
    let first = Server::with(&["--listen", "echo://127.0.0.1:0", "--listen", "udp-echo://127.0.0.1:0"]);
    for scheme in ["echo", "udp-echo"] {
        let address = first.address(scheme);
        let output = run(&["--listen", &format!("{scheme}://{address}")]);
        check_refusal(output, 1, &format!("address {address} is in use"), "another port");
    }
    check_echo(&mut first.connect("echo"), b"the first one goes on");
}

#[test]
fn a_port_at_which_another_ringmill_is_about_to_listen_is_in_use_whatever_its_address() {
    // An address of its own: no connection of another test takes the port meanwhile.
    let free = TcpListener::bind("127.77.7.8:0").and_then(|free| free.local_addr()).expect("a free port");
    let name = SocketAddr::from_abstract_name(format!("ringmill/tcp/{}", free.port())).expect("a short name");
    let _about_to = UnixDatagram::bind_addr(&name).expect("nobody else has the port");
    let everywhere = format!("[::]:{}", free.port());
    thread::scope(|scope| {
        for address in [free.to_string(), everywhere] {
            scope.spawn(move || {
                let output = run(&["--listen", &format!("echo://{address}")]);
                check_refusal(output, 1, &format!("address {address} is in use"), "another port");
            });
        }
    });
}

#[test]
fn two_addresses_of_one_port_are_two_servers() {
    let first = Server::with(&["--listen", "echo://127.77.7.10:0", "--shards", "1"]);
    let port = first.address("echo").port();
    let second = Server::with(&["--listen", &format!("echo://127.77.7.11:{port}"), "--shards", "1"]);
    assert_eq!(second.address("echo").port(), port);
    check_echo(&mut first.connect("echo"), b"one");
    check_echo(&mut second.connect("echo"), b"two");
}

#[test]
fn an_address_that_no_interface_has_is_named() {
    // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    let output = run(&["--listen", "http://192.0.2.1:0"]);
    check_refusal(output, 1, "no interface of this machine has the address 192.0.2.1", "`ip address`");
}

#[test]
fn io_uring_that_is_asked_for_and_refused_is_one_line_and_a_cure() {
    for refusal in [Refusal::NotPermitted, Refusal::NoSuchCall] {
        let mut command = ringmill();
        sandbox::refuse_io_uring(command.args(SMALL).args(["--engine", "uring"]), refusal);
        check_refusal(command.output().expect("ringmill starts"), 1, "io_uring", "");
    }
}

#[test]
fn where_io_uring_is_refused_epoll_serves_and_says_so_in_a_line_in_caps_and_in_a_metric() {
    for refusal in [Refusal::NotPermitted, Refusal::NoSuchCall] {
        let mut command = ringmill();
        command.args(SMALL).args(["--listen", "admin://127.0.0.1:0"]);
        sandbox::refuse_io_uring(&mut command, refusal);
        let server = Server::start(&mut command);
        let said = server.table.lines().filter(|line| line.contains("epoll serves in its place"));
        assert_eq!(said.count(), 1, "{}", server.table);
        assert!(get(server.address("http"), "/ping").ends_with("\r\n\r\nok"));
        check_echo(&mut server.connect("echo"), b"served all the same");
        let caps = get(server.address("admin"), "/caps");
        assert!(
            caps.contains("\"name\": \"epoll\"") && caps.contains("\"instead\": \"io_uring is"),
            "{caps}"
        );
        let metrics = get(server.address("admin"), "/metrics");
        let metric = "ringmill_engine_info{engine=\"epoll\",instead_of=\"uring\"} 1\n";
        assert!(metrics.contains(metric), "{metrics}");
        assert!(server.terminate().0.success());
    }
}

#[test]
fn few_descriptors_mean_fewer_connections_and_a_line_that_says_so() {
    let mut command = ringmill();
    sandbox::limit_nofile(command.args(SMALL), 64);
    let server = Server::start(&mut command);
    assert!(server.table.contains("file descriptors allow"), "{}", server.table);
    assert!(get(server.address("http"), "/ping").ends_with("\r\n\r\nok"));
    check_echo(&mut server.connect("echo"), b"served all the same");
    assert!(server.terminate().0.success());
}

#[test]
fn too_few_descriptors_to_start_are_named_with_the_number_that_would_do() {
    let mut command = ringmill();
    sandbox::limit_nofile(command.args(SMALL), 10);
    check_refusal(
        command.output().expect("ringmill starts"),
        1,
        "10 file descriptors are allowed",
        "`ulimit -n ",
    );
}

/// Runs as a plain user, who has no capabilities: as root by becoming the one with this id, else by being one. Locked memory is
/// counted for each user, so each test has its own.
fn as_plain_user(command: &mut Command, id: u32) -> &mut Command {
    if is_root() { sandbox::as_user(command, id) } else { command }
}

#[test]
fn a_plain_user_with_the_default_locked_memory_is_served() {
    let home = Home::new();
    let mut command = Command::new(home.program());
    sandbox::limit_memlock(as_plain_user(command.args(SMALL), 65_534), 8 << 20);
    let server = Server::start(&mut command);
    assert!(get(server.address("http"), "/ping").ends_with("\r\n\r\nok"));
    check_echo(&mut server.connect("echo"), &[1; 50_000]);
    assert!(server.terminate().0.success());
}

#[test]
fn a_plain_user_with_less_locked_memory_than_buffers_is_served_and_told_what_is_missing() {
    let home = Home::new();
    let mut command = Command::new(home.program());
    sandbox::limit_memlock(as_plain_user(command.args(SMALL), 65_533), 1 << 20);
    let server = Server::start(&mut command);
    assert!(server.table.lines().any(|line| line.starts_with("missing ")), "{}", server.table);
    assert!(get(server.address("http"), "/ping").ends_with("\r\n\r\nok"));
    check_echo(&mut server.connect("echo"), &[1; 50_000]);
    assert!(server.terminate().0.success());
}

#[test]
fn too_little_locked_memory_for_the_rings_is_named_with_the_number_that_would_do() {
    let home = Home::new();
    let mut command = Command::new(home.program());
    sandbox::limit_memlock(as_plain_user(command.args(SMALL), 65_532), 32 << 10);
    let what = "a ring for each shard: needs 65536 bytes of locked memory, and RLIMIT_MEMLOCK is 32768";
    check_refusal(command.output().expect("ringmill starts"), 1, what, "`ulimit -l 64`, or fewer shards");
}

#[test]
#[cfg(feature = "glommio")]
fn too_little_locked_memory_for_glommio_is_named_before_it_starts() {
    let home = Home::new();
    let mut command = Command::new(home.program());
    sandbox::limit_memlock(command.args(SMALL).args(["--engine", "glommio"]), 256 << 10);
    let what = "glommio: needs 524288 bytes of locked memory, and RLIMIT_MEMLOCK is 262144";
    check_refusal(command.output().expect("ringmill starts"), 1, what, "`ulimit -l 512`");
}
