//! Sockets as queues of bytes, with their far ends, and the rules that a kernel does not enforce but a stream needs.

use super::super::driver::For;
use linux::ring::Sock;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Names one socket, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

#[derive(Default)]
pub(super) struct Socket {
    /// Sent by the far end, and not received yet.
    pub(super) arriving: VecDeque<u8>,
    pub(super) peer_finished: bool,
    pub(super) peer_reset: bool,
    /// What receives end with before they take anything, each one of them.
    pub(super) receive_errors: VecDeque<i32>,
    /// What a poll has told of, or a fetch has left: it is told of again only when there is more.
    told: (usize, bool, bool),
    /// Taken from us, and not read by the far end yet: at most `window` bytes.
    pub(super) unread: VecDeque<u8>,
    window: usize,
    /// What the far end has read.
    pub(super) heard: Vec<u8>,
    /// We sent FIN.
    pub(super) finished: bool,
    pub(super) linger_zero: bool,
    pub(super) closed: bool,
    /// The far end saw a reset.
    pub(super) was_reset: bool,
    /// A plain descriptor, with what the process calls it now: another file under the same number has another name.
    plain: Option<(RawFd, PathBuf)>,
    sending: bool,
    receiving: bool,
    shutting: bool,
    /// Submissions whose completion was not taken.
    in_flight: u32,
}

impl Socket {
    /// The far end sends.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        assert!(!self.peer_finished && !self.peer_reset);
        self.arriving.extend(bytes);
    }

    /// The far end reads at most `n` bytes.
    pub(super) fn read(&mut self, n: usize) {
        let n = n.min(self.unread.len());
        self.heard.extend(self.unread.drain(..n));
    }

    /// The far end takes `window` bytes before it reads, from now on.
    pub(super) fn widen(&mut self, window: usize) {
        self.window = window;
    }

    /// The kernel drops it, unseen by the engine.
    pub(super) fn lose(&mut self) {
        self.closed = true;
        self.was_reset = true;
    }

    /// The far end resets the connection.
    pub(super) fn reset(&mut self) {
        self.peer_reset = true;
        self.arriving.clear();
        self.unread.clear();
    }

    /// Bytes to receive, whether the end comes after them, whether the connection is broken.
    pub(super) fn readable(&self) -> (usize, bool, bool) {
        (self.arriving.len(), self.peer_finished, self.peer_reset)
    }

    /// Whether something came of which no poll has told. One that begins tells of all there is.
    pub(super) fn has_news(&mut self) -> bool {
        let (bytes, finished, reset) = self.readable();
        let (told, finished_told, reset_told) = self.told;
        let news = bytes > told || finished && !finished_told || reset && !reset_told;
        self.told = (bytes, finished, reset);
        news
    }

    /// A poll begins.
    pub(super) fn tell_all(&mut self) {
        self.told = (0, false, false);
    }

    /// A fetch has taken something.
    pub(super) fn fetched(&mut self) {
        self.told.0 = self.arriving.len();
    }

    /// Bytes that a send can move now.
    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.unread.len())
    }

    /// Whether our side has let go of it.
    pub(super) fn is_closed(&self) -> bool {
        self.closed || self.plain.as_ref().is_some_and(|(fd, name)| name_of(*fd).as_ref() != Some(name))
    }

    /// The last completion of a submission was taken.
    pub(super) fn end(&mut self, op: u8) {
        self.in_flight -= 1;
        self.sending &= op != For::Send as u8;
        self.receiving &= op != For::Receive as u8 && op != For::Poll as u8;
    }

    fn let_go(&mut self) {
        assert_eq!(self.in_flight, 0, "a descriptor was closed under requests in flight");
        self.closed = true;
        // Closing with bytes unread is a reset too (RFC 9293, section 3.6.1), and a reset destroys what was not read.
        self.was_reset = self.linger_zero || !self.arriving.is_empty();
        if self.was_reset {
            self.unread.clear();
        }
    }
}

