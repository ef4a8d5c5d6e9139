//! Other people's load generators: their command line, and the percentiles that they print.

use std::process::Command;

use linux::console::Failure;

/// What a tool is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) url: &'a str,
    pub(super) rate_per_s: u64,
    pub(super) duration_s: u64,
    pub(super) connections: u32,
}

/// The command line that a preset's name, or a template, stands for.
pub(super) fn command(tool: &str, ask: Ask<'_>) -> String {
    let template = match tool {
        "wrk" => "wrk -t1 -c{connections} -d{duration}s --timeout 10s --latency {url}",
        "hey" => "hey -z {duration}s -c {connections} -q {rate_each} {url}",
        "h2load" => "h2load --h1 -c {connections} -D {duration} --rps {rate_each} {url}",
        other => other,
    };
    let each = (ask.rate_per_s / u64::from(ask.connections)).max(1);
    template
        .replace("{url}", ask.url)
        .replace("{rate}", &ask.rate_per_s.to_string())
        .replace("{rate_each}", &each.to_string())
        .replace("{duration}", &ask.duration_s.to_string())
        .replace("{connections}", &ask.connections.to_string())
}

/// Runs it in a shell and returns what it printed. Errors: it is not there, or failed.
pub(super) fn run(command: &str) -> Result<String, Failure> {
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .map_err(|why| Failure::runtime(format!("sh: {why}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let what = format!("`{command}` failed: {}", said.lines().last().unwrap_or("it says nothing"));
        return Err(Failure::usage(what).cure("a `--tool` that is installed, or another command line"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A percentile that a tool printed, 0 to 100, and its nanoseconds.
pub(super) type Printed = (f64, u64);

/// The percentiles of `wrk --latency`, hey, oha and vegeta; empty when none is recognised.
pub(super) fn percentiles(text: &str) -> Vec<Printed> {
    text.lines()
        .flat_map(|line| vegeta(line).unwrap_or_else(|| percent(line).into_iter().collect()))
        .collect()
}

/// `99%  1.40s` of wrk, `99% in 0.0012 secs` of hey, `99.00% in 0.0012 sec` of oha.
fn percent(line: &str) -> Option<Printed> {
    let mut words = line.split_whitespace();
    let percent = words.next()?.trim_end_matches('%');
    let percent = line.trim_start().starts_with(&format!("{percent}%")).then_some(percent)?.parse().ok()?;
    let word = words.next().filter(|word| *word != "in" && *word != "in:").or_else(|| words.next())?;
    let unit = words.next().unwrap_or("");
    Some((percent, time(&format!("{word}{}", unit.replace("secs", "s").replace("sec", "s")))?))
}

/// `Latencies     [min, mean, 50, 90, 95, 99, max]  1ms, ...`.
fn vegeta(line: &str) -> Option<Vec<Printed>> {
    let (names, values) = line.strip_prefix("Latencies")?.trim_start().strip_prefix('[')?.split_once(']')?;
    let pairs = names.split(',').zip(values.split(','));
    Some(pairs.filter_map(|(name, value)| Some((name.trim().parse().ok()?, time(value.trim())?))).collect())
}

/// `1.40s`, `12.3ms`, `45us`.
fn time(word: &str) -> Option<u64> {
    let units = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("m", 60e9), ("s", 1e9)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((word.strip_suffix(unit)?, *factor)))?;
    Some((number.parse::<f64>().ok()? * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_as_each_tool_prints_them() {
        let check = |text: &str, expected: &[Printed]| assert_eq!(percentiles(text), expected, "{text}");
        check(
            "  Latency Distribution\n     50%   61.00us\n     99%    1.40s\n",
            &[(50.0, 61_000), (99.0, 1_400_000_000)],
        );
        check("  10% in 0.0001 secs\n  99% in 0.0500 secs\n", &[(10.0, 100_000), (99.0, 50_000_000)]);
        check("  99.90% in 0.0020 sec\n", &[(99.9, 2_000_000)]);
        check(
            "Latencies     [min, mean, 50, 90, 95, 99, max]  1ms, 2ms, 3ms, 4ms, 5ms, 6ms, 7s\n",
            &[(50.0, 3_000_000), (90.0, 4_000_000), (95.0, 5_000_000), (99.0, 6_000_000)],
        );
        check("Requests/sec: 170000\n  12345 requests in 10.00s\n", &[]);
    }

    #[test]
    fn a_preset_and_a_template_are_filled_in() {
        let ask = Ask { url: "http://x/", rate_per_s: 10_000, duration_s: 5, connections: 100 };
        assert_eq!(command("hey", ask), "hey -z 5s -c 100 -q 100 http://x/");
        assert_eq!(command("a {rate} {url}", ask), "a 10000 http://x/");
    }
}
