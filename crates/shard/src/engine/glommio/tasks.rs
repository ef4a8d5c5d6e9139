//! The tasks of one seat: one for each connection, datagram socket and listener, the keeper, which ends each turn, and the pacer.
//!
//! None holds the hub across a wait, and none that has more to do than its share wakes itself: glommio's executor runs what is
//! runnable until nothing is, and looks at the kernel only then, so who always has more would be the only one to run. It leaves word
//! with the hub, and goes on when the pacer has waited for a timer, which only a look at the kernel finds due.

use super::hub::Hub;
use crate::service::Service;
use crate::slab::Key;
use futures_lite::future::or;
use futures_lite::io::AsyncRead;
use glommio::net::{TcpListener, TcpStream, UdpSocket};
use glommio::timer::Timer;
use glommio::{TaskQueueHandle, spawn_local_into};
use linux::clock::Clock;
use linux::net;
use linux::wake::Parker;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

pub(super) type Shared<S> = Rc<RefCell<Hub<S>>>;

/// Datagrams of one socket before the kernel is looked at again.
const DATAGRAMS_A_PASS: usize = 64;
/// The longest datagram there is.
const DATAGRAM_BYTES: usize = 64 << 10;
/// Longer than a timer takes to be set, so that it is a look at the kernel that finds it due.
const AT_ONCE: Duration = Duration::from_micros(1);

/// Serves until the seat is told to stop and everything has ended.
pub(super) async fn serve<S: Service + 'static>(hub: Shared<S>) {
    let listeners = hub.borrow().listeners();
    for (index, listener) in listeners.into_iter().enumerate() {
        spawn(&hub, listen(hub.clone(), index, listener));
    }
    spawn(&hub, pace(hub.clone()));
    let mut keeper = Keeper::new(hub.borrow().parker);
    poll_fn(|cx| keeper.poll(&hub, cx)).await;
    // What was cancelled by closing is told to the kernel on the way to sleep: a descriptor that it still polls would stay open
    // beyond the end.
    Timer::new(AT_ONCE).await;
}

/// Spawns a task that ends before the seat does. It runs later: the hub may be borrowed here.
fn spawn<S: Service + 'static>(hub: &Shared<S>, task: impl Future<Output = ()> + 'static) {
    hub.borrow_mut().tasks += 1;
    let ended = hub.clone();
    let task = async move {
        task.await;
        let mut hub = ended.borrow_mut();
        hub.tasks -= 1;
        hub.begin();
    };
    let queue = TaskQueueHandle::default();
    spawn_local_into(task, queue).expect("the default queue is always there").detach();
}

/// Brings about the looks at the kernel that are asked for. Nothing but its timer wakes it meanwhile.
async fn pace<S: Service + 'static>(hub: Shared<S>) {
    let mut timer = Timer::new(AT_ONCE);
    while poll_fn(|cx| hub.borrow_mut().poll_pacer(cx)).await {
        timer.reset(AT_ONCE);
        (&mut timer).await;
        hub.borrow_mut().pass();
    }
}

/// Accepts, as long as there are places and the listener is open.
async fn listen<S: Service + 'static>(hub: Shared<S>, index: usize, listener: TcpListener) {
    while poll_fn(|cx| hub.borrow_mut().poll_place(index, cx)).await {
        let accepted = listener.accept().await;
        poll_fn(|cx| hub.borrow_mut().poll_room(index, cx)).await;
        hub.borrow_mut().accepted(index, accepted.map_err(drop));
    }
    hub.borrow_mut().accept_ended(index);
}

/// The task of a leg: of a connection, or of a datagram socket.
async fn attend<S: Service + 'static>(hub: Shared<S>, leg: Key) {
    let socket = hub.borrow_mut().streams.datagrams(leg);
    match socket {
        None => poll_fn(|cx| hub.borrow_mut().poll_leg(leg, cx)).await,
        Some(socket) => {
            let gone = poll_fn(|cx| match hub.borrow_mut().streams.attend(leg, cx) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            });
            or(gone, or(receive(&hub, leg, &socket), send(&hub, leg, &socket))).await;
        }
    }
}

