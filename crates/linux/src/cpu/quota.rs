//! How many cores the cgroup grants: `cpu.max` (version 2) or `cpu.cfs_quota_us` (version 1).
//!
//! A process may see eight cores and be given the time of one and a half: more shards than that only preempt each
//! other. Reads /proc/self/cgroup and the files below /sys/fs/cgroup (cgroups(7), cgroup-v2.rst "CPU Interface Files").

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Cores' worth of CPU time that the process may use: the least limit of its cgroup and of those above it. `None` is
/// no limit.
pub fn quota() -> Option<f64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    quota_under(Path::new("/sys/fs/cgroup"), &membership)
}

/// The same for the cgroup named by `membership` (the text of /proc/self/cgroup), with the hierarchies below `root`.
fn quota_under(root: &Path, membership: &str) -> Option<f64> {
    let lines = membership.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    lines.filter_map(|(controllers, path)| least(root, controllers, path)).reduce(f64::min)
}

/// The least limit on the way from the cgroup `path` up to the top of its hierarchy.
fn least(root: &Path, controllers: &str, path: &str) -> Option<f64> {
    let is_v1 = controllers.split(',').any(|name| name == "cpu");
    if !is_v1 && !controllers.is_empty() {
        return None;
    }
    // Only the ordinary parts: seen from inside a cgroup namespace a path may begin with `/..` (cgroup_namespaces(7)).
    let ordinary = |part: &Component<'_>| matches!(part, Component::Normal(_));
    let inner: PathBuf = Path::new(path).components().filter(ordinary).collect();
    let top = if is_v1 { root.join(controllers) } else { root.to_path_buf() };
    // A container may see its own cgroup as the top while its path still names the outer one: what is missing on the
    // way up is passed over.
    inner.ancestors().filter_map(|level| read(&top.join(level), is_v1)).reduce(f64::min)
}

fn read(cgroup: &Path, is_v1: bool) -> Option<f64> {
    if is_v1 {
        let quota = fs::read_to_string(cgroup.join("cpu.cfs_quota_us")).ok()?;
        let period = fs::read_to_string(cgroup.join("cpu.cfs_period_us")).ok()?;
        cores(&quota, &period)
    } else {
        parse_cpu_max(&fs::read_to_string(cgroup.join("cpu.max")).ok()?)
    }
}

/// `max 100000` is no limit, `150000 100000` is one core and a half.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    cores(quota, period)
}

/// Microseconds of CPU time in each period. Version 1 writes -1 for no limit, version 2 the word `max`.
fn cores(quota: &str, period: &str) -> Option<f64> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok()?;
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own for one test, removed with it.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let root = std::env::temp_dir().join(format!("ringmill-quota-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("a file has a parent")).expect("create a directory");
                fs::write(path, text).expect("write a file");
            }
            Tree(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn cpu_max_is_a_quota_and_a_period() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(parse_cpu_max(text), expected, "{text}");
        check("150000 100000\n", Some(1.5));
        check("50000 100000\n", Some(0.5));
        check("max 100000\n", None);
        check("100000 0\n", None);
        check("0 100000\n", None);
        check("", None);
        check("-1 100000", None);
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts_in_version_2() {
        let tree = Tree::new(
            "v2",
            &[
                ("a/cpu.max", "150000 100000\n"),
                ("a/b/cpu.max", "300000 100000\n"),
                ("a/b/c/cpu.max", "max 100000\n"),
                ("z/cpu.max", "10000 100000\n"),
            ],
        );
        assert_eq!(quota_under(&tree.0, "0::/a/b/c\n"), Some(1.5));
        assert_eq!(quota_under(&tree.0, "0::/a/b/not-mounted\n"), Some(1.5));
        assert_eq!(quota_under(&tree.0, "0::/\n"), None);
        assert_eq!(quota_under(&tree.0, "0::/../../z\n"), Some(0.1));
    }

    #[test]
    fn version_1_reads_the_hierarchy_that_has_the_cpu_controller() {
        let tree = Tree::new(
            "v1",
            &[
                ("cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n"),
                ("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ],
        );
        let membership = "9:name=systemd:/\n4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n";
        assert_eq!(quota_under(&tree.0, membership), Some(2.0));
        assert_eq!(quota_under(&tree.0, "2:cpu,cpuacct:/\n"), None);
    }

    #[test]
    fn a_membership_that_is_not_understood_is_no_limit() {
        assert_eq!(quota_under(Path::new("/nonexistent"), "nonsense\n\n::\n0::/x\n"), None);
    }
}
