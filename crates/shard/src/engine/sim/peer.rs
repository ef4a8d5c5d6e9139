//! Fake peers: the clients that connect to a simulated seat, and the servers that its services connect to.
//!
//! A peer is a small state machine of its own. It wishes through its [`Line`]; the crowd carries that out on its socket.

use super::net::{Event, Net, SocketId, append};
use super::trace::Who;
use crate::random::Random;
use crate::service::LegError;
use std::collections::VecDeque;
use std::time::Duration;

/// The other end of a connection.
pub trait Peer {
    /// The connection stands.
    fn on_connect(&mut self, line: &mut Line<'_>);
    /// Bytes came, never none; where they are cut means nothing.
    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>);
    /// The service finished sending. Left alone, the peer finishes too once all it wished to send is sent.
    fn on_eof(&mut self, line: &mut Line<'_>) {
        line.finish();
    }
    /// The connection was refused or reset. Nothing comes after it.
    fn on_failed(&mut self, _why: LegError) {}
    /// What [`Line::wait`] asked for.
    fn on_timer(&mut self, _line: &mut Line<'_>) {}
    /// Asked when the run is over: was it served as it should be? `harmed` says that the simulation itself broke the
    /// connection or drained the seat before its end, so that only a beginning can be expected.
    fn verdict(&self, _harmed: bool) -> Result<(), String> {
        Ok(())
    }
}

/// What a peer may do during one of its calls.
pub struct Line<'a> {
    now_ns: u64,
    random: &'a mut Random,
    wishes: Vec<Wish>,
}

enum Wish {
    Send(Vec<u8>),
    Finish,
    Close,
    Reset,
    Read(bool),
    Wait(Duration),
}

impl Line<'_> {
    /// Nanoseconds since the run began.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// A number of the seed.
    pub fn random(&mut self) -> &mut Random {
        self.random
    }

    /// Sends as fast as the network and the service take it.
    pub fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        self.wishes.push(Wish::Send(bytes.into()));
    }

    /// Sends FIN behind what is still to be sent, and goes on reading.
    pub fn finish(&mut self) {
        self.wishes.push(Wish::Finish);
    }

    /// Goes away at once: what was not sent never is, what was not read turns it into a reset.
    pub fn close(&mut self) {
        self.wishes.push(Wish::Close);
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        self.wishes.push(Wish::Reset);
    }

    /// Reads, or stops doing so: the window closes.
    pub fn read(&mut self, on: bool) {
        self.wishes.push(Wish::Read(on));
    }

    /// Calls [`Peer::on_timer`] after this long. One at a time.
    pub fn wait(&mut self, after: Duration) {
        self.wishes.push(Wish::Wait(after));
    }
}

/// All peers of a run.
#[derive(Default)]
pub(super) struct Crowd {
    members: Vec<Member>,
    /// Clients that are not over yet.
    pub(super) waiting: usize,
}

struct Member {
    peer: Option<Box<dyn Peer>>,
    socket: Option<SocketId>,
    client: bool,
    /// Wished to be sent, not taken by the network yet.
    out: VecDeque<u8>,
    reading: bool,
    /// A look at the socket is due.
    looking: bool,
    finishing: bool,
    eof_told: bool,
    over: bool,
}

impl Crowd {
    pub(super) fn add(&mut self, peer: Box<dyn Peer>, client: bool) -> u32 {
        self.waiting += usize::from(client);
        self.members.push(Member {
            peer: Some(peer),
            socket: None,
            client,
            out: VecDeque::new(),
            reading: true,
            looking: false,
            finishing: false,
            eof_told: false,
            over: false,
        });
        self.members.len() as u32 - 1
    }

    /// Gives a peer its socket.
    pub(super) fn seat_at(&mut self, index: u32, socket: SocketId) {
        self.member(index).socket = Some(socket);
    }

    pub(super) fn connected(&mut self, index: u32, net: &mut Net) {
        net.note(Who::Peer(index), "connected", 0);
        self.call(index, net, |peer, line| peer.on_connect(line));
    }

    pub(super) fn failed(&mut self, index: u32, why: LegError, net: &mut Net) {
        net.note(Who::Peer(index), if why == LegError::Reset { "was reset" } else { "was refused" }, 0);
        let member = self.member(index);
        if !member.over
            && let Some(peer) = &mut member.peer
        {
            peer.on_failed(why);
        }
        self.over(index);
    }

    pub(super) fn timer(&mut self, index: u32, net: &mut Net) {
        self.call(index, net, |peer, line| peer.on_timer(line));
    }

