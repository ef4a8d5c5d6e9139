//! Who may say what when, for a server that keeps nothing of strangers, and for a client: both as one table each.
//!
//! ```text
//! server, for an address:   unknown --HELLO with a good cookie--> open --GOAWAY, ERROR, silence--> unknown
//!
//! client:   asking --cookie--> proving --HELLO--> open --GOAWAY--> leaving --its own GOAWAY--> parting --GOAWAY--> closed
//!              ^_________________/ ERROR bad-cookie: it was too late
//! ```
//!
//! Nothing that a stranger says can go on for ever between two servers, or between a server and a machine that sends back what it
//! gets: a HELLO is answered once, ERROR, PONG, ACK, and a GOAWAY of a stranger are not answered.

use crate::frame::kind::Kind;
use crate::frame::refusal::Refusal;

/// What came, once its header and payload are known to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// To a server: a HELLO with zeroes where the cookie belongs.
    Ask,
    /// To a server: a HELLO with a good cookie.
    Proof,
    /// To a server: a HELLO with another one.
    Stale,
    /// A HELLO without a place for a cookie: to a client, that it is known.
    Bare,
    /// To a client: a HELLO with its cookie.
    Cookie,
    /// An ERROR that says the cookie is not good.
    BadCookie,
    /// Anything else.
    Other(Kind),
}

/// What a server knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Unknown,
    /// It has shown its cookie.
    Open,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSays {
    /// Nothing.
    Nothing,
    /// HELLO with a cookie; nothing is kept.
    Cookie,
    /// A conversation begins, or has begun with this very HELLO and the answer was lost: HELLO.
    Greet,
    /// PONG, and what the number says is settled is.
    Pong,
    /// It is a PONG or an ACK of something that this side has sent.
    Heard,
    /// It is for whoever uses the protocol: once, and in order if that is asked.
    Take,
    /// GOAWAY back, and nothing is known of it any more.
    Finish,
    /// Nothing is known of it any more.
    Forget,
    /// ERROR, if that is no longer than what came. What is known stays.
    Refuse(Refusal),
}

/// What a server that may be draining does about what came from an address.
#[must_use]
pub const fn server(known: Known, draining: bool, came: Came) -> ServerSays {
    use Known::{Open, Unknown};
    match (known, came) {
        (_, Came::Stale | Came::Bare) => ServerSays::Refuse(Refusal::Cookie),
        (Unknown, Came::Ask | Came::Proof) if draining => ServerSays::Refuse(Refusal::Busy),
        (_, Came::Ask) => ServerSays::Cookie,
        (_, Came::Proof) => ServerSays::Greet,
        (Unknown, Came::Other(Kind::Ping | Kind::Data | Kind::Application(_))) => {
            ServerSays::Refuse(Refusal::HelloExpected)
        }
        (Unknown, _) => ServerSays::Nothing,
        (Open, Came::Other(Kind::Ping)) => ServerSays::Pong,
        (Open, Came::Other(Kind::Pong | Kind::Ack)) => ServerSays::Heard,
        (Open, Came::Other(Kind::Data | Kind::Application(_))) => ServerSays::Take,
        (Open, Came::Other(Kind::Goaway)) => ServerSays::Finish,
        (Open, Came::BadCookie | Came::Other(Kind::Error)) => ServerSays::Forget,
        (Open, Came::Cookie | Came::Other(Kind::Hello)) => ServerSays::Nothing,
    }
}

/// How far a client has come. 1 byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(CallerState);

/// See [`Caller`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerState {
    /// It says HELLO with zeroes for the cookie, again and again.
    Asking,
    /// It says HELLO with the cookie that it was given.
    Proving,
    /// Anything may be said.
    Open,
    /// The server has said GOAWAY: nothing new is begun.
    Leaving,
    /// It says GOAWAY, again and again.
    Parting,
    /// It is over.
    Closed,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerSays {
    /// Nothing.
    Nothing,
    /// HELLO with zeroes for the cookie.
    Ask,
    /// HELLO with the cookie that came.
    Prove,
    /// The conversation begins with what this HELLO says.
    Settle,
    /// PONG, and what the number says is settled is.
    Pong,
    /// It is a PONG or an ACK.
    Heard,
    /// It is for whoever uses the protocol.
    Take,
    /// The server leaves: finish what was begun, then say GOAWAY.
    Leave,
    /// It is over.
    Close,
}

impl Caller {
    /// A client that says its first HELLO.
    #[must_use]
    pub const fn new() -> Caller {
        Caller(CallerState::Asking)
    }

    /// Where it is.
    #[must_use]
    pub const fn state(self) -> CallerState {
        self.0
    }

    /// It says GOAWAY from now on, or was never greeted and is over.
    pub const fn part(&mut self) {
        self.0 = match self.0 {
            CallerState::Open | CallerState::Leaving | CallerState::Parting => CallerState::Parting,
            CallerState::Asking | CallerState::Proving | CallerState::Closed => CallerState::Closed,
        };
    }

    /// It is over: the server was silent for too long.
    pub const fn close(&mut self) {
        self.0 = CallerState::Closed;
    }

    /// Something came from the server.
    pub const fn on(&mut self, came: Came) -> CallerSays {
        let (state, says) = next(self.0, came);
        self.0 = state;
        says
    }
}

impl Default for Caller {
    fn default() -> Caller {
        Caller::new()
    }
}

const fn next(state: CallerState, came: Came) -> (CallerState, CallerSays) {
    use CallerState::{Asking, Closed, Leaving, Open, Parting, Proving};
    match (state, came) {
        (Closed, _) | (_, Came::Ask | Came::Proof | Came::Stale | Came::Other(Kind::Hello)) => {
            (state, CallerSays::Nothing)
        }
        (Asking | Proving, Came::Cookie) => (Proving, CallerSays::Prove),
        (Proving, Came::BadCookie) => (Asking, CallerSays::Ask),
        (Proving, Came::Bare) => (Open, CallerSays::Settle),
        // Late twins of what was answered.
        (_, Came::Cookie | Came::Bare | Came::BadCookie) => (state, CallerSays::Nothing),
        (_, Came::Other(Kind::Error)) => (Closed, CallerSays::Close),
        (Asking | Proving, Came::Other(_)) => (state, CallerSays::Nothing),
        (Open | Leaving | Parting, Came::Other(Kind::Ping)) => (state, CallerSays::Pong),
        (Open | Leaving | Parting, Came::Other(Kind::Pong | Kind::Ack)) => (state, CallerSays::Heard),
        (Open | Leaving | Parting, Came::Other(Kind::Data | Kind::Application(_))) => {
            (state, CallerSays::Take)
        }
        (Open, Came::Other(Kind::Goaway)) => (Leaving, CallerSays::Leave),
        (Leaving, Came::Other(Kind::Goaway)) => (Leaving, CallerSays::Nothing),
        (Parting, Came::Other(Kind::Goaway)) => (Closed, CallerSays::Close),
    }
}
