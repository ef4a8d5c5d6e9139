//! What comes from the server: answers piece by piece, control frames whole.

use super::{Client, Told, Why, later};
use proto::frame::{
    Answer, Body, Error, HEADER_BYTES, Header, Heard, Hello, Kind, Over, Refusal, Rules, State, read, whole,
};
use shard::{Input, Io, Service};
use std::time::Duration;

impl Client {
    /// Reads as far as it goes; a server that is not to be understood is left.
    pub(super) fn hear<S: Service>(
        &mut self,
        mut input: Input<'_>,
        io: &mut Io<'_, S>,
        told: &mut impl FnMut(Told<'_>),
    ) {
        self.heard = Heard::at(io.now().0);
        if self.conversation.state() != State::Greeting {
            self.looks = 0;
        }
        while self.leg.is_some() {
            match self.step(&mut input, io, told) {
                Ok(true) => {}
                Ok(false) => break,
                Err(refusal) => self.lose(Why::Refused(refusal), io, told),
            }
        }
    }

    /// Reads one header, piece or control frame; `false` when more bytes are needed.
    fn step<S: Service>(
        &mut self,
        input: &mut Input<'_>,
        io: &mut Io<'_, S>,
        told: &mut impl FnMut(Told<'_>),
    ) -> Result<bool, Refusal> {
        if self.answer.is_some() {
            return self.piece(input, told);
        }
        let rules = Rules { over: Over::Stream, payload_bytes_max: self.payload_bytes_max };
        let Some(header) = Header::read(input.contiguous(HEADER_BYTES), &rules)? else { return Ok(false) };
        if header.kind.is_control() {
            let bytes = header.frame_bytes();
            if input.len() < bytes {
                return Ok(false);
            }
            let done = match whole(input.contiguous(bytes), &rules)? {
                Some((header, payload)) => self.control(&header, payload, io, told),
                None => unreachable!("all of it is there"),
            };
            if self.leg.is_some() {
                input.skip(bytes);
            }
            return done.map(|()| true);
        }
        if let Answer::Refuse(refusal) = self.conversation.on(header.kind) {
            return Err(refusal);
        }
        input.skip(HEADER_BYTES);
        let at = self.asked.iter().position(|asked| asked.seq == header.seq);
        self.answer = Some((at.and_then(|at| self.asked.remove(at)), Body::new(&header)));
        Ok(true)
    }

    fn piece(&mut self, input: &mut Input<'_>, told: &mut impl FnMut(Told<'_>)) -> Result<bool, Refusal> {
        let Some((asked, body)) = &mut self.answer else { return Ok(true) };
        let trailer = body.trailer_bytes();
        let n = input.first().len().min(body.left() as usize);
        // The last piece is told when the sum behind it is known to be right.
        let last = n == body.left() as usize;
        if last && input.len() < n + trailer || !last && n == 0 {
            return Ok(false);
        }
        let bytes = input.contiguous(if last { n + trailer } else { n });
        body.pass(&bytes[..n]);
        if last {
            body.end(&bytes[n..])?;
        }
        asked.iter().for_each(|asked| told(Told::Answer(asked.ticket, &bytes[..n], body.left())));
        input.skip(if last { n + trailer } else { n });
        if last {
            self.answer = None;
        }
        Ok(true)
    }

    fn control<S: Service>(
        &mut self,
        header: &Header,
        payload: &[u8],
        io: &mut Io<'_, S>,
        told: &mut impl FnMut(Told<'_>),
    ) -> Result<(), Refusal> {
        let Some(leg) = self.leg else { return Ok(()) };
        match self.conversation.on(header.kind) {
            Answer::Greet => {
                let agreed = read::<Hello>(payload)?.settled()?;
                (self.pace, self.payload_bytes_max) = (agreed.pace, agreed.payload_bytes_max);
                (self.waited, self.looks) = (None, 0);
                let beat = self.pace.beat_ms(io.random());
                self.look_at = later(io.now(), Duration::from_millis(beat.into()));
                told(Told::Up(agreed));
                self.refuse_long(told);
                self.pour(io);
            }
            // In the midst of a frame nothing can be said; its bytes are traffic.
            Answer::Pong if self.sending.is_none() && io.room(leg) >= HEADER_BYTES + payload.len() => {
                let out = io.out(leg);
                out.copy(&Header::new(Kind::Pong, header.length, header.seq).to_bytes());
                out.copy(payload);
            }
            Answer::Close => {
                let code = read::<Error>(payload)?.code;
                self.lose(Why::Error(code), io, told);
            }
            Answer::Finish => self.lose(Why::Left, io, told),
            Answer::Refuse(refusal) => return Err(refusal),
            // What is not sent yet waits for the next connection.
            Answer::Leave | Answer::Nothing | Answer::Heard | Answer::Take | Answer::Pong => {}
        }
        Ok(())
    }
}
