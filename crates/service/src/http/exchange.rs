//! One request whose answer, or whose body, does not fit one call: what of both is still to come.
//!
//! ```text
//! answer: Echo (waits for the first byte of the body) -> Echoing -> Sent
//!         Memory | Pattern (as room comes) ---------------------->  Sent
//! body:   forwarded while echoing, else discarded up to a bound once the answer is sent
//! ```
//!
//! Never buffers: what has no room stays unread, and received chunks are forwarded as they are. Never decides about the
//! connection: [`Flow`] tells the conversation how far it came.

use super::answer::{Ask, HEAD_BYTES_MAX, Reply, Stamp};
use super::pattern;
use bytes::Bytes;
use linux::Chunk;
use proto::http1::{Body, Framing, Limits, Refusal, Step, encode};
use shard::{Input, Out};

/// The rest of one request.
pub(super) struct Exchange {
    body: Body,
    answer: Answer,
    /// Bytes of the body so far, framing included.
    pub(super) bytes: u64,
}

enum Answer {
    /// The echo's head waits until the body's first bytes are found to be well formed: until then it can be a refusal.
    Echo(Ask),
    Echoing {
        chunked: bool,
    },
    Memory(Bytes),
    Pattern {
        at: u64,
        left: u64,
    },
    Sent,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// To its end.
    Over,
    /// The output has no room; `Drained` will come.
    Room,
    /// All input is used, and the body goes on.
    Bytes,
    /// The body breaks the rules.
    Refused(Refusal),
    /// More of an unwanted body came than is worth reading.
    Unwanted,
}

/// What of an unwanted body is read so that the connection can go on. A longer one costs the connection instead.
pub(super) const DISCARD_BYTES_MAX: u64 = 64 << 10;
/// Chunk head, payload's end and last chunk: the most that the framing adds to one piece.
const FRAME_BYTES: usize = 32;
/// Pieces up to this size are copied behind what is queued already: cheaper than a place in the gather.
const COPY_BYTES_MAX: usize = 512;

impl Exchange {
    /// What is left of a request after [`Stamp::write`] wrote its reply; for an echo with a body, which waits, before.
    ///
    /// Where the connection ends with the answer, a body that is not echoed is not read.
    pub(super) fn new(reply: Reply, ask: &Ask) -> Exchange {
        let is_read = ask.keep_alive || reply == Reply::Echo;
        let body = Body::new(if is_read { ask.framing } else { Framing::None });
        let answer = match reply {
            Reply::Echo if ask.has_body() => Answer::Echo(*ask),
            Reply::Body { body, .. } if !ask.is_head && !body.is_empty() => Answer::Memory(body),
            Reply::Pattern(left) if !ask.is_head && left > 0 => Answer::Pattern { at: 0, left },
            _ => Answer::Sent,
        };
        Exchange { body, answer, bytes: 0 }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_done() && matches!(self.answer, Answer::Sent | Answer::Echoing { .. })
    }

    /// Whether the body has come whole: what follows in the input is another request.
    pub(super) fn has_body(&self) -> bool {
        self.body.is_done()
    }

