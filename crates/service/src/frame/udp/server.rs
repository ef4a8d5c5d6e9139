//! The datagram listeners of one seat that speak frames: who is known, and what is said to whom.
//!
//! A stranger costs nothing but the time of an answer, which is never longer than what came. What is kept begins with a cookie that
//! came back, and is bounded: [`Config::peers_max`] peers, [`KEPT_BYTES_MAX`](super::KEPT_BYTES_MAX) bytes each, and what [`Room`] gives
//! the host of each. A frame that finds no room is not taken, and not acknowledged: its sender sends it again.

use super::Config;
use super::farewell::Farewell;
use super::link::{Link, Looked, Moment};
use super::press::Press;
use super::room::{Host, Room};
use crate::udp_echo;
use bytes::Bytes;
use linux::Chunk;
use proto::frame::udp::{COOKIE_BYTES, Came, Known, ServerSays, Taken, server as says};
use proto::frame::{
    Ack, Agreed, Error, Flags, Goaway, Header, Heard, Hello, Kind, Over, Ping, Refusal, Rules, datagram, read,
};
use shard::{Io, Leg, ListenerId, Packet, Service, Tick, Token};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// What one seat serves over datagrams.
#[derive(Debug, Default)]
pub struct Server {
    peers: HashMap<Key, Box<Peer>, Hasher>,
    alarms: HashMap<Token, Key, Hasher>,
    press: Press,
    room: Room,
    /// Makes the places in the tables unguessable. 0 until the first peer.
    salt: u64,
    /// A drain that has begun.
    farewell: Option<Farewell>,
}

type Hasher = BuildHasherDefault<std::hash::DefaultHasher>;

/// Whom a datagram is from: its address, and which of ours it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    salt: u64,
    listener: u16,
    peer: SocketAddr,
    local: Option<IpAddr>,
}

#[derive(Debug)]
struct Peer {
    leg: Leg,
    /// The number of its HELLO, and what was answered.
    hello: u32,
    agreed: Agreed,
    first: u32,
    alarm: Token,
    due_ms: u64,
    link: Link,
    host: Rc<Host>,
    /// What the account of the room says is kept for it.
    counted: usize,
}

impl Server {
    /// Whether it has no peer.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Handles one datagram. `own` are the addresses that datagram listeners of this process are bound to.
    pub fn on_datagram<S: Service>(
        &mut self,
        config: &Config,
        own: &[SocketAddr],
        (leg, listener): (Leg, ListenerId),
        packet: Packet<'_>,
        io: &mut Io<'_, S>,
    ) {
        if !udp_echo::may_answer(packet.peer, packet.local, true, own) {
            return io.meter().datagrams_dropped.inc();
        }
        let rules = Rules {
            over: Over::Datagram,
            payload_bytes_max: config.offer.payload_bytes_max.min(Rules::DATAGRAM.payload_bytes_max),
        };
        let (header, payload) = match datagram(packet.bytes(), &rules) {
            Ok(frame) => frame,
            Err(refusal) => return count(refusal, io),
        };
        let key = Key { salt: self.salt(io), listener: listener.0, peer: packet.peer, local: packet.local };
        let mut turn = Turn { server: self, config, leg, key, io };
        if let Err(refusal) = turn.frame(&header, payload, &packet) {
            count(refusal, turn.io);
        }
    }