/// All sockets there ever were, and the table of direct descriptors.
pub(super) struct Sockets {
    all: Vec<Socket>,
    slots: Vec<Slot>,
    /// Free slots; the one that was closed last is given out first.
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    Used(Id),
    /// Its close was pushed.
    Closing(Id),
}

impl Sockets {
    pub(super) fn new(slots: u32) -> Sockets {
        let free = (0..slots).rev().collect();
        Sockets { all: Vec::new(), slots: vec![Slot::Free; slots as usize], free }
    }

    pub(super) fn add(&mut self, window: usize) -> Id {
        self.all.push(Socket { window, ..Socket::default() });
        Id(self.all.len() - 1)
    }

    pub(super) fn get(&mut self, id: Id) -> &mut Socket {
        &mut self.all[id.0]
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.all.len()).map(Id)
    }

    /// Puts an accepted socket into the table.
    pub(super) fn place(&mut self, id: Id) -> Option<u32> {
        let slot = self.free.pop()?;
        self.slots[slot as usize] = Slot::Used(id);
        Some(slot)
    }

    /// The socket that a submission names.
    pub(super) fn find(&self, sock: Sock) -> Id {
        let open = match sock {
            Sock::Direct(slot) => match self.slots[slot as usize] {
                Slot::Used(id) | Slot::Closing(id) => Some(id),
                Slot::Free => None,
            },
            Sock::Plain(fd) => {
                let of = |socket: &Socket| socket.plain.as_ref().is_some_and(|(number, _)| *number == fd);
                let index = self.all.iter().rposition(of);
                index.map(Id).filter(|id| !self.all[id.0].is_closed())
            }
        };
        open.unwrap_or_else(|| panic!("{sock:?} is used after its close"))
    }

    /// A submission on a socket.
    pub(super) fn begin(&mut self, sock: Sock) -> &mut Socket {
        if let Sock::Direct(slot) = sock {
            let used = matches!(self.slots[slot as usize], Slot::Used(_));
            assert!(used, "{sock:?} is used after its close");
        }
        let id = self.find(sock);
        let socket = self.get(id);
        socket.in_flight += 1;
        socket
    }

    pub(super) fn begin_receive(&mut self, sock: Sock) {
        let socket = self.begin(sock);
        assert!(!socket.receiving, "a second receive while one is in flight: they would take turns");
        socket.receiving = true;
    }

    pub(super) fn begin_send(&mut self, sock: Sock) {
        let socket = self.begin(sock);
        assert!(!socket.sending, "a second send while one is in flight: their bytes would interleave");
        assert!(!socket.shutting, "a send after FIN");
        socket.sending = true;
    }

    pub(super) fn begin_shutdown(&mut self, sock: Sock) {
        let socket = self.begin(sock);
        assert!(!socket.sending, "FIN while a send is in flight");
        socket.shutting = true;
    }

    pub(super) fn begin_close(&mut self, slot: u32) {
        let Slot::Used(id) = self.slots[slot as usize] else { panic!("slot {slot} is closed twice") };
        self.slots[slot as usize] = Slot::Closing(id);
        assert_eq!(self.get(id).in_flight, 0, "slot {slot} was closed under requests in flight");
    }

    pub(super) fn close(&mut self, slot: u32) {
        let Slot::Closing(id) = self.slots[slot as usize] else {
            panic!("a close is pushed before it is done")
        };
        self.get(id).let_go();
        self.slots[slot as usize] = Slot::Free;
        self.free.push(slot);
    }

    /// A fresh plain descriptor is to be connected.
    pub(super) fn open(&mut self, fd: RawFd, window: usize) -> Id {
        let before = self.all.iter().filter(|s| s.plain.as_ref().is_some_and(|(number, _)| *number == fd));
        assert!(
            before.clone().all(|s| s.in_flight == 0),
            "descriptor {fd} was closed under requests in flight"
        );
        let name = name_of(fd).expect("a descriptor to connect is open");
        let id = self.add(window);
        self.get(id).plain = Some((fd, name));
        id
    }
}

fn name_of(fd: RawFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}
