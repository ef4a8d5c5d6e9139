//! What is measured: one line a case.

/// Which client drives it, and so which contenders take part.
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

    /// Whom the others are held against unless `--baseline` says otherwise.
    pub fn baseline(self) -> &'static str {
        match self {
            Self::Echo => "ring-bundle",
            Self::Http => "ring-http",
            Self::Udp => "udp-plain",
        }
    }
}

/// One load.
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    pub connections: u32,
    /// Messages outstanding on each connection.
    pub depth: u32,
    /// Bytes of a message; HTTP requests are what they are.
    pub bytes: u32,
    /// Both sides watch instead of waiting; only contenders that can take part.
    pub spin: bool,
}

const fn echo(name: &'static str, connections: u32, depth: u32, bytes: u32) -> Case {
    Case { name, kind: Kind::Echo, connections, depth, bytes, spin: false }
}

const fn http(name: &'static str, connections: u32, depth: u32) -> Case {
    Case { name, kind: Kind::Http, connections, depth, bytes: 0, spin: false }
}

/// All cases, in the order of the tables.
pub const CASES: &[Case] = &[
    echo("echo-64b-1c", 1, 1, 64),
    Case { name: "echo-64b-1c-spin", kind: Kind::Echo, connections: 1, depth: 1, bytes: 64, spin: true },
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
    Case { name: "udp-64b-64f", kind: Kind::Udp, connections: 64, depth: 1, bytes: 64, spin: false },
];
