//! Real sockets on loopback: what is bound, shared, refused and closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use linux::Error;
use linux::net::{
    self, Arrival, ListenOptions, Listener, ReplyFrom, Transport, UdpOptions, UdpSocket, probe_free,
};

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn listener(addr: SocketAddr, options: ListenOptions) -> (TcpListener, SocketAddr) {
    let listener = Listener::bind(addr, &options).expect("bind");
    let address = listener.address();
    (OwnedFd::from(listener).into(), address)
}

/// A connected pair: the client's end and the server's.
fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener(loopback(0), ListenOptions::default());
    let client = TcpStream::connect(address).expect("connect");
    (client, listener.accept().expect("accept").0)
}

#[test]
fn a_listener_tells_the_port_that_the_kernel_chose_and_hands_nodelay_down() {
    let (listener, address) = listener(loopback(0), ListenOptions::default());
    assert_ne!(address.port(), 0);
    let client = TcpStream::connect(address).expect("connect");
    let (server, peer) = listener.accept().expect("accept");
    assert!(server.nodelay().expect("getsockopt"), "accepted connections inherit TCP_NODELAY");
    assert_eq!(net::peer_address(&server).expect("connected"), peer);
    assert_eq!(net::local_address_of(&client).expect("connected"), peer);
}

#[test]
fn nodelay_is_left_alone_when_it_is_not_wanted() {
    let options = ListenOptions { nodelay: false, ..ListenOptions::default() };
    let (listener, address) = listener(loopback(0), options);
    let _client = TcpStream::connect(address).expect("connect");
    assert!(!listener.accept().expect("accept").0.nodelay().expect("getsockopt"));
}

