//! Two readers of frames, as the tests tell what they read: one that is given pieces, one that sees all at once.

use proto::frame::{
    Ack, Body, Error, Goaway, HEADER_BYTES, Header, Hello, Kind, Over, Ping, Refusal, Rules, read, whole,
};
use serde_json::{Value, json};

/// What was read of an input.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) frames: Vec<Value>,
    pub(crate) refusal: Option<Refusal>,
    /// Bytes that are no whole frame yet. A refusal leaves none: nobody reads on.
    pub(crate) rest: usize,
}

/// Reads a stream as a service does: headers from a buffer, payloads in whatever pieces they come.
pub(crate) fn in_pieces(input: &[u8], rules: &Rules, cuts: impl IntoIterator<Item = usize>) -> Told {
    let mut reader =
        Reader { rules: *rules, held: Vec::new(), frame: None, payload: Vec::new(), told: Told::default() };
    let mut from = 0;
    for cut in cuts.into_iter().chain([input.len()]) {
        reader.receive(&input[from..cut]);
        from = cut;
    }
    let begun = if reader.frame.is_some() { HEADER_BYTES } else { 0 };
    let rest = begun + reader.payload.len() + reader.held.len();
    Told { rest: if reader.told.refusal.is_some() { 0 } else { rest }, ..reader.told }
}

struct Reader {
    rules: Rules,
    /// A part of a header or of a trailer.
    held: Vec<u8>,
    frame: Option<(Header, Body)>,
    payload: Vec<u8>,
    told: Told,
}

impl Reader {
    fn receive(&mut self, piece: &[u8]) {
        let mut piece = piece;
        while self.told.refusal.is_none() {
            match self.step(&mut piece) {
                Ok(true) => {}
                Ok(false) => break,
                Err(refusal) => self.told.refusal = Some(refusal),
            }
        }
    }

    /// Reads as far as one header, payload or trailer; `false` when more bytes are needed.
    fn step(&mut self, piece: &mut &[u8]) -> Result<bool, Refusal> {
        let Some((header, body)) = &mut self.frame else {
            fill(&mut self.held, HEADER_BYTES, piece);
            let Some(header) = Header::read(&self.held, &self.rules)? else {
                assert!(self.held.len() < HEADER_BYTES);
                return Ok(false);
            };
            self.held.clear();
            self.frame = Some((header, Body::new(&header)));
            return Ok(true);
        };
        let (now, rest) = piece.split_at(piece.len().min(body.left() as usize));
        body.pass(now);
        self.payload.extend_from_slice(now);
        *piece = rest;
        if body.left() > 0 {
            return Ok(false);
        }
        fill(&mut self.held, body.trailer_bytes(), piece);
        if self.held.len() < body.trailer_bytes() {
            return Ok(false);
        }
        body.end(&self.held)?;
        let told = tell(header, &self.payload)?;
        self.told.frames.push(told);
        self.held.clear();
        self.payload.clear();
        self.frame = None;
        Ok(true)
    }
}

fn fill(held: &mut Vec<u8>, up_to: usize, piece: &mut &[u8]) {
    let (now, rest) = piece.split_at(piece.len().min(up_to - held.len()));
    held.extend_from_slice(now);
    *piece = rest;
}

/// Reads frame by frame from the whole of the input. What is refused, and where, is the same as in pieces.
pub(crate) fn at_once(input: &[u8], rules: &Rules) -> Told {
    let mut told = Told { rest: input.len(), ..Told::default() };
    loop {
        let rest = &input[input.len() - told.rest..];
        let read = whole(rest, rules).and_then(|frame| {
            frame.map(|(header, payload)| Ok((header.frame_bytes(), tell(&header, payload)?))).transpose()
        });
        match read {
            Ok(Some((bytes, frame))) => {
                told.frames.push(frame);
                told.rest -= bytes;
            }
            Ok(None) => return told,
            Err(refusal) => return Told { refusal: Some(refusal), rest: 0, ..told },
        }
    }
}

/// A datagram, as one frame or none.
pub(crate) fn datagram(input: &[u8], rules: &Rules) -> Told {
    assert_eq!(rules.over, Over::Datagram);
    let read = proto::frame::datagram(input, rules).and_then(|(header, payload)| tell(&header, payload));
    match read {
        Ok(frame) => Told { frames: vec![frame], ..Told::default() },
        Err(refusal) => Told { refusal: Some(refusal), ..Told::default() },
    }
}

/// A frame as the golden vectors have it.
fn tell(header: &Header, payload: &[u8]) -> Result<Value, Refusal> {
    let name = match header.kind {
        Kind::Application(number) => format!("APPLICATION {number}"),
        kind => kind.name().to_owned(),
    };
    let mut told =
        json!({ "frame": name, "seq": header.seq, "flags": header.flags.0, "payload": hex(payload) });
    if let Some(message) = message(header.kind, payload)? {
        told["message"] = message;
    }
    Ok(told)
}

fn message(kind: Kind, payload: &[u8]) -> Result<Option<Value>, Refusal> {
    Ok(Some(match kind {
        Kind::Hello => {
            let hello: Hello = read(payload)?;
            json!({
                "versions": hello.versions, "heartbeat_ms": hello.heartbeat_ms, "misses": hello.misses,
                "payload_bytes_max": hello.payload_bytes_max,
                "client_id": hex(&hello.client_id), "cookie": hex(&hello.cookie), "first": hello.first,
            })
        }
        Kind::Ping | Kind::Pong => json!({ "stamp": read::<Ping>(payload)?.stamp }),
        Kind::Ack => {
            let ack: Ack = read(payload)?;
            json!({ "before": ack.before, "floor": ack.floor })
        }
        Kind::Error => {
            let error: Error = read(payload)?;
            json!({ "code": error.code, "text": error.text })
        }
        Kind::Goaway => {
            let goaway: Goaway = read(payload)?;
            json!({ "deadline_ms": goaway.deadline_ms, "text": goaway.text })
        }
        Kind::Data | Kind::Application(_) => return Ok(None),
    }))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}
