//! Tasks on a desk without an engine: events are made by hand, wishes are read where the seat would read them.

use super::{Cx, Task, both, either};
use crate::conn::{Conn, Phase};
use crate::desk::{Desk, Parts, Wish};
use crate::input::Input;
use crate::io::{Connect, Io};
use crate::meter::Board;
use crate::service::{End, Event, Leg, LegError, ListenerId, Next, Origin, Outcome, Service, Token};
use crate::slab::Key;
use crate::wheel::Tick;
use bytes::Bytes;
use linux::counting_alloc::{CountingAlloc, allocations_in_this_thread};
use linux::wake::Inbox;
use linux::{Chunk, Gather, Pool};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

/// Stands for the service whose sessions are tasks.
struct Stories;

impl Service for Stories {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = 1 << 16;
    fn open(&mut self, _: Origin, _: &mut Io<'_, Self>) {}
    fn on(&mut self, (): &mut (), _: Event<'_, Self>, _: &mut Io<'_, Self>) -> Next {
        Next::Stay
    }
    fn end(&mut self, (): (), _: End) {}
}

const SESSION: Key = Key { slot: 3, generation: 1 };
const OUT_MAX: usize = 16;

/// One session and the desk it wishes on.
struct Rig {
    desk: Desk<<Stories as Service>::Note>,
    task: Option<Task>,
}

impl Rig {
    fn new() -> Rig {
        let parts = Parts {
            seat: 0,
            board: Board::new(&[None]),
            pool: Pool::new(linux::pool::Plan { count: 2, bytes: 1024, huge_pages: false })
                .expect("it can be mapped"),
            post: crate::mail::mesh(1).pop().expect("a mesh of one"),
            inbox: Inbox::register().expect("there is an inbox"),
            seed: 1,
            unix_seconds: || 0,
            out_max: OUT_MAX,
            connections_max: 4,
        };
        Rig { desk: Desk::new(parts, 0), task: None }
    }

    /// A leg of the session that is open.
    fn leg(&mut self) -> Leg {
        let conn = Conn::new(SESSION, ListenerId(0), Phase::Open, Tick(0));
        Leg(self.desk.add_leg(conn).expect("there is room"))
    }

    fn begin<F: Future<Output = ()> + 'static>(&mut self, legs: &[Leg], story: impl FnOnce(Cx) -> F) {
        self.task =
            Some(Task::new(legs, story, &mut Io::<Stories> { desk: &mut self.desk, session: SESSION }));
    }

    fn on(&mut self, event: Event<'_, Stories>) -> Next {
        self.task
            .as_mut()
            .expect("begun")
            .on(event, &mut Io::<Stories> { desk: &mut self.desk, session: SESSION })
    }

    /// Offers `pieces` and keeps what is left of them there, as a seat does.
    fn bytes(&mut self, leg: Leg, pieces: &mut VecDeque<Chunk>) -> Next {
        let mut copied = 0;
        let input = Input::new(pieces, &mut copied);
        self.on(Event::Bytes(leg, input))
    }

    /// What stands in a leg's output, which is emptied; the peer reads it all.
    fn sent(&mut self, leg: Leg) -> String {
        let Some(out) = self.desk.conns.get_mut(leg.0).and_then(|conn| conn.out.as_mut()) else {
            return String::new();
        };
        let mut gather = Gather::new();
        out.gather(&mut gather, usize::MAX, Vec::new);
        let text = gather.chunks().iter().map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect();
        out.sent(gather.bytes());
        text
    }

    /// The same, and the `Drained` that follows where the output was found full.
    fn drain(&mut self, leg: Leg) -> (String, Option<Next>) {
        let sent = self.sent(leg);
        let out = self.desk.conns.get_mut(leg.0).and_then(|conn| conn.out.as_mut());
        let drained = out.is_some_and(|out| out.take_drained());
        (sent, drained.then(|| self.on(Event::Drained(leg))))
    }

    fn wishes(&mut self) -> Vec<String> {
        let text = |wish| match wish {
            Wish::Pause(leg, on) => format!("{} {leg:?}", if on { "pause" } else { "resume" }),
            Wish::Finish(leg) => format!("finish {leg:?}"),
            Wish::Close(leg) => format!("close {leg:?}"),
            Wish::Recall(leg) => format!("recall {leg:?}"),
            Wish::Abort(leg) => format!("abort {leg:?}"),
            Wish::Connect(leg, _) => format!("connect {leg:?}"),
            Wish::Pipe { from, to, n, .. } => format!("pipe {from:?} {to:?} {n}"),
        };
        self.desk.wishes.drain(..).map(text).collect()
    }

