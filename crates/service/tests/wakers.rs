//! Stories that are woken from other threads, over real sockets: while their seat sleeps, from one thread into two
//! runtimes, and long after everything they belonged to has gone.

use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Running, Transport};
use shard::task::{Cx, Task};
use shard::{End, Event, Io, Leg, LegError, Next, Origin, Service};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

/// A question to the oracle, a thread that knows nothing of Ringmill: one byte in, the next byte out.
struct Question {
    byte: u8,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Default)]
struct Answer {
    byte: Option<u8>,
    waker: Option<Waker>,
}

impl Question {
    /// Answers, and gives the waker out for a test to keep.
    fn reply(self) -> Option<Waker> {
        let waker = {
            let mut answer = self.answer.lock().unwrap();
            answer.byte = Some(self.byte.wrapping_add(1));
            answer.waker.take()
        };
        if let Some(waker) = &waker {
            waker.wake_by_ref();
        }
        waker
    }
}

/// Each connection sends bytes and hears what the oracle says to each.
struct Seer(mpsc::Sender<Question>);

impl Service for Seer {
    type Session = Option<Task>;
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Option<Task> {
        let Origin::Accepted(leg, _) = origin else { return None };
        let oracle = self.0.clone();
        Some(Task::new(&[leg], |cx| async move { _ = ask_about_each(cx, leg, oracle).await }, io))
    }

    fn on(&mut self, session: &mut Option<Task>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match (session, event) {
            (Some(task), event) => task.on(event, io),
            (None, Event::Drain(_)) => Next::Close,
            (None, _) => Next::Stay,
        }
    }

    fn end(&mut self, _: Option<Task>, _: End) {}
}

async fn ask_about_each(cx: Cx, leg: Leg, oracle: mpsc::Sender<Question>) -> Result<(), LegError> {
    while let Some(chunk) = cx.read(leg).await? {
        for &byte in chunk.to_vec().iter() {
            let answer = Arc::new(Mutex::new(Answer::default()));
            let mut question = Some(Question { byte, answer: answer.clone() });
            let told = poll_fn(|context| {
                let mut answer = answer.lock().unwrap();
                answer.waker = Some(context.waker().clone());
                // Asked only once the waker is in place, as with any channel.
                question
                    .take()
                    .into_iter()
                    .for_each(|question| oracle.send(question).expect("the oracle lives"));
                answer.byte.map_or(Poll::Pending, Poll::Ready)
            });
            let told = told.await;
            cx.write(leg, linux::Chunk::Copied(vec![told].into())).await?;
        }
    }
    Ok(())
}

fn start(oracle: &mpsc::Sender<Question>) -> Running {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener =
        Listen { transport: Transport::Tcp, address, v6only: false, seat: None, late: false, refusal: None };
    let oracle = Mutex::new(oracle.clone());
    let plan = Plan { listeners: vec![listener], ..Plan::default() };
    let make = move |_, _: &_| Seer(oracle.lock().unwrap().clone());
    uring::start(plan, Control::default(), make).expect("the engine starts")
}

fn ask(stream: &mut TcpStream, byte: u8) -> u8 {
    let mut told = [0];
    stream.write_all(&[byte]).and_then(|()| stream.read_exact(&mut told)).expect("the seer answers");
    told[0]
}

fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.addresses()[0]).expect("it listens")
}

fn end(running: Running) {
    running.control().drain();
    for seat in running.join().seats {
        assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit, seat.counts.aborted), (0, 0, 0));
    }
}

#[test]
fn a_thread_wakes_stories_of_two_runtimes_at_once() {
    let (sender, questions) = mpsc::channel::<Question>();
    let oracle = thread::spawn(move || questions.into_iter().for_each(|question| drop(question.reply())));
    let runtimes = [start(&sender), start(&sender)];
    drop(sender);
    thread::scope(|scope| {
        for client in 0..8u8 {
            let running = &runtimes[usize::from(client % 2)];
            scope.spawn(move || {
                let mut stream = connect(running);
                for byte in 0..200 {
                    assert_eq!(ask(&mut stream, byte ^ client), (byte ^ client).wrapping_add(1));
                }
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            });
        }
    });
    runtimes.into_iter().for_each(end);
    oracle.join().expect("every question was answered");
}

#[test]
fn a_waker_outlives_its_story_its_runtime_and_disturbs_nobody_after_it() {
    let (sender, questions) = mpsc::channel::<Question>();
    let oracle =
        thread::spawn(move || questions.into_iter().filter_map(Question::reply).collect::<Vec<Waker>>());
    let first = start(&sender);
    let mut stream = connect(&first);
    (0..50).for_each(|byte| assert_eq!(ask(&mut stream, byte), byte + 1));
    drop(stream);
    end(first);
    drop(sender);
    let stale = oracle.join().expect("every question was answered");
    assert_eq!(stale.len(), 50);
    stale.iter().for_each(Waker::wake_by_ref);

    // The next runtime may have been given the inbox of the first, and slots of the same number.
    let (sender, questions) = mpsc::channel::<Question>();
    let oracle = thread::spawn(move || questions.into_iter().for_each(|question| drop(question.reply())));
    let second = start(&sender);
    let mut stream = connect(&second);
    for byte in 0..50 {
        stale.iter().for_each(Waker::wake_by_ref);
        assert_eq!(ask(&mut stream, byte), byte + 1);
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    end(second);
    drop(sender);
    oracle.join().expect("every question was answered");
    stale.into_iter().for_each(Waker::wake);
}