    /// Whether the answer's head has been written. Before that a refusal can take its place.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.answer, Answer::Echo(_))
    }

    /// Sends what there is room for.
    pub(super) fn send(&mut self, out: &mut Out) -> Flow {
        match &mut self.answer {
            Answer::Memory(rest) => {
                if rest.len() <= COPY_BYTES_MAX && out.copy(rest) {
                    rest.clear();
                }
                while !rest.is_empty() {
                    let n = rest.len().min(out.room());
                    if !push(out, || Chunk::Shared(rest.split_to(n)), n) {
                        return Flow::Room;
                    }
                }
                self.answer = Answer::Sent;
            }
            Answer::Pattern { at, left } => {
                while *left > 0 {
                    let run = pattern::run(*at, (*left).min(out.room() as u64));
                    if !push(out, || Chunk::Shared(Bytes::from_static(run)), run.len()) {
                        return Flow::Room;
                    }
                    *at += run.len() as u64;
                    *left -= run.len() as u64;
                }
                self.answer = Answer::Sent;
            }
            Answer::Echo(_) | Answer::Echoing { .. } | Answer::Sent => {}
        }
        if self.is_over() { Flow::Over } else { Flow::Bytes }
    }

    /// Reads the body as far as it has come and there is room, once the answer is sent or while it is echoed. Before that there
    /// is none: [`Flow::Room`].
    pub(super) fn receive(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Out,
        limits: &Limits,
        stamp: &Stamp,
    ) -> Flow {
        if let Answer::Echo(ask) = &self.answer {
            if let Err(refusal) = rehearse(&self.body, input, limits) {
                return Flow::Refused(refusal);
            }
            if !out.write(HEAD_BYTES_MAX, |out| stamp.write(out, &Reply::Echo, ask)) {
                return Flow::Room;
            }
            self.answer = Answer::Echoing { chunked: ask.framing == Framing::Chunked };
        }
        while !self.is_over() {
            if input.is_empty() {
                return Flow::Bytes;
            }
            let step = match self.answer {
                Answer::Echoing { chunked } => self.forward(input, out, limits, chunked),
                Answer::Sent => self.discard(input, limits),
                Answer::Echo(_) | Answer::Memory(_) | Answer::Pattern { .. } => return Flow::Room,
            };
            match step {
                Ok(None) => {}
                Ok(Some(flow)) => return flow,
                Err(refusal) => return Flow::Refused(refusal),
            }
        }
        Flow::Over
    }

    /// Sends one piece of the body back. `Some` when it cannot.
    fn forward(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Out,
        limits: &Limits,
        chunked: bool,
    ) -> Result<Option<Flow>, Refusal> {
        if !out.reserve(input.first().len() + FRAME_BYTES) {
            return Ok(Some(Flow::Room));
        }
        let first = input.first();
        let piece = &first[..first.len().min(out.room() - FRAME_BYTES)];
        match self.body.decode(piece, limits)? {
            Step::Data { skip, len } => {
                self.bytes += (skip + len) as u64;
                if chunked {
                    out.write(FRAME_BYTES, |out| encode::chunk_head(out, len as u64));
                }
                let pushed = if len <= COPY_BYTES_MAX {
                    let copied = out.copy(&piece[skip..skip + len]);
                    input.skip(skip + len);
                    copied
                } else {
                    input.skip(skip);
                    input.take(len).is_some_and(|chunk| out.push(chunk).is_ok())
                };
                assert!(pushed, "the piece was cut to the room there was");
                if chunked {
                    out.copy(encode::CHUNK_END);
                }
            }
            Step::More { used } | Step::Done { used } => {
                self.bytes += used as u64;
                input.skip(used);
            }
        }
        if chunked && self.body.is_done() {
            out.copy(encode::LAST_CHUNK);
        }
        Ok(None)
    }

    /// Reads past one piece of a body that nobody wants.
    fn discard(&mut self, input: &mut Input<'_>, limits: &Limits) -> Result<Option<Flow>, Refusal> {
        let used = match self.body.decode(input.first(), limits)? {
            Step::Data { skip, len } => skip + len,
            Step::More { used } | Step::Done { used } => used,
        };
        input.skip(used);
        self.bytes += used as u64;
        Ok((self.bytes > DISCARD_BYTES_MAX && !self.body.is_done()).then_some(Flow::Unwanted))
    }
}

/// Reads all that has come of a body without taking it: whether its framing is right so far.
pub(super) fn rehearse(body: &Body, input: &Input<'_>, limits: &Limits) -> Result<(), Refusal> {
    let mut body = body.clone();
    for mut piece in input.chunks() {
        while !body.is_done() && !piece.is_empty() {
            match body.decode(piece, limits)? {
                Step::Data { skip, len } => piece = &piece[skip + len..],
                Step::More { used } | Step::Done { used } => piece = &piece[used..],
            }
        }
    }
    Ok(())
}

/// Adds a chunk of `n` bytes for which there is room. `false` when `n` is 0: then the output is marked as found full.
fn push(out: &mut Out, chunk: impl FnOnce() -> Chunk, n: usize) -> bool {
    if n == 0 {
        // A leg that is gone has no room and never will: its failure is on its way.
        let _marked = out.reserve(1);
        return false;
    }
    let pushed = out.push(chunk()).is_ok();
    debug_assert!(pushed, "the chunk was cut to the room there was");
    pushed
}
