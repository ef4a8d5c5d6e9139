//! The machine that figures belong to, without names or paths.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Kernel, processor, memory, compiler and day.
pub fn fingerprint() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_string();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_string())
    };
    let cpus = read("/proc/cpuinfo");
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "cpu": field(&cpus, "model name"),
        "cpu_family": field(&cpus, "cpu family"),
        "cores": cpus.lines().filter(|line| line.starts_with("processor")).count(),
        "virtual": cpus.contains("hypervisor"),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "rustc": version("rustc", &["--version"]),
        "day": day(),
    })
}

/// Versions of the peers, in words: those of the lock file that they were built with, and what the system's say of themselves.
pub fn versions(lock: &str) -> Vec<String> {
    let built = LOCKED.iter().filter_map(|name| {
        let at = lock.find(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", lock[at..].split('"').nth(3)?))
    });
    let package = version(
        "dpkg-query",
        &["--show", "--showformat=fasthttp ${Version}", "golang-github-valyala-fasthttp-dev"],
    );
    let said = [version("nginx", &["-v"]), version("haproxy", &["-v"]), version("go", &["version"]), package];
    built.chain(said.into_iter().filter(|said| !said.is_empty())).collect()
}

/// The packages whose versions matter.
const LOCKED: &[&str] = &[
    "actix-web",
    "axum",
    "compio",
    "glommio",
    "hyper",
    "may",
    "may_minihttp",
    "mimalloc",
    "monoio",
    "ntex",
    "ringline",
    "tokio",
];

/// Day, processors and kernel, as the name of a file: `2026-11-26-2cpu-linux-6.18`.
pub fn short_name() -> String {
    let machine = fingerprint();
    let kernel = machine["kernel"].as_str().unwrap_or_default();
    let version: Vec<&str> = kernel.split('.').take(2).collect();
    format!("{}-{}cpu-linux-{}", day(), machine["cores"], version.join("."))
}

/// Days since the epoch as `YYYY-MM-DD` (the civil calendar, by era of 400 years).
pub fn day() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// What a program says of itself; empty when it is not there.
fn version(program: &str, words: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(words).output() else { return String::new() };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    // The first line; some put their address behind a dash.
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_string();
    line.split(" - ").next().unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_the_package_of_exactly_this_name() {
        let lock = "name = \"hyper-util\"\nversion = \"0.1.0\"\n\nname = \"hyper\"\nversion = \"1.7.0\"\n";
        assert_eq!(versions(lock)[0], "hyper 1.7.0");
    }
}