    /// A timer fired: whether it was one of this.
    pub fn on_timer<S: Service>(&mut self, token: Token, io: &mut Io<'_, S>) -> bool {
        if self.farewell.as_ref().is_some_and(|farewell| farewell.knows(token)) {
            self.part(token, io);
            return true;
        }
        let Some(key) = self.alarms.remove(&token) else { return false };
        let Some(peer) = self.peers.get_mut(&key) else { return true };
        let now_ms = io.now().0;
        let over = peer.link.heard.quiet_ms(now_ms).saturating_sub(peer.link.pace.patience_ms());
        let behind = !io.caught_up_since(Tick(now_ms.saturating_sub(over.into())));
        let moment = Moment { now_ms, late_ms: io.late_ms(), behind, random: io.random() };
        let leg = peer.leg;
        let mut wire = |frame: Bytes| send(leg, &key, frame, io);
        let looked = peer.link.look(moment, &mut self.press, &mut wire, |_| {});
        let Looked { retransmitted, given_up, pings, postponed, dead, gap } = looked;
        let meter = io.meter();
        meter.frames_retransmitted.add(retransmitted);
        meter.frames_given_up.add(given_up);
        meter.heartbeats_sent.add(pings);
        meter.verdicts_postponed.add(postponed);
        if dead {
            meter.peers_silent.inc();
            self.forget(&key, io);
        } else if gap {
            let about = peer.link.receiver.floor();
            let error = Error { code: Refusal::OrderLate.number(), text: String::new() };
            count(Refusal::OrderLate, io);
            send(leg, &key, self.press.message(Kind::Error, about, &error), io);
            self.forget(&key, io);
        } else {
            self.touched(&key, io);
        }
        true
    }

    /// The seat drains: every peer is told, and has `until` or a second, whichever is less, to finish.
    pub fn drain<S: Service>(&mut self, until: Tick, io: &mut Io<'_, S>) {
        let grace = DRAIN_GRACE.min(Duration::from_millis(until.0.saturating_sub(io.now().0) / 2));
        let farewell = Farewell::new(self.peers.keys().copied().collect(), grace, io);
        self.farewell = Some(farewell);
    }

    /// A step of the drain: a few peers more are told, or the grace is over.
    fn part<S: Service>(&mut self, token: Token, io: &mut Io<'_, S>) {
        let Server { farewell: Some(farewell), peers, press, .. } = self else { return };
        if farewell.is_over(token) {
            for key in farewell.end(io) {
                self.forget(&key, io);
            }
            return;
        }
        let goaway = Goaway { deadline_ms: farewell.left_ms(io), text: String::new() };
        for key in farewell.step(|key| peers.contains_key(key), io) {
            if let Some(peer) = peers.get(key) {
                send(peer.leg, key, press.message(Kind::Goaway, peer.link.sender.floor(), &goaway), io);
            }
        }
    }

    fn salt<S: Service>(&mut self, io: &mut Io<'_, S>) -> u64 {
        if self.salt == 0 {
            self.salt = io.random() | 1;
        }
        self.salt
    }

    /// What follows whatever happened to a peer: the account, and the timer, unless it fires before something is due anyway.
    fn touched<S: Service>(&mut self, key: &Key, io: &mut Io<'_, S>) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let now_ms = io.now().0;
        peer.link.watch(now_ms);
        let kept = peer.link.kept();
        self.room.count(&peer.host, std::mem::replace(&mut peer.counted, kept), kept);
        io.meter().frame_bytes_kept.set(self.room.kept() as u64);
        let due_ms = peer.link.due_ms();
        let is_armed = self.alarms.contains_key(&peer.alarm);
        if is_armed && peer.due_ms <= due_ms {
            return;
        }
        if is_armed {
            io.cancel(peer.alarm);
            self.alarms.remove(&peer.alarm);
        }
        peer.due_ms = due_ms;
        peer.alarm = io.timer(Duration::from_millis(due_ms.saturating_sub(now_ms).max(1)));
        self.alarms.insert(peer.alarm, *key);
    }

    fn forget<S: Service>(&mut self, key: &Key, io: &mut Io<'_, S>) {
        let Some(peer) = self.peers.remove(key) else { return };
        self.room.leave(&peer.host, peer.counted);
        io.meter().frame_bytes_kept.set(self.room.kept() as u64);
        self.alarms.remove(&peer.alarm);
        io.cancel(peer.alarm);
        io.meter().frame_peers.dec();
    }
}

