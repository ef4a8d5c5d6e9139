//! TCP echo on the readiness loop.

use floor::args::Args;
use floor::epoll::{Epoll, Reply};
use floor::process::{pin, raise_nofile, stop_on_signals, write_report};
use floor::sock;

struct Echo;

impl Reply for Echo {
    type Memory = ();

    fn begin_turn(&mut self) {}

    fn reply<'a>(&'a mut self, _: &mut (), received: &'a [u8]) -> &'a [u8] {
        received
    }
}

fn main() -> std::io::Result<()> {
    let mut args = Args::from_env();
    let addr = args.parse("--addr", "127.0.0.1:7101".parse().expect("an address"));
    let core = args.parse("--core", 0usize);
    let spin_ns = args.parse("--spin-us", 0u64) * 1000;
    let report = args.text("--report");
    args.finish();

    pin(core)?;
    stop_on_signals();
    raise_nofile();
    let calls = Epoll::new(sock::listen(addr)?, Echo)?.run(spin_ns);
    write_report(report.as_deref(), &[("enters", calls)]);
    Ok(())
}
