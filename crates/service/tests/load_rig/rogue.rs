//! A server that does whatever it likes with each request, until it has sobered up: then it echoes.

use shard::engine::sim::{Line, Peer};
use std::time::Duration;

/// Of messages that are `bytes` long, or of HTTP requests that are.
#[derive(Clone)]
pub(crate) struct Rogue {
    bytes: usize,
    http: bool,
    /// How often something is done wrong, 0 to 1, and until when.
    wrong: f64,
    until_ns: u64,
    waiting: Vec<u8>,
    /// What is sent when the timer comes.
    later: Vec<u8>,
}

pub(crate) const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Rogue {
    pub(crate) fn echo(bytes: usize, wrong: f64, until_ns: u64) -> Rogue {
        Rogue { bytes, http: false, wrong, until_ns, waiting: Vec::new(), later: Vec::new() }
    }

    pub(crate) fn http(request_bytes: usize, wrong: f64, until_ns: u64) -> Rogue {
        Rogue { http: true, ..Rogue::echo(request_bytes, wrong, until_ns) }
    }

    fn answer(&self, message: Vec<u8>, line: &mut Line<'_>) -> Vec<u8> {
        let kinds = [
            ANSWER,
            ANSWER,
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 404 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngone",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nok",
        ];
        match self.http {
            true if line.now_ns() >= self.until_ns => ANSWER.into(),
            true => kinds[line.random().below(kinds.len() as u64) as usize].into(),
            false => message,
        }
    }

    fn misbehave(&mut self, mut answer: Vec<u8>, line: &mut Line<'_>) {
        let n = answer.len() as u64;
        let at = line.random().below(n) as usize;
        match line.random().below(11) {
            0 => line.finish(),
            1 => line.reset(),
            2 => line.close(),
            3 => line.send(b"\0\xff garbage \r\n\r\n"),
            4 => line.send(answer.repeat(2)),
            5 => line.send(answer[..at].to_vec()),
            6 => {
                answer[at] ^= 1;
                line.send(answer);
            }
            // Silent, or stalled.
            7 => {}
            8 => {
                self.later.extend(answer);
                let ms = 1 + line.random().below(300);
                line.wait(Duration::from_millis(ms));
            }
            9 => {
                answer.truncate(at);
                line.send(answer);
                line.finish();
            }
            _ => {
                answer.push(7);
                line.send(answer);
            }
        }
    }
}

impl Peer for Rogue {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        let wrong = self.wrong / 4.0;
        if line.now_ns() < self.until_ns && line.random().chance(wrong) {
            match line.random().below(4) {
                0 => line.finish(),
                1 => line.reset(),
                2 => line.read(false),
                _ => line.send("unasked"),
            }
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() >= self.bytes {
            let message = self.waiting.drain(..self.bytes).collect();
            let answer = self.answer(message, line);
            let wrong = self.wrong;
            if line.now_ns() < self.until_ns && line.random().chance(wrong) {
                // Two that came together go back in the other order.
                if self.waiting.len() >= self.bytes && line.random().chance(0.2) {
                    line.send(self.waiting.drain(..self.bytes).collect::<Vec<u8>>());
                    line.send(answer);
                } else {
                    self.misbehave(answer, line);
                }
            } else {
                line.send(answer);
            }
        }
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        line.send(std::mem::take(&mut self.later));
    }
}
