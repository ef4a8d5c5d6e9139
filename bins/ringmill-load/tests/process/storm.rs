//! Frames over datagrams through bad weather, against the server of the library on a thread of the test.

use std::net::SocketAddr;

use serde_json::Value;
use service::any::{Any, Config, Kind};
use service::frame::Offer;
use service::frame::udp::{self, Jar, KEY_BYTES};
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Running, Transport};

use crate::support::{program, said};

fn server() -> Running {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listen =
        Listen { transport: Transport::Udp, address, v6only: false, seat: None, late: false, refusal: None };
    let plan = Plan { listeners: vec![listen], ..Plan::default() };
    let (offer, jar) = (Offer::default(), Jar::new([9; KEY_BYTES]));
    let config = Config::new(vec![Kind::FrameUdp(udp::Config { offer, jar, peers_max: 100 })]);
    uring::start(plan, Control::default(), move |_, _: &_| Any::new(config.clone()))
        .expect("the engine starts")
}

#[test]
fn what_became_of_each_frame_in_bad_weather_is_told_in_words_and_as_json() {
    let server = server();
    let url = format!("frame-udp://{}", server.addresses()[0]);
    let short = ["--rate", "2k", "--duration", "100ms", "--connections", "4", "--seed", "7", "--json", "-"];
    let weather = ["--loss", "4%", "--duplicate", "4%", "--reorder", "4%"];
    // The scheme is the command.
    let output = program().arg(&url).args(short).args(weather).output();
    let (code, out, err) = said(output.expect("the program starts"));
    server.control().drain();
    server.join();
    let result: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{err}"));
    assert_eq!((code, &result["sound"]), (Some(0), &Value::Bool(true)), "{out}{err}");
    assert!(err.contains("verdict       each frame once, or reported"), "{err}");
    let frames = |name: &str| result["frames"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {out}"));
    assert_eq!(frames("sent"), 200, "{out}");
    let ends = ["answered", "given_up", "no_answer", "ended", "silent"];
    assert_eq!(ends.into_iter().map(frames).sum::<u64>(), 200, "{out}");
    assert!(frames("retransmitted") > 0 && result["weather"]["out"]["dropped"].as_u64() > Some(0), "{out}");
    assert_eq!((&result["asked"]["url"], &result["asked"]["loss"]), (&url.into(), &0.04.into()), "{out}");
}