    /// The token of the first timer that is due at `at`.
    fn timer(&mut self, at: Tick) -> Option<Token> {
        self.desk.wheel.fire(at).map(|fired| Token(fired.timer.into()))
    }

    /// Wakes that came for the session.
    fn wakes(&mut self) -> usize {
        let mut wakes = 0;
        self.desk.inbox.drain(|slot, generation| {
            assert_eq!((slot, generation), (SESSION.slot, SESSION.generation));
            wakes += 1;
        });
        wakes
    }
}

/// What a story says for a test to read.
#[derive(Clone, Default)]
struct Said(Rc<RefCell<String>>);

impl Said {
    fn say(&self, what: impl std::fmt::Debug) {
        let line = format!("{what:?} ");
        self.0.borrow_mut().push_str(&line);
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.borrow_mut()).trim_end().to_owned()
    }
}

fn chunk(text: &'static str) -> Chunk {
    Chunk::Shared(Bytes::from_static(text.as_bytes()))
}

fn pieces<const N: usize>(texts: [&'static str; N]) -> VecDeque<Chunk> {
    texts.into_iter().map(chunk).collect()
}

fn text(chunk: Option<Chunk>) -> Option<String> {
    chunk.map(|chunk| String::from_utf8_lossy(&chunk).into_owned())
}

fn somewhere() -> Connect {
    Connect { to: ([127, 0, 0, 1], 9).into(), from: None, deadline: Duration::from_secs(1) }
}

async fn echo(cx: Cx, leg: Leg) {
    while let Ok(Some(chunk)) = cx.read(leg).await {
        if cx.write(leg, chunk).await.is_err() {
            return;
        }
    }
}

#[test]
fn all_that_fits_is_read_and_written_within_one_event() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    rig.begin(&[leg], |cx| echo(cx, leg));
    let mut input = pieces(["one ", "two ", "three"]);
    assert_eq!(rig.bytes(leg, &mut input), Next::Stay);
    assert_eq!((input.len(), rig.sent(leg).as_str()), (0, "one two three"));
    assert_eq!(rig.on(Event::Eof(leg)), Next::Close);
    assert!(rig.wishes().is_empty(), "nothing was paused, the engine closes the legs");
}

