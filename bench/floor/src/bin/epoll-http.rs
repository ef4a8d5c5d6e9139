//! HTTP on the readiness loop with a canned answer: counts the heads of one read, answers them all in one send.

use floor::args::Args;
use floor::epoll::{Epoll, Reply};
use floor::http::{ANSWER_BYTES, Answers, Heads};
use floor::process::{pin, raise_nofile, stop_on_signals, write_report};
use floor::sock;

struct Http {
    answers: Answers,
    /// For reads with more heads than a block has answers.
    long: Vec<u8>,
}

impl Reply for Http {
    type Memory = Heads;

    fn begin_turn(&mut self) {
        self.answers.refresh();
    }

    fn reply<'a>(&'a mut self, heads: &mut Heads, received: &'a [u8]) -> &'a [u8] {
        let bytes = heads.count(received) * ANSWER_BYTES;
        let block = self.answers.current();
        if bytes <= block.len() {
            return &block[..bytes];
        }
        self.long.clear();
        while self.long.len() < bytes {
            self.long.extend_from_slice(&block[..block.len().min(bytes - self.long.len())]);
        }
        &self.long
    }
}

fn main() -> std::io::Result<()> {
    let mut args = Args::from_env();
    let addr = args.parse("--addr", "127.0.0.1:7103".parse().expect("an address"));
    let core = args.parse("--core", 0usize);
    let report = args.text("--report");
    args.finish();

    pin(core)?;
    stop_on_signals();
    raise_nofile();
    let http = Http { answers: Answers::new(), long: Vec::new() };
    let calls = Epoll::new(sock::listen(addr)?, http)?.run(0);
    write_report(report.as_deref(), &[("enters", calls)]);
    Ok(())
}
