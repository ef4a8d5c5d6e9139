//! Every setting of the server, as data. A knob is one flag, one key of the configuration file, one paragraph of the
//! help and one line of `--print-config`; all of them are made from the table below, so they cannot disagree.
//!
//! Pure: it reads and writes words of a [`Config`]. What only makes sense together is checked in `config.rs`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use service::frame::heartbeat;

use crate::config::Config;

/// One setting. Its unit is the last word of its name.
pub(crate) struct Knob {
    /// `--NAME` on the command line, `NAME = ...` in the file.
    pub(crate) name: &'static str,
    /// What stands for its value in the help; a switch has none.
    pub(crate) value: &'static str,
    /// What it does, in one sentence.
    pub(crate) what: &'static str,
    /// When to turn it, and what that costs.
    pub(crate) why: &'static str,
    /// Where it stands in a configuration.
    pub(crate) field: fn(&mut Config) -> Field<'_>,
}

/// The place of a knob's value, and with it the values that it takes.
pub(crate) enum Field<'a> {
    /// A number in a range.
    Number(&'a mut u64, RangeInclusive<u64>),
    /// On or off.
    Switch(&'a mut bool),
    /// Something that is written as one word.
    Word(&'a mut dyn Word),
    /// Any number of words. The first that is given replaces the default.
    Words(&'a mut dyn Words),
    /// A file, or none.
    File(&'a mut Option<PathBuf>),
}

/// A value that is written as one word.
pub(crate) trait Word {
    /// Takes the value of `text`. Errors: one sentence.
    fn read(&mut self, text: &str) -> Result<(), String>;
    /// The word that reads as this value.
    fn show(&self) -> String;
}

/// A list of values, each written as one word.
pub(crate) trait Words {
    /// Empties the list.
    fn clear(&mut self);
    /// Adds the value of `text`. Errors: one sentence.
    fn add(&mut self, text: &str) -> Result<(), String>;
    /// The words that read as this list.
    fn show(&self) -> Vec<String>;
}

impl<T: FromStr<Err: Display> + Display> Word for T {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = text.parse().map_err(|why: T::Err| why.to_string())?;
        Ok(())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: FromStr<Err: Display> + Display> Words for Vec<T> {
    fn clear(&mut self) {
        self.clear();
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        self.push(text.parse().map_err(|why: T::Err| why.to_string())?);
        Ok(())
    }

    fn show(&self) -> Vec<String> {
        self.iter().map(T::to_string).collect()
    }
}

impl Field<'_> {
    /// Takes the value of one word. Errors: one sentence that says what was expected.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), String> {
        match self {
            Field::Number(number, range) => {
                let (least, most) = (range.start(), range.end());
                let read = text.parse().ok().filter(|number| range.contains(number));
                **number = read.ok_or_else(|| format!("`{text}`: expected {least} to {most}"))?;
            }
            Field::Switch(switch) => {
                **switch = text.parse().map_err(|_| format!("`{text}`: expected true or false"))?;
            }
            Field::Word(word) => word.read(text)?,
            Field::Words(words) => words.add(text)?,
            Field::File(path) => **path = (!text.is_empty()).then(|| PathBuf::from(text)),
        }
        Ok(())
    }

    /// The value in words: one, but for a list, which may have none or many, and for no file.
    pub(crate) fn show(&self) -> Vec<String> {
        match self {
            Field::Number(number, _) => vec![number.to_string()],
            Field::Switch(switch) => vec![switch.to_string()],
            Field::Word(word) => vec![word.show()],
            Field::Words(words) => words.show(),
            Field::File(path) => path.iter().map(|path| path.display().to_string()).collect(),
        }
    }
}

impl Knob {
    /// The knob that is called `name`.
    pub(crate) fn named(name: &str) -> Option<&'static Knob> {
        KNOBS.iter().find(|knob| knob.name == name)
    }

    /// The name that a mistyped `name` was meant to be: at most two letters away.
    pub(crate) fn meant(name: &str) -> Option<&'static str> {
        let near = KNOBS.iter().map(|knob| (distance(knob.name, name), knob.name)).min()?;
        (near.0 <= 2).then_some(near.1)
    }

    /// Its default, and the values that it takes where they are numbers, as they stand in the help.
    pub(crate) fn bounds(&self) -> String {
        let mut config = Config::default();
        let field = (self.field)(&mut config);
        let default = match field.show() {
            words if words.is_empty() => "none".to_string(),
            words => words.join(" "),
        };
        match &field {
            Field::Number(_, range) => format!("[{} to {}, default {default}]", range.start(), range.end()),
            Field::Switch(_) => "[default off]".to_string(),
            _ => format!("[default {default}]"),
        }
    }
}

/// Letters to change, to add or to leave out to come from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

const HEARTBEAT_MS: RangeInclusive<u64> =
    heartbeat::INTERVAL_MS_MIN as u64..=heartbeat::INTERVAL_MS_MAX as u64;
const HEARTBEAT_MISSES: RangeInclusive<u64> = heartbeat::MISSES_MIN as u64..=heartbeat::MISSES_MAX as u64;

/// The catalogue, in the order of the help: what is served, by whom, how much, how fast, how it ends.
pub(crate) const KNOBS: &[Knob] = &[
    Knob {
        name: "listen",
        value: "URL",
        what: "What to serve and where: http://ADDR, echo://ADDR, udp-echo://ADDR, relay://ADDR?to=ADDR, frame://ADDR, frame-udp://ADDR, admin://ADDR. \
               May be repeated",
        why: "ADDR is 127.0.0.1:80, [::1]:80, localhost:80 or *:80; port 0 lets the kernel choose. [::] and * take \
              IPv4 in too, unless `?v6only=true`. A relay also takes `form=machine|task` and `connect-ms=N`.",
        field: |config| Field::Words(&mut config.listen),
    },
    Knob {
        name: "name",
        value: "HOST",
        what: "A host name by which clients may call this server. May be repeated",
        why: "/ and the admin pages answer 421 to other names than these, the listener's address and localhost: a foreign \
              page could otherwise make its own name mean this machine, and read them (DNS rebinding).",
        field: |config| Field::Words(&mut config.name),
    },
    Knob {
        name: "admin-public",
        value: "",
        what: "Let admin:// stand off loopback, and show live figures on / there",
        why: "They tell how busy the machine is and which kernel it runs. Put a firewall in front of them.",
        field: |config| Field::Switch(&mut config.admin_public),
    },
    Knob {
        name: "udp-echo-public",
        value: "",
        what: "Let udp-echo:// stand off loopback",
        why: "A UDP sender's address can be forged, so an open echo throws traffic at third parties. Answers stay limited for \
              each source, and never go to ports below 1024.",
        field: |config| Field::Switch(&mut config.udp_echo_public),
    },
    Knob {
        name: "engine",
        value: "auto|uring|epoll|threads|pool|glommio",
        what: "What moves the bytes: io_uring, epoll, a thread for each connection, a pool of threads, glommio",
        why: "auto is uring, and epoll where this process may not have a ring; it says so. An engine that is named serves or \
              ends with the reason. Others than uring are there to be compared: see docs/IO-MODELS.md.",
        field: |config| Field::Word(&mut config.engine),
    },
    Knob {
        name: "cores",
        value: "all|physical|LIST",
        what: "The cores to use: all that the process may run on, one thread of each physical core, or ids such as 0,2-5",
        why: "Keep cores free for the client when both run on one machine, or for the network card's interrupts.",
        field: |config| Field::Word(&mut config.cores),
    },
    Knob {
        name: "shards",
        value: "auto|N",
        what: "How many shards, on the first N of the cores; auto is one on each core",
        why: "auto takes fewer when the cgroup (cpu.max) grants less time than there are cores.",
        field: |config| Field::Word(&mut config.shards),
    },
    Knob {
        name: "connections-max",
        value: "N",
        what: "Most connections of one shard",
        why: "At the bound accept stops, and a counter says so; each further listener may bring one more. One ring holds as \
              many as `ulimit -n` says; for more of them a shard makes further rings, up to 256, and says how many. Other \
              engines are bounded by `ulimit -n`.",
        field: |config| Field::Number(&mut config.connections_max, 1..=16_000_000),
    },
    Knob {
        name: "backlog",
        value: "N",
        what: "Connections that may wait to be accepted, on each listener of each shard",
        why: "The kernel cuts it to net.core.somaxconn. Bursts of connections longer than it see retries of a second.",
        field: |config| Field::Number(&mut config.backlog, 1..=1_000_000),
    },
    Knob {
        name: "accept",
        value: "reuseport|cbpf|hand-off",
        what: "Which shard gets a connection: by a hash of its addresses, that of the core on which its handshake came in, or each in \
               its turn",
        why: "For experiments. cbpf keeps a connection on the core of its network queue, where queues and cores match; on \
              loopback that is the client's core, so that one client means one shard. A core without a shard goes by the hash. \
              hand-off spreads few connections evenly: the first shard accepts all and hands them over.",
        field: |config| Field::Word(&mut config.accept),
    },
    Knob {
        name: "threads-max",
        value: "N",
        what: "Most connections of one shard under --engine threads, each by a thread of its own",
        why: "At the bound accept stops, and a counter says so. Two file descriptors (ulimit -n) go to each.",
        field: |config| Field::Number(&mut config.threads_max, 1..=4095),
    },
    Knob {
        name: "pool-workers",
        value: "N",
        what: "Threads of one shard under --engine pool",
        why: "A connection keeps its worker until it ends, also while it says nothing.",
        field: |config| Field::Number(&mut config.pool_workers, 1..=4095),
    },
    Knob {
        name: "pool-queue",
        value: "N",
        what: "Connections of one shard that wait for a worker under --engine pool",
        why: "Further ones are closed, those of HTTP after a 503, and counted (`shed`).",
        field: |config| Field::Number(&mut config.pool_queue, 1..=1_000_000),
    },
    Knob {
        name: "recv-buffers",
        value: "COUNTxSIZE",
        what: "Receive buffers of each shard: count and bytes, both powers of two, such as 128x16KiB",
        why: "More when `enobufs` grows in the report; small enough to stay in the core's cache. Sizes 1KiB to 1MiB, \
              2 to 32768 of them. A datagram must fit one, less some 90 bytes, or udp-echo:// drops it.",
        field: |config| Field::Word(&mut config.recv_buffers),
    },
    Knob {
        name: "huge-pages",
        value: "",
        what: "Ask for huge pages under the receive buffers",
        why: "Spares TLB misses with large pools. Takes vm.nr_hugepages, or transparent huge pages set to madvise.",
        field: |config| Field::Switch(&mut config.huge_pages),
    },
    Knob {
        name: "zero-copy-bytes",
        value: "auto|off|N",
        what: "Sends of at least so many bytes leave without a copy in the kernel",
        why: "auto is 32768, and stops on connections where the kernel says that it copied (loopback always does, and \
              loses by it). N holds whatever the kernel says.",
        field: |config| Field::Word(&mut config.zero_copy),
    },
    Knob {
        name: "spin-us",
        value: "N",
        what: "How long an idle shard looks for work before it sleeps",
        why: "100 more than halves the latency of a lone connection, and keeps its core busy. 0 sleeps at once.",
        field: |config| Field::Number(&mut config.spin_us, 0..=1_000_000),
    },
    Knob {
        name: "ring",
        value: "WORDS",
        what: "For experiments: how rings differ from those that measured best. default, or words with commas between: \
               sqarray=on, tier=coop, tier=plain, sqpoll=on, ring-fd=off, direct=off, fixed=off, bundles=off, inc=on, \
               poll-first=off, min-wait-us=N",
        why: "Each leaves out, or takes in, one thing of io_uring, and is refused where it cannot be had. sqarray=on, \
              tier=coop, tier=plain and sqpoll=on are rungs of one ladder, the next one lower each; sqpoll=on takes \
              bundles=off too, inc=on serves no datagrams. parked=on has connections always wait by a poll, slots=N makes \
              rings of at most N connections. `ringmill caps` says which this kernel gives, \
              docs/decisions/0008-ring-factors.md what each is.",
        field: |config| Field::Word(&mut config.ring),
    },
    Knob {
        name: "idle-timeout-ms",
        value: "N",
        what: "Close connections on which nothing moved for so long; 0 is never",
        why: "HTTP has deadlines of its own (head 10 s, keep-alive 75 s). This one is for echo and relay.",
        field: |config| Field::Number(&mut config.idle_timeout_ms, 0..=86_400_000),
    },
    Knob {
        name: "park-after-ms",
        value: "N",
        what: "Connections idle for so long wait by a poll, which takes less of the kernel's memory; 0 is never",
        why: "Some hundred bytes less for each (docs/MILLION.md). A word now and then, as a heartbeat, does not end it; two within a \
              quarter of a second do. Of the engine uring.",
        field: |config| Field::Number(&mut config.park_after_ms, 0..=86_400_000),
    },
    Knob {
        name: "heartbeat-ms",
        value: "N",
        what: "Interval of the heartbeat on frame:// for clients that wish no other",
        why: "A client that says another in its HELLO has that, within 100 to 900000. Shorter finds dead peers sooner, and costs a \
              PING and a PONG on each idle connection.",
        field: |config| Field::Number(&mut config.heartbeat_ms, HEARTBEAT_MS),
    },
    Knob {
        name: "heartbeat-misses",
        value: "N",
        what: "After how many silent intervals a peer of frame:// is dead, for clients that wish no other number",
        why: "Time that the server itself was late is not counted. Fewer than 2 would kill who was never asked.",
        field: |config| Field::Number(&mut config.heartbeat_misses, HEARTBEAT_MISSES),
    },
    Knob {
        name: "frame-bytes-max",
        value: "N",
        what: "Longest payload of a frame on frame://, in bytes",
        why: "A longer one is refused by its header, before anything of it is kept. Payloads pass through whatever their length, so \
              this bounds what clients may ask of each other, not memory.",
        field: |config| Field::Number(&mut config.frame_bytes_max, 1..=1 << 30),
    },
    Knob {
        name: "frame-peers-max",
        value: "N",
        what: "Most peers of frame-udp:// on a shard; one host (IPv4 address, IPv6 /64) has at most an eighth of them",
        why: "An idle one is less than a kilobyte; one whose frames are not acknowledged up to 256 KiB, and all together \
              64 MiB. Who comes at either bound is told that the server is busy.",
        field: |config| Field::Number(&mut config.frame_peers_max, 1..=1 << 24),
    },
    Knob {
        name: "drain-ms",
        value: "N",
        what: "How long SIGTERM and Ctrl-C wait for open connections before they are reset",
        why: "Longer than the longest answer. A second signal does not wait.",
        field: |config| Field::Number(&mut config.drain_ms, 0..=3_600_000),
    },
    Knob {
        name: "report",
        value: "FILE",
        what: "Write the counters there as JSON at the end and on SIGUSR1",
        why: "The file is replaced in one step: a reader never sees half of it.",
        field: |config| Field::File(&mut config.report),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_the_knob_takes() {
        for knob in KNOBS {
            let mut config = Config::default();
            for word in (knob.field)(&mut config).show() {
                (knob.field)(&mut config).read(&word).unwrap_or_else(|why| panic!("{}: {why}", knob.name));
            }
        }
    }

    #[test]
    fn every_knob_has_a_name_of_its_own_and_its_words() {
        for (index, knob) in KNOBS.iter().enumerate() {
            assert!(KNOBS[..index].iter().all(|other| other.name != knob.name), "{} twice", knob.name);
            assert!(!knob.what.ends_with('.') && knob.why.ends_with('.'), "{}", knob.name);
            let is_switch = matches!((knob.field)(&mut Config::default()), Field::Switch(_));
            assert_eq!(knob.value.is_empty(), is_switch, "{}", knob.name);
        }
    }

    #[test]
    fn a_number_is_taken_inside_its_range_only() {
        let check = |text: &str, expected: Option<u64>| {
            let mut config = Config::default();
            let read = Knob::named("drain-ms").map(|knob| (knob.field)(&mut config).read(text));
            let got = read.expect("the knob exists").map(|()| config.drain_ms);
            assert_eq!(got.clone().ok(), expected, "{text}: {got:?}");
        };
        check("0", Some(0));
        check("3600000", Some(3_600_000));
        check("3600001", None);
        check("-1", None);
        check("1.5", None);
        check("", None);
    }

    #[test]
    fn a_mistyped_name_finds_what_was_meant_and_a_foreign_one_nothing() {
        assert_eq!(Knob::meant("drian-ms"), Some("drain-ms"));
        assert_eq!(Knob::meant("spin_us"), Some("spin-us"));
        assert_eq!(Knob::meant("listener"), Some("listen"));
        assert_eq!(Knob::meant("threads"), None);
    }
}