#[test]
fn bytes_that_nobody_awaits_stay_unread_and_their_leg_is_paused_until_somebody_does() {
    let mut rig = Rig::new();
    let (one, two) = (rig.leg(), rig.leg());
    let said = Said::default();
    let says = said.clone();
    rig.begin(&[one, two], move |cx| async move {
        says.say(text(cx.read(one).await.unwrap()));
        says.say(text(cx.read(two).await.unwrap()));
        pending().await
    });
    let (mut ones, mut twos) = (pieces(["a", "b"]), pieces(["x"]));
    assert_eq!(rig.bytes(two, &mut twos), Next::Stay);
    assert_eq!(
        (twos.len(), rig.wishes(), said.take()),
        (1, vec![format!("pause {:?}", two.0)], String::new())
    );
    assert_eq!(rig.bytes(one, &mut ones), Next::Stay);
    assert_eq!((ones.len(), said.take().as_str()), (1, r#"Some("a")"#));
    assert_eq!(rig.wishes(), [format!("resume {:?}", two.0), format!("pause {:?}", one.0)]);
    assert_eq!(rig.bytes(two, &mut twos), Next::Stay);
    assert_eq!((twos.len(), said.take().as_str()), (0, r#"Some("x")"#));
}

#[test]
fn a_read_that_is_dropped_loses_no_byte() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    let said = Said::default();
    let (says, gate) = (said.clone(), Rc::new(Cell::new(false)));
    let open = gate.clone();
    rig.begin(&[leg], move |cx| async move {
        // The gate is asked first: when it opens in the poll that brings bytes, the read goes with them in its hand.
        let gate = poll_fn(|_| if open.get() { Poll::Ready(Ok(None)) } else { Poll::Pending });
        says.say(text(either(gate, cx.read(leg)).await.unwrap()));
        says.say(text(cx.read(leg).await.unwrap()));
        says.say(text(cx.read(leg).await.unwrap()));
    });
    gate.set(true);
    let mut input = pieces(["a", "b"]);
    assert_eq!(rig.bytes(leg, &mut input), Next::Close);
    assert_eq!(said.take(), r#"None Some("a") Some("b")"#);
}

#[test]
fn both_directions_are_awaited_at_once() {
    let mut rig = Rig::new();
    let (one, two) = (rig.leg(), rig.leg());
    rig.begin(&[one, two], |cx| async move {
        let copy = async |from, to| {
            while let Ok(Some(chunk)) = cx.read(from).await {
                cx.write(to, chunk).await.unwrap();
            }
            cx.finish(to);
        };
        both(copy(one, two), copy(two, one)).await;
    });
    for (from, to, said) in [(one, two, "up"), (two, one, "down"), (one, two, "again")] {
        assert_eq!(rig.bytes(from, &mut pieces([said])), Next::Stay);
        assert_eq!(rig.sent(to), said);
    }
    assert_eq!((rig.on(Event::Eof(one)), rig.wishes()), (Next::Stay, vec![format!("finish {:?}", two.0)]));
    assert_eq!(rig.on(Event::Eof(two)), Next::Close);
}

#[test]
fn a_write_waits_for_room_and_goes_out_whole_however_long() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    rig.begin(&[leg], |cx| echo(cx, leg));
    let long = "0123456789abcdefghijklmnopqrstuvwxyz!";
    let mut input = pieces([long, "next"]);
    assert_eq!(rig.bytes(leg, &mut input), Next::Stay);
    assert_eq!((input.len(), rig.wishes()), (1, vec![format!("pause {:?}", leg.0)]));
    let mut all = String::new();
    loop {
        let (sent, next) = rig.drain(leg);
        assert!(sent.len() <= OUT_MAX && next != Some(Next::Close));
        all += &sent;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((all.as_str(), rig.wishes()), (long, vec![format!("resume {:?}", leg.0)]));
}

#[test]
fn what_waits_for_a_slow_reader_holds_no_receive_buffer() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    rig.begin(&[leg], |cx| echo(cx, leg));
    let lease = rig.desk.pool.fill(b"exactly sixteen.").map(Chunk::Lease).unwrap();
    let blocked = rig.desk.pool.fill(b"blocked").map(Chunk::Lease).unwrap();
    assert_eq!(rig.bytes(leg, &mut VecDeque::from([lease, blocked])), Next::Stay);
    assert_eq!((rig.desk.pool.lent(), rig.desk.meter().bytes_copied.get()), (1, 7));
    assert_eq!(rig.drain(leg), ("exactly sixteen.".into(), Some(Next::Stay)));
    assert_eq!((rig.sent(leg).as_str(), rig.desk.pool.lent()), ("blocked", 0));
}

#[test]
fn a_write_that_is_dropped_is_written_whole_or_not_at_all() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    rig.begin(&[leg], |cx| async move {
        cx.write(leg, chunk("full full full ")).await.unwrap();
        let (one, two) = (cx.write(leg, chunk("<one>")), cx.write(leg, chunk("<two>")));
        let drained = cx.sleep(Duration::from_millis(1));
        either(async { _ = either(one, two).await }, drained).await;
        cx.write(leg, chunk("<three>")).await.unwrap();
    });
    let timer = rig.timer(Tick(1)).unwrap();
    assert_eq!(rig.on(Event::Timer(timer)), Next::Stay);
    let (sent, next) = rig.drain(leg);
    assert_eq!((sent.as_str(), next), ("full full full <", Some(Next::Close)));
    assert_eq!(rig.sent(leg), "one><three>");
}

#[test]
fn an_end_waits_for_what_was_written_and_an_abort_does_not() {
    for abort in [false, true] {
        let mut rig = Rig::new();
        let leg = rig.leg();
        rig.begin(&[leg], move |cx| async move {
            let long = cx.write(leg, chunk("more than sixteen bytes"));
            either(async { _ = long.await }, async {}).await;
            cx.finish(leg);
            assert_eq!(cx.write(leg, Chunk::Shared(Bytes::new())).await, Err(LegError::Os(32)));
            if abort {
                cx.abort(leg)
            } else {
                cx.close(leg)
            }
            assert_eq!(cx.read(leg).await.map(text), Err(LegError::Os(9)));
            assert_eq!(cx.write(leg, chunk("x")).await, Err(LegError::Os(9)));
        });
        if abort {
            assert_eq!(rig.wishes(), [format!("abort {:?}", leg.0)]);
            continue;
        }
        assert_eq!(rig.wishes(), [""; 0], "seven bytes have no room yet");
        assert_eq!(rig.drain(leg), ("more than sixteen".get(..16).unwrap().into(), Some(Next::Close)));
        assert_eq!((rig.sent(leg).as_str(), rig.wishes()), ("n bytes", vec![format!("close {:?}", leg.0)]));
    }
}

#[test]
fn a_leg_that_failed_says_why_to_reads_and_writes_after_what_it_had_said() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    let said = Said::default();
    let says = said.clone();
    rig.begin(&[leg], move |cx| async move {
        says.say(cx.write(leg, chunk("more than sixteen bytes")).await);
        says.say(cx.read(leg).await.map(text));
        says.say(cx.failed(leg).await);
    });
    assert_eq!(rig.on(Event::Failed(leg, LegError::Reset)), Next::Close);
    assert_eq!(said.take(), "Err(Reset) Err(Reset) Reset");
}

#[test]
fn a_connect_is_answered_by_its_leg_or_by_why_there_is_none() {
    let mut rig = Rig::new();
    let said = Said::default();
    let says = said.clone();
    rig.begin(&[], move |cx| async move {
        says.say(cx.connect(somewhere()).await);
        let leg = cx.connect(somewhere()).await.unwrap();
        cx.write(leg, chunk("hello")).await.unwrap();
        let (b, c, d) = (cx.connect(somewhere()), cx.connect(somewhere()), cx.connect(somewhere()));
        says.say(either(either(b, c), either(d, cx.connect(somewhere()))).await);
    });
    let [refused, leg] = [0, 1].map(|slot| Leg(Key { slot, generation: 1 }));
    assert_eq!(rig.wishes(), ["connect 0.1"]);
    assert_eq!(rig.on(Event::Failed(refused, LegError::Refused)), Next::Stay);
    assert_eq!((said.take().as_str(), rig.wishes()), ("Err(Refused)", vec!["connect 1.1".into()]));
    // Four legs are the bound; the refused one has not been let go of by the engine yet.
    assert_eq!(rig.on(Event::Opened(leg)), Next::Close);
    assert_eq!((rig.sent(leg).as_str(), said.take().as_str()), ("hello", "Err(NoRoom)"));
    assert_eq!(rig.wishes(), ["connect 2.1", "connect 3.1", "abort 2.1", "abort 3.1"]);
}

#[test]
fn a_connection_that_comes_after_its_asker_went_is_not_kept() {
    let mut rig = Rig::new();
    rig.begin(&[], |cx| async move {
        let connect = async { _ = cx.connect(somewhere()).await };
        either(connect, cx.sleep(Duration::from_millis(5))).await;
        cx.sleep(Duration::from_millis(5)).await;
    });
    let timer = rig.timer(Tick(5)).unwrap();
    assert_eq!(rig.on(Event::Timer(timer)), Next::Stay);
    assert_eq!(rig.wishes(), ["connect 0.1", "abort 0.1"]);
    assert_eq!(rig.on(Event::Opened(Leg(Key { slot: 0, generation: 1 }))), Next::Stay);
}

#[test]
fn a_timer_whose_sleeper_went_is_taken_back() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    rig.begin(&[leg], |cx| async move {
        let read = async { _ = cx.read(leg).await };
        either(read, cx.sleep(Duration::from_secs(9))).await;
        pending().await
    });
    assert_eq!(rig.desk.wheel.len(), 1);
    assert_eq!(rig.bytes(leg, &mut pieces(["x"])), Next::Stay);
    assert_eq!(rig.desk.wheel.len(), 0);
}

