//! The process around a loop: its core, its clock, the signal that ends it, the figures that it leaves behind.

use std::fs;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

/// Makes SIGTERM and SIGINT end the loop: a waiting syscall returns EINTR and `stopped` turns true.
pub fn stop_on_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the action is zeroed (no SA_RESTART, so that waits return) and its handler only stores an atomic.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Whether a signal asked the loop to end.
pub fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Binds the calling thread to one core.
pub fn pin(core: usize) -> io::Result<()> {
    pin_to(&[core])
}

/// Binds the calling thread to some cores. Allocates nothing, so that it may stand between fork and exec.
pub fn pin_to(cores: &[usize]) -> io::Result<()> {
    // SAFETY: `set` is a plain bit set that outlives the call; pid 0 is the calling thread.
    let failed = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        cores.iter().for_each(|core| libc::CPU_SET(*core, &mut set));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts the calling process before all that is not realtime, whatever group they are in (nice values only count within one).
pub fn run_first() -> io::Result<()> {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: `first` outlives the call; id 0 is the calling process.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &first) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the process open as many descriptors as its hard limit allows; gives that number.
pub fn raise_nofile() -> u64 {
    // SAFETY: `limit` is valid for both calls.
    unsafe {
        let mut limit: libc::rlimit = mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur
    }
}

/// Nanoseconds of the monotonic clock.
pub fn now_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// CPU nanoseconds that the calling thread has used.
pub fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU nanoseconds that all threads of `pid` have used, exact to the moment even while they run
/// (clock_getcpuclockid(3)); `/proc/PID/schedstat` lags by up to a tick.
pub fn process_cpu_ns(pid: u32) -> u64 {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` is valid for the call.
    if unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) } != 0 {
        return 0;
    }
    clock_ns(clock)
}

/// CPU nanoseconds of all children that have ended and were waited for (getrusage(2)).
pub fn children_cpu_ns() -> u64 {
    // SAFETY: `usage` is valid for the call and all zeros is a value of it.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}

/// Nanoseconds in which the cores that are measured on, 0 and 1, were busy or stolen since boot, in steps of 10 ms (proc_stat(5)).
pub fn machine_busy_ns() -> u64 {
    const TICK_NS: u64 = 10_000_000;
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let busy = |line: &str| {
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guest time is inside user time.
        let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else { return 0 };
        user + nice + system + irq + softirq + steal
    };
    let ours = |line: &&str| line.starts_with("cpu0 ") || line.starts_with("cpu1 ");
    stat.lines().filter(ours).map(busy).sum::<u64>() * TICK_NS
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the call.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Figures that a server writes when it ends, in the shape of Ringmill's report: `{"totals":{name:count}}`.
pub fn write_report(path: Option<&str>, totals: &[(&str, u64)]) {
    let Some(path) = path else { return };
    let map: serde_json::Map<_, _> =
        totals.iter().map(|(name, count)| (name.to_string(), (*count).into())).collect();
    if let Err(error) = fs::write(path, serde_json::json!({ "totals": map }).to_string()) {
        eprintln!("report not written: {error}");
    }
}
