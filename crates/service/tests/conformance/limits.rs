//! Bounds of a server: connections, idleness, descriptors. Each is held, counted, and left again without help.

use crate::echo::exchange;
use crate::server::{Engine, Recipe, connect, until};
use linux::{limits, sandbox};
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

on_every_engine! {
    at_the_bound_of_connections_the_next_client_waits_until_one_leaves
    a_connection_on_which_nothing_moves_is_closed_and_counted
    when_descriptors_are_few_the_rest_waits_and_all_are_served
    when_descriptors_are_few_a_drain_serves_the_queue_all_the_same
}

on_every_ring! {
    at_the_bound_of_connections_the_next_client_waits_until_one_leaves
}

fn at_the_bound_of_connections_the_next_client_waits_until_one_leaves(engine: Engine) {
    let server = Recipe::new().plan(|plan| plan.connections_max = 4).serve(engine);
    let mut clients: Vec<TcpStream> = (0..4).map(|_| server.echo()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(exchange(client, b"in"), b"in"));
    until("accepting stops", || server.counts().accepts_paused == 1);
    // One more turn of the seat, and what it was told to stop has stopped.
    assert_eq!(exchange(&mut clients[0], b"still in"), b"still in");
    let mut waiting: Vec<TcpStream> = (0..3).map(|_| server.echo()).collect();
    for client in &mut waiting {
        client.write_all(b"me too").unwrap();
        assert_eq!(exchange(&mut clients[0], b"still in"), b"still in");
    }
    assert_eq!(server.counts().accepted, 4, "those beyond the bound wait in the listener's queue");
    for mut client in waiting {
        clients.pop();
        let mut heard = [0; 6];
        client.read_exact(&mut heard).unwrap_or_else(|error| panic!("{error}: {:?}", server.counts()));
        assert_eq!(&heard, b"me too");
        clients.insert(0, client);
    }
    let counts = server.counts();
    assert_eq!((counts.accepted, counts.accept_errors), (7, 0));
    drop(clients);
    server.end();
}

fn a_connection_on_which_nothing_moves_is_closed_and_counted(engine: Engine) {
    let server = Recipe::new().plan(|plan| plan.idle = Some(Duration::from_millis(20))).serve(engine);
    let (mut silent, mut spoke) = (server.echo(), server.echo());
    assert_eq!(exchange(&mut spoke, b"hello"), b"hello");
    for client in [&mut silent, &mut spoke] {
        assert!(matches!(client.read(&mut [0]), Ok(0)), "an end, and no error: nothing was lost");
    }
    let counts = server.end();
    assert_eq!((counts.sessions_idle_closed, counts.aborted), (2, 0));
}

/// Descriptors of the child, its table for connections included. A worker takes some beside its connection, and each connection
/// of a drain has it for half a second (`echo`): with few of them the crowd would take longer than a drain may.
fn descriptors(engine: Engine) -> u64 {
    match engine {
        Engine::Uring | Engine::Epoll | Engine::Glommio => 40,
        Engine::Threads | Engine::Pool => 120,
    }
}

/// More than fit.
const CROWD: usize = 200;

fn when_descriptors_are_few_the_rest_waits_and_all_are_served(engine: Engine) {
    limits::raise_nofile().unwrap();
    let server = Narrow::start(engine);
    for round in 0..3 {
        // All of them wait in the listener's queue when the server wakes up and accepts what it can.
        server.signal("STOP");
        let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect(server.address)).collect();
        for client in &mut crowd {
            client.write_all(b"x").unwrap();
        }
        server.signal("CONT");
        // Each leaves when it has been served, and so makes room for one that waits.
        let served =
            crowd.into_iter().filter_map(|mut client| client.read(&mut [0]).ok()).filter(|n| *n == 1).count();
        assert_eq!(served, CROWD, "round {round}");
        assert_eq!(exchange(&mut connect(server.address), b"and now?"), b"and now?", "round {round}");
    }
    assert_eq!(server.end(), "in flight 0, lent 0");
}

fn when_descriptors_are_few_a_drain_serves_the_queue_all_the_same(engine: Engine) {
    limits::raise_nofile().unwrap();
    let mut server = Narrow::start(engine);
    server.signal("STOP");
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect(server.address)).collect();
    for client in &mut crowd {
        client.write_all(b"x").unwrap();
    }
    // All of them wait in the listener's queue when the drain begins.
    drop(server.child.stdin.take());
    server.signal("CONT");
    for (index, mut client) in crowd.into_iter().enumerate() {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap_or_else(|error| panic!("client {index}: {error}"));
        assert_eq!(heard, b"x", "client {index}");
    }
    assert_eq!(server.end(), "in flight 0, lent 0");
}

/// A server in a child process that may have few descriptors.
struct Narrow {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Narrow {
    fn start(engine: Engine) -> Narrow {
        let mut command = Command::new(env::current_exe().expect("a test knows its file"));
        command.args(["--ignored", "--exact", "--nocapture", "limits::a_child_serves_until_its_input_ends"]);
        command.env("CONFORMANCE_ENGINE", format!("{engine:?}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            sandbox::limit_nofile(&mut command, descriptors(engine)).spawn().expect("the child starts");
        let out = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut narrow = Narrow { child, out, address: SocketAddr::from(([0; 4], 0)) };
        narrow.address = narrow.line("listening on ").parse().expect("an address");
        narrow
    }

    /// The rest of the line that has `mark` in it.
    fn line(&mut self, mark: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.out.read_line(&mut line).expect("it prints text"),
                0,
                "it ended before it said `{mark}`"
            );
            if let Some((_, rest)) = line.trim_end().split_once(mark) {
                return rest.to_owned();
            }
        }
    }

    fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &script]).status().expect("a shell").success());
    }

    /// Lets it drain; what it said of its end.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let said = self.line("ended with ");
        assert!(self.child.wait().expect("it is our child").success());
        said
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        // A test that failed leaves no child behind; one that ended has been waited for.
        let _ended = self.child.kill();
    }
}

#[test]
#[ignore = "the child of another test"]
fn a_child_serves_until_its_input_ends() {
    let name = env::var("CONFORMANCE_ENGINE").expect("its parent says which");
    let engine = Engine::ALL
        .into_iter()
        .find(|engine| format!("{engine:?}") == name)
        .expect("there is such an engine");
    let server = Recipe::new().serve(engine);
    writeln!(io::stdout(), "listening on {}", server.echo_address()).unwrap();
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let counts = server.end();
    assert_eq!(counts.accept_errors, 0, "{counts:?}");
    writeln!(io::stdout(), "ended with in flight {}, lent {}", counts.in_flight, counts.buffers_lent)
        .unwrap();
}
