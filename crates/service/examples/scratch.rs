use service::load::*;
use shard::plan::*;
use stats::interval::Interval;
use stats::schedule::*;
use std::sync::{Arc, mpsc};
use std::time::Duration;
struct S(mpsc::Sender<Option<Box<Interval>>>);
impl Sink for S {
    fn ready(&mut self, o: u32, f: u32) {
        eprintln!("ready {o} {f}");
        let _ = self.0.send(None);
    }
    fn step(&mut self, s: &mut Box<Interval>) {
        let f = std::mem::take(s);
        let _ = self.0.send(Some(f));
    }
    fn over(&mut self, g: Vec<Gap>) {
        eprintln!("over {} gaps", g.len());
        let _ = self.0.send(None);
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let target = a[1].parse().unwrap();
    let conns: u32 = a[3].parse().unwrap();
    let pipeline: u16 = a[4].parse().unwrap();
    let rate: f64 = a[5].parse().unwrap();
    let secs: u64 = a[6].parse().unwrap();
    let verify = a.get(7).is_none_or(|v| v != "no");
    let talk = match a[2].as_str() {
        "http" => Talk::Http(http::Request::new("GET", "x", "/ping", &[], b"").unwrap()),
        "udp" => Talk::UdpEcho { bytes: 64 },
        n => Talk::Echo { bytes: n.parse().unwrap() },
    };
    let pace = if rate == 0.0 {
        Pace::Closed
    } else {
        Pace::Open(Arrivals::steady(Law::Poisson, rate, (secs + 1) * 1_000_000_000, 1))
    };
    let open = rate > 0.0;
    let c = Config {
        target,
        talk,
        from: vec![],
        seats: 1,
        connections: conns,
        pipeline,
        pace,
        warmup: Duration::from_secs(1),
        duration: Duration::from_secs(secs),
        late: Late::Queue,
        waiting_max: 1 << 20,
        timeout: Duration::from_secs(5),
        life: Life::Keep,
        close: CloseBy::Fin,
        ramp_per_s: None,
        verify,
        seed: 1,
    };
    let c = Arc::new(c);
    let gate = Arc::new(Gate::default());
    let plan = Plan {
        cores: vec![Some(1)],
        listeners: listeners(&c),
        stamps: open || a.get(8).is_some(),
        turn_sends: if open { 16 } else { u32::MAX },
        wake: if open { Wake::Hybrid } else { Wake::Sleep },
        out_max: out_max(&c),
        ..Plan::default()
    };
    let (tx, rx) = mpsc::channel();
    let tx = std::sync::Mutex::new(tx);
    let (c2, g2) = (c.clone(), gate.clone());
    let control = Control::default();
    let running = shard::engine::uring::start(plan, control.clone(), move |seat, _| {
        Load::new(c2.clone(), g2.clone(), seat, Box::new(S(tx.lock().unwrap().clone())))
    })
    .unwrap();
    rx.recv().unwrap();
    gate.open(linux::clock::Clock::now_ns() + 5_000_000);
    std::thread::sleep(Duration::from_millis(1005));
    let b0 = running.board().total();
    let mut total = Interval::new();
    while let Ok(Some(i)) = rx.recv() {
        total.join(&i);
    }
    let b1 = running.board().total();
    control.drain();
    running.join();
    let n = total.counts.answered;
    for (name, h) in [
        ("response", &total.response),
        ("service", &total.service),
        ("lag", &total.send_lag),
        ("first", &total.first_byte),
        ("connect", &total.connect),
    ] {
        println!(
            "{name:9} n {} p50 {} p99 {} p999 {} max {}",
            h.len(),
            h.value_at_quantile(0.5),
            h.value_at_quantile(0.99),
            h.value_at_quantile(0.999),
            h.max()
        );
    }
    println!("{:?}", total.counts);
    println!(
        "rate {:.0}/s cpu/req {:.0} ns spun {:.0}ms enters/req {:.3}",
        n as f64 / secs as f64,
        (b1.busy_ns - b0.busy_ns - (b1.spun_ns - b0.spun_ns)) as f64 / n as f64,
        (b1.spun_ns - b0.spun_ns) as f64 / 1e6,
        (b1.enters - b0.enters) as f64 / n as f64
    );
}
