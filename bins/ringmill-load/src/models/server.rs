//! A server of a variant: started on its cores and a port of the kernel's choice, asked where it listens, ended, and what it counted.
//!
//! Never alive after its value: dropped, it is killed. Two threads read what it says, so that a full pipe never holds it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use linux::process::{Ended, Process};
use serde_json::Value;

use super::config::Config;
use super::variants::Variant;

/// A server that serves.
#[derive(Debug)]
pub(super) struct Server {
    /// Its process.
    pub(super) process: Process,
    /// Where it listens.
    pub(super) address: SocketAddr,
    report: PathBuf,
}

/// What is known of a server that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// What the kernel counted.
    pub(super) ended: Ended,
    /// What its own meter counted of its waits in the kernel; `None` where it does not say.
    pub(super) enters: Option<u64>,
    /// And of its system calls for connections.
    pub(super) calls: Option<u64>,
}

impl Server {
    /// Starts it, with its report in the directory `home`. Errors: the line that it said instead of serving, or what kept it from that.
    pub(super) fn start(config: &Config, variant: &Variant, home: &Path) -> Result<Server, String> {
        let report = home.join("report.json");
        let _ = fs::remove_file(&report);
        let scheme = config.asked.service.as_str();
        let mut command = Command::new(&config.server);
        command.args(["--listen", &format!("{scheme}://127.0.0.1:0"), "--report"]).arg(&report);
        command.args(&variant.flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Process::start(&mut command, &config.cores_server);
        let mut process = started.map_err(|why| format!("{}: {why}", config.server.display()))?;
        let addresses = addresses(process.stdout().expect("it was piped"), format!("{scheme}://"));
        let complaints = complaints(process.stderr().expect("it was piped"));
        match addresses.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Server { process, address, report }),
            Err(_) => {
                let ended = process.end(Duration::ZERO).map_err(|why| why.to_string())?;
                let line = complaints.recv_timeout(PATIENCE).ok();
                let code = ended.code.map_or("a signal ended it".into(), |code| format!("exit code {code}"));
                Err(line.unwrap_or_else(|| format!("it did not say where it listens ({code})")))
            }
        }
    }

    /// Asks it to end and waits. Errors: it could not be waited for, or did not end by itself as it should.
    pub(super) fn end(mut self) -> Result<Left, String> {
        let ended = self.process.end(PATIENCE).map_err(|why| why.to_string())?;
        if ended.code != Some(0) {
            let how =
                ended.code.map_or("was ended by a signal".into(), |code| format!("ended with code {code}"));
            return Err(format!("the server {how}"));
        }
        let text = fs::read_to_string(&self.report).unwrap_or_default();
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        // An engine that counts no waits (glommio tells nobody of its own) does not count its other calls either.
        let enters = report["totals"]["enters"].as_u64().filter(|count| *count > 0);
        let calls = enters.and_then(|_| report["totals"]["calls"].as_u64());
        Ok(Left { ended, enters, calls })
    }
}

/// The address behind the first word that begins with `scheme`; no other comes. Closed without one where nothing more is said.
fn addresses(out: impl Read + Send + 'static, scheme: String) -> Receiver<SocketAddr> {
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut out = BufReader::new(out);
        let mut line = String::new();
        while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if let Some(address) = line.split_whitespace().find_map(|word| address(word, &scheme)) {
                let _ = tell.send(address);
                break;
            }
            line.clear();
        }
        drop(tell);
        let _ = io::copy(&mut out, &mut io::sink());
    });
    told
}

fn address(word: &str, scheme: &str) -> Option<SocketAddr> {
    word.strip_prefix(scheme)?.split(['/', '?']).next()?.parse().ok()
}

/// The first line, without the program's name before it. Closed without one where nothing is said.
fn complaints(err: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut err = BufReader::new(err.take(SAID_MAX));
        let mut line = String::new();
        if err.read_line(&mut line).is_ok() && !line.trim().is_empty() {
            let line = line.trim();
            let _ = tell.send(line.strip_prefix("ringmill: ").unwrap_or(line).to_owned());
        }
        drop(tell);
        let _ = io::copy(&mut err.into_inner().into_inner(), &mut io::sink());
    });
    told
}

/// How long a server may take to say where it listens, and to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a line at most.
const SAID_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_scheme_whatever_else_is_said() {
        let table = "ringmill 0.1.0 serves\nhttp://127.0.0.1:80  /  /ping\necho://127.0.0.1:7007   sends back\nCtrl-C\n";
        let told = |scheme: &str| addresses(table.as_bytes(), scheme.to_owned()).recv().ok();
        assert_eq!(told("echo://"), Some(([127, 0, 0, 1], 7007).into()));
        assert_eq!(told("http://"), Some(([127, 0, 0, 1], 80).into()));
        assert_eq!(told("udp-echo://"), None);
    }

    #[test]
    fn what_a_server_complains_of_is_its_first_line() {
        let told = |text: &'static str| complaints(text.as_bytes()).recv().ok();
        assert_eq!(told("ringmill: no ring.\n          Try x.\n").as_deref(), Some("no ring."));
        assert_eq!(told("error: y").as_deref(), Some("error: y"));
        assert_eq!(told(""), None);
    }
}
