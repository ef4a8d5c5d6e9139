//! Who may say what when: the state machine of one connection, for either side.
//!
//! ```text
//!              HELLO            GOAWAY, ours or (client) the server's
//! Greeting ------------> Open -----------------------------------> Leaving
//!    |                    |                                           |
//!    | GOAWAY             | (server) GOAWAY of the client             | (server) GOAWAY of the client
//!    \____________________\___________________________________________\_____> Closed
//!           ERROR, or anything that is out of place: it is refused
//! ```
//!
//! A server waits for HELLO and answers it; a client has sent it and waits for the answer. Nothing is ever said about an ERROR:
//! two sides that answer errors with errors would never stop. A GOAWAY of a client comes behind all that it asked, so a server
//! has only to send what it has; a client that is told GOAWAY waits for the answers that it is owed, then says GOAWAY itself.
//! The time is kept elsewhere ([`heartbeat`](super::heartbeat) and the service), payloads are read elsewhere.

use super::kind::Kind;
use super::refusal::Refusal;

/// One connection. 2 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation {
    role: Role,
    state: State,
}

/// Which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepted the connection.
    Server,
    /// It opened the connection and said HELLO.
    Client,
}

/// How far the conversation has come. It only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The peer's HELLO did not come yet.
    Greeting,
    /// Anything may be said.
    Open,
    /// One side has said GOAWAY: what was begun is finished, nothing new is begun.
    Leaving,
    /// Nothing that comes is looked at any more.
    Closed,
}

/// What a frame is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// Its payload is a HELLO. A server agrees to it and answers with its own, a client takes note.
    Greet,
    /// A PONG with its number and its payload.
    Pong,
    /// It is an ACK, or a PONG, of something that this side has sent.
    Heard,
    /// Its payload is for whoever uses the protocol.
    Take,
    /// The server leaves: finish what was begun, then say GOAWAY (clients only).
    Leave,
    /// Send what there is to send, then close.
    Finish,
    /// The peer says why it closes: close.
    Close,
    /// ERROR, then close.
    Refuse(Refusal),
}

impl Conversation {
    /// A connection that begins.
    #[must_use]
    pub const fn new(role: Role) -> Conversation {
        Conversation { role, state: State::Greeting }
    }

    /// Where it is.
    #[must_use]
    pub const fn state(self) -> State {
        self.state
    }

    /// A frame came whose header is good.
    pub fn on(&mut self, kind: Kind) -> Answer {
        let (state, answer) = next(self.role, self.state, kind);
        self.state = state;
        answer
    }

    /// This side says GOAWAY. Says whether it is to be sent: once, and not before the greeting.
    pub fn leave(&mut self) -> bool {
        let leaves = self.state == State::Open;
        if leaves {
            self.state = State::Leaving;
        }
        leaves
    }

    /// This side closes, for whatever reason.
    pub fn close(&mut self) {
        self.state = State::Closed;
    }
}

fn next(role: Role, state: State, kind: Kind) -> (State, Answer) {
    use State::{Closed, Greeting, Leaving, Open};
    match (state, kind) {
        (Closed, _) => (Closed, Answer::Nothing),
        (_, Kind::Error) => (Closed, Answer::Close),
        (Greeting, Kind::Hello) => (Open, Answer::Greet),
        // A server that drains says it instead of its HELLO.
        (Greeting, Kind::Goaway) => (Closed, Answer::Finish),
        (Greeting, _) => (Closed, Answer::Refuse(Refusal::HelloExpected)),
        (Open | Leaving, Kind::Hello) => (Closed, Answer::Refuse(Refusal::HelloRepeated)),
        (Open | Leaving, Kind::Ping) => (state, Answer::Pong),
        (Open | Leaving, Kind::Pong | Kind::Ack) => (state, Answer::Heard),
        (Open | Leaving, Kind::Data | Kind::Application(_)) => (state, Answer::Take),
        (Open | Leaving, Kind::Goaway) if role == Role::Server => (Closed, Answer::Finish),
        (Open, Kind::Goaway) => (Leaving, Answer::Leave),
        // Both left at the same time: what is owed still comes, and the end of the stream behind it.
        (Leaving, Kind::Goaway) => (Leaving, Answer::Nothing),
    }
}

const _: () = assert!(size_of::<Conversation>() == 2);