    /// Something can be read: the peer looks now, or when it is slow later.
    pub(super) fn readable(&mut self, index: u32, net: &mut Net) {
        let member = self.member(index);
        if member.over || !member.reading || std::mem::replace(&mut member.looking, true) {
            return;
        }
        let slow = net.fault(net.faults.slow_reader);
        let after = if slow { net.random.below(10_000_000) } else { net.random.below(5_000) };
        net.after(after, Event::Read(index));
    }

    pub(super) fn look(&mut self, index: u32, net: &mut Net) {
        let member = self.member(index);
        member.looking = false;
        let Some(socket) = member.socket.filter(|_| !member.over && member.reading) else { return };
        let slow = net.fault(net.faults.slow_reader);
        let most = if slow { 1 + net.random.below(2000) as usize } else { usize::MAX };
        let bytes = net.read(socket, most);
        if !bytes.is_empty() {
            net.note(Who::Peer(index), "read", bytes.len() as u64);
            self.call(index, net, |peer, line| peer.on_bytes(&bytes, line));
        }
        let state = net.socket(socket);
        if state.reset || state.closed {
            return;
        }
        if !state.received.is_empty() {
            return self.readable(index, net);
        }
        let eof = state.fin_got;
        let member = self.member(index);
        if eof && member.reading && !std::mem::replace(&mut member.eof_told, true) {
            net.note(Who::Peer(index), "saw the end", 0);
            self.call(index, net, |peer, line| peer.on_eof(line));
        }
    }

    /// Sends what is still to be sent, as far as there is room.
    pub(super) fn pour(&mut self, index: u32, net: &mut Net) {
        let member = self.member(index);
        let Some(socket) = member.socket.filter(|_| !member.over) else { return };
        if net.socket(socket).fin_sent {
            return self.leave_if_done(index, net);
        }
        if !member.out.is_empty() {
            let Ok(sent) = net.send(socket, member.out.make_contiguous()) else { return };
            if sent == member.out.len() {
                // A member with nothing to send has no memory for it.
                member.out = VecDeque::new();
            } else {
                member.out.drain(..sent);
            }
            net.note(Who::Peer(index), "sent", sent as u64);
        }
        if member.finishing && member.out.is_empty() {
            net.note(Who::Peer(index), "finished", 0);
            net.finish(socket);
        }
        self.leave_if_done(index, net);
    }

    pub(super) fn verdicts(&self, net: &Net) -> Vec<String> {
        let verdict = |(index, member): (usize, &Member)| {
            let harmed = member.socket.is_none_or(|socket| net.socket(socket).harmed);
            let peer = member.peer.as_ref().expect("no peer is in a call when a run is over");
            peer.verdict(harmed).err().map(|why| format!("peer {index}: {why}"))
        };
        self.members.iter().enumerate().filter_map(verdict).collect()
    }

    fn call(&mut self, index: u32, net: &mut Net, call: impl FnOnce(&mut dyn Peer, &mut Line<'_>)) {
        let member = self.member(index);
        if member.over {
            return;
        }
        let mut peer = member.peer.take().expect("a peer is called from one place");
        let mut line = Line { now_ns: net.now, random: &mut net.random, wishes: Vec::new() };
        call(&mut *peer, &mut line);
        let wishes = line.wishes;
        self.member(index).peer = Some(peer);
        for wish in wishes {
            self.grant(index, wish, net);
        }
        self.pour(index, net);
    }

    fn grant(&mut self, index: u32, wish: Wish, net: &mut Net) {
        let member = self.member(index);
        if member.over {
            return;
        }
        match wish {
            Wish::Send(bytes) => append(&mut member.out, bytes),
            Wish::Finish => member.finishing = true,
            Wish::Read(on) => {
                member.reading = on;
                if on {
                    self.readable(index, net);
                }
            }
            Wish::Wait(after) => net.after(after.as_nanos() as u64, Event::PeerTimer(index)),
            Wish::Close | Wish::Reset => {
                let abort = matches!(wish, Wish::Reset);
                net.note(Who::Peer(index), if abort { "resets" } else { "closes" }, 0);
                if let Some(socket) = self.member(index).socket {
                    net.close(socket, abort);
                }
                self.over(index);
            }
        }
    }

    fn leave_if_done(&mut self, index: u32, net: &mut Net) {
        let member = self.member(index);
        let Some(socket) = member.socket.filter(|_| member.eof_told) else { return };
        if net.socket(socket).fin_sent {
            net.close(socket, false);
            self.over(index);
        }
    }

    fn over(&mut self, index: u32) {
        let member = self.member(index);
        if !std::mem::replace(&mut member.over, true) && member.client {
            self.waiting -= 1;
        }
    }

    fn member(&mut self, index: u32) -> &mut Member {
        &mut self.members[index as usize]
    }
}
