//! What is measured: one line a case.

/// Which protocol it speaks, and so which contenders take part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Echo,
    Http,
    Udp,
}

impl Kind {
    /// The client's `--mode`.
    pub fn mode(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Http => "http",
            Self::Udp => "udp",
        }
    }

    /// Whom the others are held against in the floor's suite unless `--baseline` says otherwise.
    pub fn baseline(self) -> &'static str {
        match self {
            Self::Echo => "ring-bundle",
            Self::Http => "ring-http",
            Self::Udp => "udp-plain",
        }
    }
}

/// Which question a case belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// How near Ringmill is to hand-written loops: the floors, Ringmill, hyper and nginx.
    Floor,
    /// How it stands beside what people would use instead: everybody.
    Peers,
}

impl Suite {
    /// What `--suite` calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Peers => "peers",
        }
    }
}

/// How a case is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// The client of `bench/floor`, closed loop.
    Closed,
    /// `ringmill-load`, closed loop, a new connection after so many requests.
    Churn(u32),
    /// `ringmill-load` at half of what Ringmill answers to it in the same round, or at `--rate`; the same for all.
    Open,
    /// `ringmill-load`, closed loop: how the rate of `Open` is found.
    Capacity,
    /// No load: memory before the first connection, with a few idle ones, and with many.
    Idle,
}

/// Which processors look at memory instead of sleeping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spin {
    Nobody,
    /// Client and server; who cannot sits the case out.
    Everybody,
    /// The client, and those servers that can; the others sleep.
    WhoCan,
}

/// What lies between server and client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    Loopback,
    /// Two network namespaces that a veth pair joins: routing, neighbours and a queue each way, as between containers.
    Veth,
}

/// One load.
pub struct Case {
    /// One of its suite.
    pub name: &'static str,
    pub suite: Suite,
    pub kind: Kind,
    pub load: Load,
    pub connections: u32,
    /// Messages outstanding on each connection.
    pub depth: u32,
    /// Bytes of a message; HTTP requests are what they are.
    pub bytes: u32,
    pub spin: Spin,
    /// Cores that the server has. With one the client has the other; with two the client runs on both.
    pub cores: usize,
    pub path: Path,
}

const fn echo(name: &'static str, connections: u32, depth: u32, bytes: u32) -> Case {
    let (suite, load, spin, path) = (Suite::Floor, Load::Closed, Spin::Nobody, Path::Loopback);
    Case { name, suite, kind: Kind::Echo, load, connections, depth, bytes, spin, cores: 1, path }
}

const fn http(name: &'static str, connections: u32, depth: u32) -> Case {
    Case { kind: Kind::Http, ..echo(name, connections, depth, 0) }
}

const fn peers(case: Case) -> Case {
    Case { suite: Suite::Peers, ..case }
}

/// All cases, in the order of the tables.
pub const CASES: &[Case] = &[
    echo("echo-64b-1c", 1, 1, 64),
    Case { spin: Spin::Everybody, ..echo("echo-64b-1c-spin", 1, 1, 64) },
    echo("echo-64b-16c", 16, 1, 64),
    echo("echo-64b-64c", 64, 1, 64),
    echo("echo-64b-256c", 256, 1, 64),
    echo("echo-64b-1024c", 1024, 1, 64),
    echo("echo-64b-64c-depth16", 64, 16, 64),
    echo("echo-16k-16c", 16, 1, 16 << 10),
    echo("echo-16k-64c", 64, 1, 16 << 10),
    echo("echo-16k-256c", 256, 1, 16 << 10),
    echo("echo-16k-64c-depth16", 64, 16, 16 << 10),
    echo("echo-64k-64c", 64, 1, 64 << 10),
    echo("echo-64k-64c-depth16", 64, 16, 64 << 10),
    http("http-64c", 64, 1),
    http("http-400c", 400, 1),
    http("http-64c-depth16", 64, 16),
    Case { kind: Kind::Udp, ..echo("udp-64b-64f", 64, 1, 64) },
    peers(echo("echo-64b-64c", 64, 1, 64)),
    peers(echo("echo-16k-64c", 64, 1, 16 << 10)),
    peers(Case { spin: Spin::WhoCan, ..echo("echo-64b-1c", 1, 1, 64) }),
    peers(Case { cores: 2, ..echo("echo-64b-256c-2cores", 256, 1, 64) }),
    peers(Case { path: Path::Veth, ..echo("echo-64b-64c-veth", 64, 1, 64) }),
    peers(http("http-64c", 64, 1)),
    peers(http("http-400c", 400, 1)),
    peers(http("http-64c-depth16", 64, 16)),
    peers(Case { load: Load::Churn(10), ..http("http-64c-churn10", 64, 1) }),
    peers(Case { load: Load::Open, ..http("http-64c-open", 64, 1) }),
    peers(Case { spin: Spin::WhoCan, ..http("http-1c", 1, 1) }),
    peers(Case { path: Path::Veth, ..http("http-64c-veth", 64, 1) }),
    peers(Case { cores: 2, ..http("http-256c-2cores", 256, 1) }),
    peers(Case { load: Load::Idle, ..http("http-idle", IDLE_MANY, 1) }),
];

/// Idle connections in the memory case: the growth from few to many is what one costs.
pub const IDLE_FEW: u32 = 400;
pub const IDLE_MANY: u32 = 10_000;
