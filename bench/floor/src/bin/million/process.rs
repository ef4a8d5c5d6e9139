//! A program that is measured: started with its words, ended with the run.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A program and its words, of which none has a space.
pub fn command(program: &str, words: &str) -> Command {
    let mut command = Command::new(program);
    command.args(words.split_whitespace());
    command
}

/// A child that ends with this process's run, whatever becomes of it.
pub struct Process {
    child: Child,
    name: String,
    /// Where its standard error goes.
    log: PathBuf,
}

impl Process {
    pub fn start(mut command: Command, name: &str) -> Result<Process, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let log = std::env::temp_dir().join(format!("million-{name}-{}.log", std::process::id()));
        let to = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
        let child =
            command.spawn().map_err(|error| format!("{program}: {error}; `make million` builds it"))?;
        Ok(Process { child, name: name.into(), log })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> Result<bool, String> {
        let ended = self.child.try_wait().map_err(|error| format!("{}: {error}", self.name))?;
        Ok(ended.is_some())
    }

    /// The last that it said.
    pub fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    pub fn end(&mut self) -> Result<(), String> {
        // SAFETY: a call that touches no memory; the child is ours and was not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        self.child.wait().map(drop).map_err(|error| format!("{}: {error}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = fs::remove_file(&self.log);
    }
}
