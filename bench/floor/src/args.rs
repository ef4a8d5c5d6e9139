//! Flags of the form `--name value` and `--name`. Wrong ones end the program with one line.

use std::str::FromStr;

/// The command line, consumed flag by flag; `finish` refuses what nobody asked for.
pub struct Args(Vec<String>);

impl Args {
    /// The arguments of this process without its name.
    pub fn from_env() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// Takes `--name value` out of the line.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|word| word == name)?;
        if at + 1 == self.0.len() {
            quit(&format!("{name} needs a value"));
        }
        self.0.remove(at);
        Some(self.0.remove(at))
    }

    /// Takes `--name value` out of the line and parses it; `default` when it is absent.
    pub fn parse<T: FromStr>(&mut self, name: &str, default: T) -> T {
        match self.text(name) {
            None => default,
            Some(text) => text.parse().unwrap_or_else(|_| quit(&format!("{name}: cannot read `{text}`"))),
        }
    }

    /// Takes the switch `--name` out of the line.
    pub fn switch(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| word == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    /// Ends the program if a flag was left that nobody took.
    pub fn finish(self) {
        if let Some(word) = self.0.first() {
            quit(&format!("unknown argument `{word}`"));
        }
    }
}

/// One line on stderr, exit code 2.
pub fn quit(line: &str) -> ! {
    let program = std::env::args().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    eprintln!("{name}: {line}");
    std::process::exit(2);
}