#[test]
fn a_nonblocking_listener_says_that_nobody_is_there() {
    let (listener, _) =
        listener(loopback(0), ListenOptions { nonblocking: true, ..ListenOptions::default() });
    assert_eq!(listener.accept().expect_err("nobody connected").kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_taken_address_is_named() {
    let (_listener, address) = listener(loopback(0), ListenOptions::default());
    match Listener::bind(address, &ListenOptions::default()) {
        Err(Error::AddressInUse { addr }) => assert_eq!(addr, address),
        other => panic!("{other:?}"),
    }
}

#[test]
fn shards_share_a_port_and_a_second_server_that_probes_first_does_not() {
    let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let (_first, address) = listener(loopback(0), shared);
    let (_second, same) = listener(address, shared);
    assert_eq!(address, same);
    match probe_free(address, Transport::Tcp, None) {
        Err(Error::AddressInUse { addr }) => assert_eq!(addr, address),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_probe_finds_a_shared_udp_port_too_and_leaves_a_free_one_free() {
    let shared = UdpOptions { reuse_port: true, ..UdpOptions::default() };
    let socket = UdpSocket::bind(loopback(0), &shared).expect("bind");
    let address = socket.address();
    let second = UdpSocket::bind(address, &shared).expect("shared by both");
    assert!(matches!(probe_free(address, Transport::Udp, None), Err(Error::AddressInUse { .. })));
    drop((socket, second));
    probe_free(address, Transport::Udp, None).expect("free again");
    UdpSocket::bind(address, &UdpOptions::default()).expect("the probe keeps nothing");
}

#[test]
fn the_probe_passes_over_connections_in_time_wait() {
    let (listener, address) = listener(loopback(0), ListenOptions::default());
    let mut client = TcpStream::connect(address).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    drop(server); // the side that closes first keeps the port in TIME_WAIT
    assert_eq!(client.read(&mut [0; 1]).expect("end of stream"), 0);
    drop((client, listener));
    probe_free(address, Transport::Tcp, None).expect("nobody listens");
    Listener::bind(address, &ListenOptions::default()).expect("a restart finds its port");
}

#[test]
fn an_address_that_no_interface_has_is_named() {
    let nowhere: SocketAddr = "192.0.2.1:0".parse().expect("a literal address"); // RFC 5737
    assert!(matches!(
        Listener::bind(nowhere, &ListenOptions::default()),
        Err(Error::NoSuchAddress { addr }) if addr == nowhere
    ));
    assert!(matches!(net::connect_socket(loopback(1), Some(nowhere)), Err(Error::NoSuchAddress { .. })));
}

#[test]
fn a_source_address_of_the_other_family_is_refused() {
    let from = (Ipv6Addr::LOCALHOST, 0).into();
    assert!(matches!(net::connect_socket(loopback(1), Some(from)), Err(Error::NoSuchAddress { .. })));
}

#[test]
fn a_dual_stack_listener_serves_both_families_and_a_v6only_one_leaves_ipv4_free() {
    let any: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
    let dual = ListenOptions { v6only: Some(false), ..ListenOptions::default() };
    let (both, address) = listener(any, dual);
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let client = TcpStream::connect((ip, address.port())).expect("connect");
        let (server, peer) = both.accept().expect("accept");
        assert_eq!(peer.ip().to_canonical(), ip);
        drop((client, server));
    }
    let only = ListenOptions { v6only: Some(true), ..ListenOptions::default() };
    let (_six, address) = listener(any, only);
    let free: SocketAddr = (Ipv4Addr::UNSPECIFIED, address.port()).into();
    probe_free(free, Transport::Tcp, None).expect("an IPv6-only listener does not hold the IPv4 port");
}

#[test]
fn a_connecting_socket_leaves_from_the_address_it_was_given() {
    let (listener, to) = listener(loopback(0), ListenOptions::default());
    let from: SocketAddr = ([127, 0, 0, 2], 0).into();
    let fd = net::connect_socket(to, Some(from)).expect("socket");
    connect(&fd, to).expect("connect");
    let (_, peer) = listener.accept().expect("accept");
    assert_eq!(peer.ip(), from.ip());
    assert_eq!(net::local_address_of(&fd).expect("connected"), peer);
    assert!(TcpStream::from(fd).nodelay().expect("getsockopt"));
}

#[test]
fn a_half_close_lets_the_other_direction_go_on() {
    let (mut client, mut server) = pair();
    client.write_all(b"question").expect("write");
    net::shutdown_write(&client).expect("shutdown");
    let mut asked = String::new();
    server.read_to_string(&mut asked).expect("read to the end of the stream");
    server.write_all(b"answer").expect("write");
    drop(server);
    let mut answered = String::new();
    client.read_to_string(&mut answered).expect("read");
    assert_eq!((asked.as_str(), answered.as_str()), ("question", "answer"));
}

#[test]
fn a_close_without_linger_resets_the_peer() {
    let (client, mut server) = pair();
    net::set_linger_zero(&client).expect("setsockopt");
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).expect_err("reset").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn the_waiting_error_of_a_socket_is_taken_once() {
    let (client, server) = pair();
    server.set_nonblocking(true).expect("fcntl");
    assert!(net::so_error(&server).expect("getsockopt").is_none());
    net::set_linger_zero(&client).expect("setsockopt");
    drop(client);
    let errno = net::so_error(&server).expect("getsockopt").expect("the reset waits");
    assert_eq!(errno.kind(), ErrorKind::ConnectionReset);
    assert!(net::so_error(&server).expect("getsockopt").is_none());
}

#[test]
fn a_socket_that_is_not_connected_has_no_peer_and_nothing_to_shut() {
    let fd = net::connect_socket(loopback(1), None).expect("socket");
    for error in [net::peer_address(&fd).map(drop), net::shutdown_write(&fd)] {
        match error {
            Err(Error::Os { errno, .. }) => assert_eq!(errno.kind(), ErrorKind::NotConnected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_receive_buffer_of_a_udp_socket_is_the_one_asked_for() {
    let options = UdpOptions { receive_bytes: Some(64 * 1024), ..UdpOptions::default() };
    let socket = UdpSocket::bind(loopback(0), &options).expect("bind");
    assert_eq!(socket.receive_bytes().expect("getsockopt"), 2 * 64 * 1024);
}

#[test]
fn a_wildcard_socket_learns_the_address_asked_and_answers_from_it() {
    let check = |bound: IpAddr, v6only: Option<bool>, asked: IpAddr| {
        let socket = UdpSocket::bind((bound, 0).into(), &UdpOptions { v6only, ..UdpOptions::default() });
        let socket = socket.expect("bind");
        let client = std::net::UdpSocket::bind((asked, 0)).expect("bind");
        client.send_to(b"who", (asked, socket.address().port())).expect("send");
        let (peer, arrival) = receive(&socket);
        assert!(arrival.is_unicast());
        assert_eq!(arrival.local.to_canonical(), asked);
        answer(&socket, peer, arrival.local, b"me");
        let mut answer = [0; 8];
        let (bytes, from) = client.recv_from(&mut answer).expect("receive");
        assert_eq!((&answer[..bytes], from.ip()), (&b"me"[..], asked));
    };
    let another = IpAddr::from([127, 0, 0, 3]); // a plain answer would leave from 127.0.0.1
    check(Ipv4Addr::UNSPECIFIED.into(), None, another);
    check(Ipv6Addr::UNSPECIFIED.into(), Some(true), Ipv6Addr::LOCALHOST.into());
    check(Ipv6Addr::UNSPECIFIED.into(), Some(false), another);
}

#[test]
fn a_broadcast_can_be_recognized() {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), &UdpOptions::default()).expect("bind");
    let client = std::net::UdpSocket::bind(loopback(0)).expect("bind");
    client.set_broadcast(true).expect("setsockopt");
    let everybody = SocketAddr::from(([127, 255, 255, 255], socket.address().port()));
    client.send_to(b"all", everybody).expect("send");
    let (_, arrival) = receive(&socket);
    assert_eq!(arrival.to, IpAddr::from([127, 255, 255, 255]));
    assert!(!arrival.is_unicast());
}

/// connect(2) on a socket that std did not make.
fn connect(fd: &OwnedFd, to: SocketAddr) -> std::io::Result<()> {
    let SocketAddr::V4(to) = to else { panic!("the tests connect by IPv4 only") };
    let name = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    };
    let bytes = size_of_val(&name) as libc::socklen_t;
    // SAFETY: `name` lives through the call and is `bytes` long.
    let result = unsafe { libc::connect(fd.as_raw_fd(), (&raw const name).cast(), bytes) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// recvmsg(2): the peer in the kernel's form, and where the datagram arrived.
fn receive(socket: &UdpSocket) -> (SocketAddr, Arrival) {
    let (mut name, mut bytes, mut control) = ([0u8; 28], [0u8; 64], [0u64; Arrival::CONTROL_BYTES / 8]);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: a msghdr of zeros is empty.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = name.as_mut_ptr().cast();
    message.msg_namelen = name.len() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: all that `message` points to lives here and is as long as it says.
    let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, 0) };
    assert!(received >= 0, "{}", std::io::Error::last_os_error());
    let control: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let peer = net::SockAddr::parse(&name[..message.msg_namelen as usize]).expect("a peer");
    (peer, Arrival::parse(&control[..message.msg_controllen]).expect("IP_PKTINFO is on"))
}

/// sendmsg(2) from a chosen address.
fn answer(socket: &UdpSocket, to: SocketAddr, from: IpAddr, bytes: &[u8]) {
    let reply = ReplyFrom::new(from);
    let control = reply.control();
    let mut name = match to {
        SocketAddr::V4(to) => {
            let port = to.port().to_be_bytes();
            [&(libc::AF_INET as u16).to_ne_bytes()[..], &port, &to.ip().octets(), &[0; 8]].concat()
        }
        SocketAddr::V6(to) => {
            let port = to.port().to_be_bytes();
            [&(libc::AF_INET6 as u16).to_ne_bytes()[..], &port, &[0; 4], &to.ip().octets(), &[0; 4]].concat()
        }
    };
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: a msghdr of zeros is empty.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = name.as_mut_ptr().cast();
    message.msg_namelen = name.len() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_ptr().cast_mut().cast();
    message.msg_controllen = control.len();
    // SAFETY: all that `message` points to lives here, is as long as it says, and is only read by sendmsg(2).
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, 0) };
    assert_eq!(sent, bytes.len() as isize, "{}", std::io::Error::last_os_error());
}