#[test]
fn a_pipe_begins_with_what_a_dropped_read_left_and_counts_it() {
    let mut rig = Rig::new();
    let (from, to) = (rig.leg(), rig.leg());
    let said = Said::default();
    let (says, gate) = (said.clone(), Rc::new(Cell::new(false)));
    let open = gate.clone();
    rig.begin(&[from, to], move |cx| async move {
        let gate = poll_fn(|_| if open.get() { Poll::Ready(Ok(None)) } else { Poll::Pending });
        drop(either(gate, cx.read(from)).await);
        says.say(cx.pipe(from, to, 100).await);
    });
    gate.set(true);
    let mut input = pieces(["left", "over"]);
    assert_eq!(rig.bytes(from, &mut input), Next::Stay);
    assert_eq!((input.len(), rig.sent(to).as_str()), (1, "left"));
    let Some(Wish::Pipe { n: 96, token, .. }) = rig.desk.wishes.pop_front() else {
        panic!("no pipe of 96 bytes")
    };
    assert_eq!(rig.on(Event::Done(token, Outcome::Piped(90))), Next::Close);
    assert_eq!(said.take(), "94");
}

#[test]
fn a_drain_reaches_the_story_that_waits_for_it() {
    let mut rig = Rig::new();
    let leg = rig.leg();
    rig.begin(&[leg], |cx| async move { either(echo(cx.clone(), leg), cx.draining()).await });
    assert_eq!(rig.bytes(leg, &mut pieces(["x"])), Next::Stay);
    assert_eq!(rig.on(Event::Drain(Tick(9))), Next::Close);
}