/// One datagram on its way through.
struct Turn<'a, 'b, 'i, S: Service> {
    server: &'a mut Server,
    config: &'a Config,
    leg: Leg,
    key: Key,
    io: &'b mut Io<'i, S>,
}

impl<S: Service> Turn<'_, '_, '_, S> {
    fn frame(&mut self, header: &Header, payload: &[u8], packet: &Packet<'_>) -> Result<(), Refusal> {
        let known = if self.server.peers.contains_key(&self.key) { Known::Open } else { Known::Unknown };
        let now_ms = self.io.now().0;
        let mut hello = None;
        let came = match header.kind {
            Kind::Hello => {
                let said: Hello = read(payload)?;
                let came = match &said.cookie[..] {
                    [] => Came::Bare,
                    blank if *blank == [0; COOKIE_BYTES] => Came::Ask,
                    cookie if self.config.jar.is_good(cookie, self.key.peer, header.seq, now_ms) => {
                        Came::Proof
                    }
                    _ => Came::Stale,
                };
                hello = Some(said);
                came
            }
            kind => Came::Other(kind),
        };
        let asked = packet.bytes().len();
        match says(known, self.io.draining(), came) {
            ServerSays::Nothing => {}
            ServerSays::Cookie => {
                let cookie = self.config.jar.give(self.key.peer, header.seq, now_ms).to_vec();
                // Without versions: should a machine send back what it gets, this is not the HELLO of a client.
                let answer = Hello { cookie, ..Hello::default() };
                self.io.meter().cookies_given.inc();
                self.say(Kind::Hello, header.seq, &answer, asked);
            }
            ServerSays::Greet => {
                let hello = hello.expect("a HELLO was read");
                match self.greet(header.seq, &hello) {
                    Ok(Some(answer)) => self.say(Kind::Hello, header.seq, &answer, asked),
                    Ok(None) => {}
                    Err(refusal) => self.refuse(header.seq, refusal, asked),
                }
            }
            ServerSays::Refuse(refusal) => self.refuse(header.seq, refusal, asked),
            ServerSays::Pong => {
                let _: Ping = read(payload)?;
                self.pong(header.seq, payload);
            }
            ServerSays::Heard if header.kind == Kind::Ack => {
                let ack: Ack = read(payload)?;
                self.known(|link, press| link.acknowledged(header.seq, ack, now_ms, press).is_some());
            }
            ServerSays::Heard => {
                let Ping { stamp } = read(payload)?;
                let next = self.config.jar.draw(self.io.random());
                self.known(|link, _| {
                    if link.is_proof(stamp) {
                        link.proven(next, now_ms);
                    }
                    link.sender.confirmed(header.seq)
                });
            }
            ServerSays::Take => return self.take(header, payload, packet),
            ServerSays::Finish => {
                if self.is_near(header.seq) {
                    let frame = self.server.press.frame(&Header::new(Kind::Goaway, 0, header.seq), &[]);
                    self.wire(frame);
                    self.server.forget(&self.key, self.io);
                }
            }
            ServerSays::Forget => {
                let _: Error = read(payload)?;
                if self.is_near(header.seq) {
                    self.server.forget(&self.key, self.io);
                }
            }
        }
        self.io.meter().frames_in.inc();
        Ok(())
    }

    /// A HELLO whose cookie is good: a peer that is new, the same again, or one that was started anew at this address. `None` when
    /// the one that is known has spoken too lately for that: this may be an old datagram.
    fn greet(&mut self, seq: u32, hello: &Hello) -> Result<Option<Hello>, Refusal> {
        let now_ms = self.io.now().0;
        let agreed = hello.agree_datagram(&self.config.offer)?;
        if let Some(peer) = self.server.peers.get_mut(&self.key) {
            if peer.hello == seq {
                peer.link.heard = Heard::at(now_ms);
                return Ok(Some(Hello { first: peer.first, ..Hello::answer(&peer.agreed) }));
            }
            if peer.link.heard.quiet_ms(now_ms) < REPLACED_MS {
                return Ok(None);
            }
            self.server.forget(&self.key, self.io);
        }
        if self.server.peers.len() >= self.config.peers_max {
            return Err(Refusal::Busy);
        }
        let Server { room, peers, alarms, .. } = &mut self.server;
        let host =
            room.enter(self.key.salt, self.key.peer.ip(), self.config.peers_max).ok_or(Refusal::Busy)?;
        // Drawn anew: whatever was sent in another conversation of this address, however late or by whom it comes again, has numbers that
        // are not of this one.
        let first = self.config.jar.draw(self.io.random()) as u32;
        let mut link = Link::new(first, agreed.pace, now_ms, self.io.random());
        link.proven(self.config.jar.draw(self.io.random()), now_ms);
        let due_ms = link.due_ms();
        let alarm = self.io.timer(Duration::from_millis(due_ms - now_ms));
        let peer = Peer { leg: self.leg, hello: seq, agreed, first, alarm, due_ms, link, host, counted: 0 };
        alarms.insert(alarm, self.key);
        peers.insert(self.key, Box::new(peer));
        self.io.meter().frame_peers.inc();
        Ok(Some(Hello { first, ..Hello::answer(&agreed) }))
    }

    fn pong(&mut self, seq: u32, payload: &[u8]) {
        self.known(|link, _| link.receiver.settle(seq, |_| {}));
        if !self.is_near(seq) {
            return;
        }
        let frame = self.server.press.frame(&Header::new(Kind::Pong, payload.len() as u32, seq), payload);
        self.wire(frame);
        self.io.meter().heartbeats_answered.inc();
        // What waited for a frame that was given up goes on; and there will be no answer to that one, which takes a place in the table
        // until the peer knows. Where there is no room for that the next PING finds some.
        self.release();
        let peer = self.server.peers.get_mut(&self.key).expect("it is known");
        let floor = peer.link.receiver.floor();
        let growth = peer.link.sender.growth_bytes(floor.wrapping_sub(1));
        if growth == 0 || self.server.room.has(&peer.host, growth, false) {
            peer.link.sender.leave_out(floor);
        } else {
            self.io.meter().frames_no_room.inc();
        }
        self.server.touched(&self.key, self.io);
    }

    /// DATA of a peer: sent back, once.
    fn take(&mut self, header: &Header, payload: &[u8], packet: &Packet<'_>) -> Result<(), Refusal> {
        let now_ms = self.io.now().0;
        let Server { peers, room, press, .. } = &mut self.server;
        let peer = peers.get_mut(&self.key).expect("it is known");
        if header.length > peer.agreed.payload_bytes_max {
            return Err(Refusal::TooLong);
        }
        let (ordered, link) = (header.flags.has(Flags::ORDERED), &mut peer.link);
        if !header.flags.has(Flags::ACK_WANTED) {
            if ordered || header.flags.has(Flags::RETRANSMISSION) {
                return Err(Refusal::Flag);
            }
            // A number that cannot be of the conversation is nothing that was heard of the peer.
            if link.receiver.take_loose(header.seq) {
                link.heard = Heard::at(now_ms);
                self.served();
                self.send(packet.chunk());
            } else {
                self.io.meter().frames_duplicate.inc();
            }
            return Ok(());
        }
        let back = Header { flags: header.flags.without(Flags::RETRANSMISSION), ..*header };
        let looked = link.receiver.look(header.seq, ordered);
        let waits = looked == Taken::Held;
        let taken = match looked {
            Taken::Now | Taken::Held => match link.need(header.seq, header.frame_bytes(), waits) {
                Some(need) if room.has(&peer.host, need, waits) => link.take(&back, payload, press),
                _ => Taken::NoRoom,
            },
            other => other,
        };
        if taken == Taken::Held {
            // The place of its answer was asked for with it.
            link.sender.reserve(header.seq);
        }
        if taken != Taken::Beyond {
            link.heard = Heard::at(now_ms);
        }
        let ack = link.receiver.ack(header.seq);
        match taken {
            Taken::Now | Taken::Held => {}
            Taken::Duplicate => self.io.meter().frames_duplicate.inc(),
            Taken::Beyond => {
                self.io.meter().frames_strange.inc();
                return Ok(());
            }
            Taken::NoRoom => {
                self.io.meter().frames_no_room.inc();
                return Ok(());
            }
        }
        let ack = self.server.press.ack(header.seq, ack);
        self.wire(ack);
        if taken == Taken::Now {
            let frame = self.server.press.keep(&back, payload);
            self.echo(header.seq, frame);
            self.release();
        }
        self.server.touched(&self.key, self.io);
        Ok(())
    }

    /// What waited for its order goes on.
    fn release(&mut self) {
        while let Some(peer) = self.server.peers.get_mut(&self.key)
            && let Some((seq, frame)) = peer.link.pop()
        {
            self.echo(seq, frame);
        }
    }

    /// Sends a frame back until it is acknowledged.
    fn echo(&mut self, seq: u32, frame: Bytes) {
        self.served();
        let Turn { server, leg, key, io, .. } = self;
        let peer = server.peers.get_mut(key).expect("it is known");
        peer.link.send(seq, frame, io.now().0, &mut |frame| send(*leg, key, frame, io));
    }

    fn served(&mut self) {
        self.io.meter().requests.inc();
        self.io.meter().frames_in.inc();
    }

    /// Something of a peer that is known; `act` says whether its number can be right. Only then was the peer heard.
    fn known(&mut self, act: impl FnOnce(&mut Link, &mut Press) -> bool) {
        let now_ms = self.io.now().0;
        let Server { peers, press, .. } = &mut self.server;
        let link = &mut peers.get_mut(&self.key).expect("it is known").link;
        if act(link, press) {
            link.heard = Heard::at(now_ms);
        } else {
            self.io.meter().frames_strange.inc();
        }
        self.server.touched(&self.key, self.io);
    }

    /// Whether a number is near what the peer sends now: who cannot see its datagrams does not guess it.
    fn is_near(&self, seq: u32) -> bool {
        let peer = &self.server.peers[&self.key];
        let off = seq.wrapping_sub(peer.link.receiver.floor()) as i32;
        off.unsigned_abs() <= proto::frame::udp::WINDOW
    }

    /// Why not, if that is no longer than what came.
    fn refuse(&mut self, seq: u32, refusal: Refusal, asked: usize) {
        count(refusal, self.io);
        let code = Error { code: refusal.number(), text: String::new() };
        self.say(Kind::Error, seq, &code, asked);
    }

    /// To somebody who may not be who he says: never more than came.
    fn say(&mut self, kind: Kind, seq: u32, message: &impl proto::frame::Message, asked: usize) {
        let frame = self.server.press.message(kind, seq, message);
        if frame.len() <= asked {
            self.wire(frame);
        }
    }

    fn wire(&mut self, frame: Bytes) {
        self.send(Chunk::Shared(frame));
    }

    fn send(&mut self, chunk: Chunk) {
        self.io.meter().frames_out.inc();
        // One that finds too many on their way is lost like any other; the desk counts it.
        let _ = self.io.send_to(self.leg, self.key.peer, self.key.local, chunk);
    }
}

fn send<S: Service>(leg: Leg, key: &Key, frame: Bytes, io: &mut Io<'_, S>) {
    io.meter().frames_out.inc();
    let _ = io.send_to(leg, key.peer, key.local, Chunk::Shared(frame));
}

fn count<S: Service>(refusal: Refusal, io: &mut Io<'_, S>) {
    io.meter().refused.inc();
    io.meter().frame_refused(refusal.number()).inc();
}

/// How long a peer was silent at least when another conversation begins at its address.
const REPLACED_MS: u32 = 1_000;
/// How long a drain goes on answering after GOAWAY, at most half of its time.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
