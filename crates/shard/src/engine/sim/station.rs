//! Fake peers that send and hear datagrams: each has an address, and what goes there comes to it.
//!
//! Datagrams either way are lost, doubled and delayed past each other as the faults say, each by itself.

use super::net::{Event, Net};
use crate::random::Random;
use crate::service::ListenerId;
use std::net::SocketAddr;
use std::time::Duration;

/// The other end of a datagram listener.
pub trait Station {
    /// It begins.
    fn on_begin(&mut self, post: &mut Post<'_>);
    /// A datagram came from the listener.
    fn on_datagram(&mut self, bytes: &[u8], post: &mut Post<'_>);
    /// What [`Post::wait`] asked for.
    fn on_timer(&mut self, post: &mut Post<'_>);
    /// Asked when the run is over. `harmed` says that the seats were drained before this station was done.
    fn verdict(&self, harmed: bool) -> Result<(), String>;
}

/// What a station may do during one of its calls.
pub struct Post<'a> {
    now_ns: u64,
    random: &'a mut Random,
    out: Vec<Vec<u8>>,
    wait: Option<Duration>,
    over: bool,
}

impl Post<'_> {
    /// Nanoseconds since the run began.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// A number of the seed.
    pub fn random(&mut self) -> &mut Random {
        self.random
    }

    /// Sends a datagram to the listener.
    pub fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        self.out.push(bytes.into());
    }

    /// Calls [`Station::on_timer`] after this long, instead of what was asked before.
    pub fn wait(&mut self, after: Duration) {
        self.wait = Some(after);
    }

    /// It is done: nothing is told it any more.
    pub fn end(&mut self) {
        self.over = true;
    }
}

/// One of a run.
pub(super) struct Member {
    station: Option<Box<dyn Station>>,
    pub(super) listener: ListenerId,
    pub(super) address: SocketAddr,
    /// Only the timer that was wished for last counts.
    timer: u64,
    pub(super) over: bool,
    pub(super) harmed: bool,
}

impl Member {
    pub(super) fn new(station: Box<dyn Station>, listener: ListenerId, address: SocketAddr) -> Member {
        Member { station: Some(station), listener, address, timer: 0, over: false, harmed: false }
    }

    pub(super) fn begin(&mut self, index: u32, net: &mut Net) {
        self.call(index, net, |station, post| station.on_begin(post));
    }

    pub(super) fn hear(&mut self, index: u32, bytes: &[u8], net: &mut Net) {
        self.call(index, net, |station, post| station.on_datagram(bytes, post));
    }

    pub(super) fn timer(&mut self, index: u32, timer: u64, net: &mut Net) {
        if timer == self.timer {
            self.call(index, net, |station, post| station.on_timer(post));
        }
    }

    pub(super) fn verdict(&self) -> Result<(), String> {
        self.station.as_ref().map_or(Ok(()), |station| station.verdict(self.harmed))
    }

    fn call(&mut self, index: u32, net: &mut Net, call: impl FnOnce(&mut dyn Station, &mut Post<'_>)) {
        if self.over {
            return;
        }
        let mut station = self.station.take().expect("a station is called from one place");
        let mut post =
            Post { now_ns: net.now, random: &mut net.random, out: Vec::new(), wait: None, over: false };
        call(&mut *station, &mut post);
        let Post { out, wait, over, .. } = post;
        self.station = Some(station);
        self.over = over;
        for bytes in out {
            net.datagram(bytes, |bytes| Event::ToListener(index, bytes));
        }
        if let Some(after) = wait {
            self.timer += 1;
            net.after(after.as_nanos() as u64, Event::StationTimer(index, self.timer));
        }
    }
}
