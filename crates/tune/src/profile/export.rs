//! A profile for other programs: as a file of sysctl.d(5), and as a TuneD profile.
//!
//! Only sysctls are in force there; the rest stands in it as comments. A comment begins each line that has a text of the profile in
//! it, and no text has a line end: see [`Profile::read`](super::Profile::read). Values are made by [`Value`](crate::Value) of the
//! catalogue's kinds, so none begins a section, a variable (`${..}`) or a call (`${f:exec:..}`) of TuneD's.

use std::fmt::Write;

use super::{Profile, Setting};

impl Profile {
    /// As a file of sysctl.d(5).
    pub fn sysctl_d(&self) -> String {
        let head = format!("# {}: {}\n", self.name, self.what);
        head + &self.lines(" = ")
    }

    /// As the `tuned.conf` of a TuneD profile. What the profile is for is a comment too, and not TuneD's `summary`: that one is
    /// expanded, and so may run a program.
    pub fn tuned(&self) -> String {
        let head =
            format!("# {}: {}\n[main]\nsummary=Exported by ringmill-lab\n\n[sysctl]\n", self.name, self.what);
        head + &self.lines("=")
    }

    /// A line for each setting, each with its reason before it.
    fn lines(&self, equals: &str) -> String {
        let mut text = String::new();
        for setting in &self.settings {
            let Setting { knob, value, why, .. } = setting;
            if !why.is_empty() {
                write!(text, "\n# {why}\n").expect("writing to a String cannot fail");
            }
            // A boot begins with the kernel's own value. Neither format can say `at least`, and one that is not known may be more.
            let own = knob.default_value();
            let may_lower = setting.at_least && own.is_none_or(|own| setting.is_exceeded_by(&own));
            let mark = match knob.path.starts_with("proc/sys/") && knob.is_writable() {
                false => "# not a sysctl of this kernel: ",
                true if may_lower => "# only where the host has less: ",
                true => "",
            };
            writeln!(text, "{mark}{}{equals}{value}", setting.name())
                .expect("writing to a String cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::{Profile, sysctl_d, tuned};

    const MIXED: &str = "what = 'For ${f:exec:reboot} [sysctl]'\n\
        [[set]]\nknob = 'net.ipv4.tcp_rmem'\nvalue = '4096\t131072 6291456'\nwhy = 'Why; not'\nsource = ''\nevidence = ''\n\
        [[set]]\nknob = 'device.gro_flush_timeout@eth0'\nvalue = 20000\nwhy = ''\nsource = ''\nevidence = ''\n\
        [[set]]\nknob = 'net.ipv4.tcp_tw_recycle'\nvalue = 0\nwhy = ''\nsource = ''\nevidence = ''\n\
        [[set]]\nknob = 'net.ipv4.tcp_max_orphans'\nvalue = 262144\nat_least = true\nwhy = 'Many'\nsource = ''\nevidence = ''\n";

    #[test]
    fn a_file_of_sysctl_d_has_the_sysctls_and_the_rest_as_comments() {
        let expected = "\
# mixed: For ${f:exec:reboot} [sysctl]

# Why; not
net.ipv4.tcp_rmem = 4096 131072 6291456
# not a sysctl of this kernel: device.gro_flush_timeout@eth0 = 20000
# not a sysctl of this kernel: net.ipv4.tcp_tw_recycle = 0

# Many
# only where the host has less: net.ipv4.tcp_max_orphans = 262144
";
        assert_eq!(Profile::read("mixed", MIXED).expect("a profile").sysctl_d(), expected);
    }

    #[test]
    fn a_tuned_profile_has_them_in_its_section_and_no_text_outside_of_a_comment() {
        let expected = "\
# mixed: For ${f:exec:reboot} [sysctl]
[main]
summary=Exported by ringmill-lab

[sysctl]

# Why; not
net.ipv4.tcp_rmem=4096 131072 6291456
# not a sysctl of this kernel: device.gro_flush_timeout@eth0=20000
# not a sysctl of this kernel: net.ipv4.tcp_tw_recycle=0

# Many
# only where the host has less: net.ipv4.tcp_max_orphans=262144
";
        assert_eq!(Profile::read("mixed", MIXED).expect("a profile").tuned(), expected);
    }

    #[test]
    fn what_tuned_would_expand_or_run_is_in_no_value() {
        for value in ["${f:exec:reboot}", "$x", "[script]", "a#b", ">4096", "a\\n[script]"] {
            let text = format!(
                "what = ''\n[[set]]\nknob = 'net.ipv4.tcp_congestion_control'\nvalue = \"{value}\"\nwhy = ''\nsource = ''\nevidence = ''\n"
            );
            let profile = Profile::read("evil", &text).expect("a profile");
            let lines = profile.tuned();
            assert!(!lines.contains("tcp_congestion_control"), "{value}: {lines}");
            assert_eq!(profile.dropped.len(), 1, "{value}");
        }
    }

    #[test]
    fn an_exported_profile_is_imported_as_itself() {
        for name in ["edge", "throughput"] {
            let profile = Profile::find(name).expect("it is there");
            let pairs = |profile: &Profile| -> Vec<_> {
                let sysctls =
                    profile.settings.iter().filter(|setting| setting.knob.path.starts_with("proc/sys/"));
                sysctls.map(|setting| (setting.name(), setting.value.clone())).collect()
            };
            for again in [sysctl_d("again", &profile.sysctl_d()), tuned("again", &profile.tuned())] {
                assert_eq!((pairs(&again), &again.dropped), (pairs(&profile), &Vec::new()), "{name}");
            }
            assert!(!pairs(&profile).is_empty());
        }
    }
}