#[test]
fn a_story_that_ends_at_once_closes_its_session_in_the_next_turn() {
    let mut rig = Rig::new();
    rig.begin(&[], |cx| async move { cx.count(|meter| meter.upstream_failed.inc()) });
    assert_eq!((rig.wakes(), rig.desk.meter().upstream_failed.get()), (1, 1));
    assert_eq!(rig.on(Event::Wake), Next::Close);
}

#[test]
fn a_thread_wakes_a_story_and_a_late_wake_costs_nothing() {
    let mut rig = Rig::new();
    let (give, take) = mpsc::channel::<Waker>();
    let ready = Arc::new(AtomicBool::new(false));
    let (set, leave) = (ready.clone(), mpsc::channel::<()>());
    let thread = std::thread::spawn(move || {
        let waker = take.recv().expect("the story sends it");
        set.store(true, Ordering::Release);
        waker.wake_by_ref();
        leave.1.recv().expect("the test lives");
        waker.wake(); // the story, its session and its seat are gone
    });
    rig.begin(&[], move |_| {
        poll_fn(move |cx| {
            if ready.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            give.send(cx.waker().clone()).expect("the thread lives");
            Poll::Pending
        })
    });
    while rig.wakes() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(rig.on(Event::Wake), Next::Close);
    drop(rig);
    leave.0.send(()).expect("the thread lives");
    thread.join().expect("a wake never panics");
}

#[test]
fn a_combinator_with_wakers_of_its_own_polls_the_child_that_can_go_on() {
    /// Polls its child only after the child's waker was called, as large joins and unordered sets do.
    struct Choosy<F>(Pin<Box<F>>, Arc<Bell>);
    struct Bell(AtomicBool);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    impl<F: Future> Future for Choosy<F> {
        type Output = F::Output;
        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<F::Output> {
            if !self.1.0.swap(false, Ordering::Relaxed) {
                return Poll::Pending;
            }
            let waker = Waker::from(self.1.clone());
            self.0.as_mut().poll(&mut Context::from_waker(&waker))
        }
    }
    let mut rig = Rig::new();
    let leg = rig.leg();
    let bell = Arc::new(Bell(AtomicBool::new(true)));
    rig.begin(&[leg], |cx| Choosy(Box::pin(echo(cx, leg)), bell));
    assert_eq!(rig.bytes(leg, &mut pieces(["a", "b"])), Next::Stay);
    assert_eq!(rig.sent(leg), "ab");
    assert_eq!(rig.on(Event::Eof(leg)), Next::Close);
}

#[test]
fn an_event_allocates_nothing() {
    let counted = allocations_in_this_thread();
    let mut rig = Rig::new();
    assert!(allocations_in_this_thread() > counted, "allocations are counted here");
    let leg = rig.leg();
    let before = allocations_in_this_thread();
    rig.begin(&[leg], |cx| echo(cx, leg));
    assert_eq!(allocations_in_this_thread() - before, 3, "the story, the slate, its list of legs");
    for round in 0..3 {
        let mut input = pieces(["ab", "cd"]);
        let before = allocations_in_this_thread();
        let next = rig.bytes(leg, &mut input);
        let allocations = allocations_in_this_thread() - before;
        assert_eq!(next, Next::Stay);
        // The first round makes the output, which belongs to the leg.
        assert!(round == 0 || allocations == 0, "round {round}: {allocations} allocations");
        assert_eq!(rig.sent(leg), "abcd");
    }
}
