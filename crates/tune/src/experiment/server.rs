//! The server of a run: started in the namespace of the calling thread, asked where it listens, and ended with the value.
//!
//! A thread reads what it says, so that a full pipe never holds it.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use linux::process::Process;

use super::place::Place;

/// A server that serves. Dropped, it is killed: what it would still do is nobody's.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) process: Process,
    /// Address and port.
    pub(super) address: String,
}

impl Server {
    /// Starts it. Errors: the line that it said instead of serving, or what kept it from that.
    pub(super) fn start(place: &Place, scheme: &str, flags: &[String]) -> Result<Server, String> {
        let mut command = Command::new(&place.server);
        command.args(["--listen", &format!("{scheme}://127.0.0.1:0")]).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Process::start(&mut command, &place.cores_server);
        let mut process = started.map_err(|why| format!("{}: {why}", place.server.display()))?;
        let address = said(process.stdout().expect("it was piped"), {
            let scheme = format!("{scheme}://");
            move |line: &str| {
                let word = line.split_whitespace().find_map(|word| word.strip_prefix(scheme.as_str()))?;
                word.split(['/', '?']).next().map(str::to_owned)
            }
        });
        let complaint = said(process.stderr().expect("it was piped"), |line| Some(line.trim().to_owned()));
        match address.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Server { process, address }),
            Err(_) => {
                drop(process);
                let line = complaint.recv_timeout(PATIENCE);
                Err(line.unwrap_or_else(|_| "the server did not say where it listens".into()))
            }
        }
    }
}

/// The first thing that `find` finds in a line. Closed without one where nothing more is said.
pub(super) fn said(
    pipe: impl Read + Send + 'static,
    find: impl Fn(&str) -> Option<String> + Send + 'static,
) -> Receiver<String> {
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = String::new();
        while pipe.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if let Some(found) = find(&line) {
                let _ = tell.send(found);
                break;
            }
            line.clear();
        }
        drop(tell);
        let _ = io::copy(&mut pipe, &mut io::sink());
    });
    told
}

/// How long a server may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(10);
