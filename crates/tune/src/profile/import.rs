//! Profiles that others wrote: files of sysctl.d(5) and the `[sysctl]` section of TuneD profiles.
//!
//! Takes what the catalogue knows and lists the rest. It expands no variable, no glob and no include: a value that needs one is
//! no value.

use super::{Profile, Setting};

/// A file of sysctl.d.
pub fn sysctl_d(name: &str, text: &str) -> Profile {
    let mut profile = of(name, "Imported from sysctl.d");
    for line in lines(text) {
        // A minus in front: the setting may fail.
        let line = line.strip_prefix('-').unwrap_or(line);
        take(&mut profile, line);
    }
    profile
}

/// A TuneD profile: its `[sysctl]` section. What other sections want is not taken, and said.
pub fn tuned(name: &str, text: &str) -> Profile {
    let mut profile = of(name, "Imported from TuneD");
    let mut section = "";
    for line in lines(text) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').trim();
            if !["sysctl", "main"].contains(&section) {
                profile.drop(&format!("[{section}]"), "", &"only [sysctl] is taken of a TuneD profile");
            }
        } else if section == "sysctl" {
            // A comment may stand behind a value too, and no value has a `#`.
            take(&mut profile, line.split(" #").next().unwrap_or(line));
        } else if section == "main" && line.starts_with("include") {
            profile.drop("include", line, &"what it includes is not read");
        }
    }
    profile
}

fn of(name: &str, what: &str) -> Profile {
    Profile { name: name.into(), what: what.into(), ..Profile::default() }
}

/// Lines without what stands around them, and without comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

fn take(profile: &mut Profile, line: &str) {
    let Some((name, value)) = line.split_once('=') else {
        return profile.drop(line, "", &"it has no `=`");
    };
    let (name, value) = (name.trim(), value.trim().trim_matches('"'));
    match Setting::of(name, value) {
        Ok(setting) => profile.put(setting),
        Err(error) => profile.drop(name, value, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(profile: &Profile) -> Vec<String> {
        profile.settings.iter().map(|s| format!("{}={}", s.name(), s.value)).collect()
    }

    fn dropped(profile: &Profile) -> Vec<&str> {
        profile.dropped.iter().map(|dropped| dropped.name.as_str()).collect()
    }

    #[test]
    fn a_file_of_sysctl_d_is_read_as_sysctl_reads_it() {
        let text = "# why\n; too\n\n net/core/somaxconn = 512 \n-net.ipv4.tcp_sack=1\n\
                    net.ipv4.tcp_rmem = 4096\t131072  6291456\nnet.ipv4.conf.*.rp_filter = 2\nvm.swappiness\n\
                    net.core.somaxconn = 1024\n";
        let profile = sysctl_d("x", text);
        assert_eq!(
            settings(&profile),
            ["net.ipv4.tcp_sack=1", "net.ipv4.tcp_rmem=4096 131072 6291456", "net.core.somaxconn=1024",]
        );
        assert_eq!(dropped(&profile), ["net.ipv4.conf.*.rp_filter", "vm.swappiness"]);
    }

    #[test]
    fn of_a_tuned_profile_only_the_sysctl_section_is_taken_and_the_rest_is_said() {
        let text = "[main]\nsummary=x\ninclude=throughput-performance\n[cpu]\ngovernor=performance\n\
                    [sysctl]\nnet.ipv4.tcp_fastopen=3 # both ways\nvm.swappiness=${low}\nnet.core.somaxconn=>2048\n\
                    net.ipv4.tcp_rmem=\"4096 131072 16777216\"\n[script]\nscript=x.sh\n";
        let profile = tuned("x", text);
        assert_eq!(settings(&profile), ["net.ipv4.tcp_fastopen=3", "net.ipv4.tcp_rmem=4096 131072 16777216"]);
        assert_eq!(
            dropped(&profile),
            ["include", "[cpu]", "vm.swappiness", "net.core.somaxconn", "[script]"]
        );
    }
}