/// Receives the datagrams of a leg.
async fn receive<S: Service + 'static>(hub: &Shared<S>, leg: Key, socket: &UdpSocket) {
    // One that is longer than a receive buffer is dropped and counted; glommio would not say that it cut it.
    let mut room = vec![0; DATAGRAM_BYTES];
    loop {
        for _ in 0..DATAGRAMS_A_PASS {
            // An error is a refusal of an earlier answer and has passed.
            let Ok((bytes, peer)) = socket.recv_from(&mut room).await else { continue };
            let mut hub = hub.borrow_mut();
            let hub = &mut *hub;
            hub.begin();
            let fits = bytes <= hub.streams.pool.buffer_bytes() as usize;
            match hub.streams.pool.fill(&room[..bytes]).filter(|_| fits) {
                Some(lease) => hub.seat.datagram(leg, &lease, peer, None, &mut hub.streams),
                None => hub.streams.datagrams_dropped += 1,
            }
        }
        let passes = hub.borrow().passes;
        hub.borrow_mut().streams.go_on(leg);
        poll_fn(|_| if hub.borrow().passes > passes { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Sends the datagrams of a leg, one after the other.
async fn send<S: Service + 'static>(hub: &Shared<S>, leg: Key, socket: &UdpSocket) {
    loop {
        let next = poll_fn(|_| match hub.borrow_mut().streams.next_datagram(leg) {
            Some(datagram) => Poll::Ready(datagram),
            None => Poll::Pending,
        });
        let datagram = next.await;
        let sent = socket.send_to(&datagram.chunk, datagram.peer).await;
        let mut hub = hub.borrow_mut();
        hub.begin();
        match sent {
            Ok(_) => hub.streams.datagram_bytes += datagram.chunk.len() as u64,
            // A port that nobody listens on, an address that is not ours: a datagram may always be lost.
            Err(_) => hub.streams.datagrams_dropped += 1,
        }
    }
}

/// Ends the turns of a seat, and knows what begins the next: a task, a deadline, another thread.
struct Keeper {
    bell: Bell,
    timer: Timer,
    /// What the timer is set for; it fired, or will.
    due_ns: Option<u64>,
}

impl Keeper {
    fn new(parker: &'static Parker) -> Keeper {
        Keeper { bell: Bell::new(parker), timer: Timer::new(Duration::ZERO), due_ns: None }
    }

    fn poll<S: Service + 'static>(&mut self, shared: &Shared<S>, cx: &mut Context<'_>) -> Poll<()> {
        let mut hub = shared.borrow_mut();
        if !hub.keeper.as_ref().is_some_and(|keeper| keeper.will_wake(cx.waker())) {
            hub.keeper = Some(cx.waker().clone());
        }
        hub.parker.unpark();
        self.bell.listen(cx);
        hub.turn();
        let born = std::mem::take(&mut hub.streams.born);
        drop(hub);
        born.into_iter().for_each(|leg| spawn(shared, attend(shared.clone(), leg)));
        let mut hub = shared.borrow_mut();
        if hub.is_over() {
            return Poll::Ready(());
        }
        // Parked all the time until the next turn: nobody tells when glommio sleeps.
        if hub.has_ended() || hub.is_runnable() || !hub.parker.park(|| hub.has_mail()) {
            hub.ask_pass();
        } else {
            self.set(hub.deadline_ns(), cx);
        }
        Poll::Pending
    }

    /// Sets the timer, unless it stands there already.
    fn set(&mut self, due_ns: Option<u64>, cx: &mut Context<'_>) {
        if self.due_ns == due_ns {
            return;
        }
        self.due_ns = due_ns;
        let Some(at_ns) = due_ns else { return self.timer = Timer::new(Duration::ZERO) };
        self.timer.reset(Duration::from_nanos(at_ns.saturating_sub(Clock::now_ns())).max(AT_ONCE));
        while Pin::new(&mut self.timer).poll(cx).is_ready() {
            self.timer.reset(AT_ONCE);
        }
    }
}

/// What other threads ring: the eventfd of the seat's parker, waited on by glommio.
///
/// glommio waits for files and sockets only, and has no way to poll a descriptor. A stream of it does so before its first read: one
/// made of a duplicate of the eventfd becomes ready when the eventfd is readable, its read then fails (it is no socket), and the
/// next wait takes a new one. Three calls for each time that a sleeping seat is woken by another thread, none else.
struct Bell {
    parker: &'static Parker,
    wait: TcpStream,
}

impl Bell {
    fn new(parker: &'static Parker) -> Bell {
        Bell { parker, wait: Bell::wait(parker) }
    }

    fn wait(parker: &'static Parker) -> TcpStream {
        let event = parker.event().as_fd();
        net::adopt(event.try_clone_to_owned().expect("a descriptor was kept for it"))
    }

    /// Has the task woken when somebody rings; what has rung is silenced.
    fn listen(&mut self, cx: &mut Context<'_>) {
        while Pin::new(&mut self.wait).poll_read(cx, &mut [0]).is_ready() {
            self.parker.event().drain();
            self.wait = Bell::wait(self.parker);
        }
    }
}
