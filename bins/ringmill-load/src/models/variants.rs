//! The ways to run the server that are compared: a name, and what is added to the server's flags.
//!
//! Knows no flag's meaning: a server that does not know one refuses, and that is what the report says of the variant.

/// One way to run the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Unique among those that are compared.
    pub(crate) name: String,
    /// Words of the command line.
    pub(crate) flags: Vec<String>,
}

/// Reads `NAME=FLAGS`; flags are words with white space between them.
pub(crate) fn parse(word: &str) -> Result<Variant, String> {
    match word.split_once('=') {
        Some((name, flags)) if !name.trim().is_empty() && !name.starts_with('-') => {
            Ok(variant(name.trim(), flags))
        }
        _ => Err(format!("`{word}`: expected NAME=FLAGS such as 'spin=--spin-us 100'")),
    }
}

/// Every I/O model, the default one first. Those that have a thread for each connection get enough of them for `connections`, and
/// for whoever asks whether they serve.
pub(super) fn engines(connections: u32) -> Vec<Variant> {
    let threads = (connections + SPARE_THREADS).min(THREADS_MAX);
    let flags = |name| match name {
        "threads" => format!("--engine threads --threads-max {threads}"),
        "pool" => format!("--engine pool --pool-workers {threads}"),
        _ => format!("--engine {name}"),
    };
    ["uring", "epoll", "threads", "pool", "glommio"].map(|name| variant(name, &flags(name))).into()
}

/// Of a shard, what `ringmill` allows.
const THREADS_MAX: u32 = 4095;
const SPARE_THREADS: u32 = 8;

/// The uring engine as it is by default, and with each factor changed by itself.
pub(super) fn factors() -> Vec<Variant> {
    FACTORS.iter().map(|(name, flags)| variant(name, flags)).collect()
}

fn variant(name: &str, flags: &str) -> Variant {
    Variant { name: name.to_owned(), flags: flags.split_whitespace().map(str::to_owned).collect() }
}

const FACTORS: &[(&str, &str)] = &[
    ("default", "--engine uring"),
    ("sqarray=on", "--engine uring --ring sqarray=on"),
    ("tier=coop", "--engine uring --ring tier=coop"),
    ("tier=plain", "--engine uring --ring tier=plain"),
    ("ring-fd=off", "--engine uring --ring ring-fd=off"),
    ("direct=off", "--engine uring --ring direct=off"),
    ("fixed=off", "--engine uring --ring fixed=off"),
    ("bundles=off", "--engine uring --ring bundles=off"),
    ("inc=on", "--engine uring --ring inc=on"),
    ("poll-first=off", "--engine uring --ring poll-first=off"),
    // The kernel's thread would race for the lengths of bundles: it is had without them only.
    ("sqpoll=on", "--engine uring --ring sqpoll=on,bundles=off"),
    ("min-wait 50 us", "--engine uring --ring min-wait-us=50"),
    ("spin 100 us", "--engine uring --spin-us 100"),
    ("zero copy off", "--engine uring --zero-copy-bytes off"),
    ("zero copy 16 KiB", "--engine uring --zero-copy-bytes 16384"),
    ("buffers 1024x4KiB", "--engine uring --recv-buffers 1024x4KiB"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_a_name_and_the_words_of_its_flags() {
        let check = |word: &str, name: &str, flags: &[&str]| {
            let found = parse(word).expect(word);
            assert_eq!(
                (found.name.as_str(), found.flags),
                (name, flags.iter().map(|f| (*f).to_owned()).collect())
            );
        };
        check("spin=--spin-us 100", "spin", &["--spin-us", "100"]);
        check("coop=--ring tier=coop,direct=off", "coop", &["--ring", "tier=coop,direct=off"]);
        check("plain=", "plain", &[]);
        for word in ["", "spin", "=--spin-us 100", "--spin-us=100"] {
            assert!(parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn no_two_variants_of_a_set_have_one_name_and_the_baseline_comes_first() {
        for (set, first) in [(engines(64), "uring"), (factors(), "default")] {
            let names: std::collections::BTreeSet<&str> = set.iter().map(|v| v.name.as_str()).collect();
            assert_eq!((names.len(), set[0].name.as_str()), (set.len(), first));
        }
    }
}
