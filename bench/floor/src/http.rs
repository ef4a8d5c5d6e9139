//! The canned HTTP answer and the count of request heads. Nothing is parsed: this is the floor below every parser.

use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of one answer.
pub const ANSWER_BYTES: usize = BEFORE_DATE.len() + DATE_BYTES + AFTER_DATE.len();
/// Answers in one block, and so the most that one send carries.
pub const BLOCK_ANSWERS: usize = 256;

const BEFORE_DATE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\nDate: ";
const AFTER_DATE: &str = "\r\n\r\nok";
const DATE_BYTES: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

/// Counts heads: how many times CR LF CR LF ends in a stream that comes in pieces.
#[derive(Clone, Copy, Default)]
pub struct Heads {
    /// Bytes of the end mark that the last piece ended with.
    matched: u8,
}

impl Heads {
    /// Heads that end in this piece.
    #[inline]
    pub fn count(&mut self, piece: &[u8]) -> usize {
        let mut ended = 0;
        let mut at = 0;
        // Byte by byte only while a mark that began in the piece before may go on.
        while self.matched > 0 && at < piece.len() {
            ended += self.step(piece[at]);
            at += 1;
        }
        // A mark of four bytes cannot hide from looks that are four apart.
        while at + 4 <= piece.len() {
            match piece[at + 3] {
                b'\n' if piece[at..at + 4] == *b"\r\n\r\n" => (ended, at) = (ended + 1, at + 4),
                b'\n' => at += 2,
                b'\r' => at += 1,
                _ => at += 4,
            }
        }
        for &byte in &piece[at..] {
            ended += self.step(byte);
        }
        ended
    }

    fn step(&mut self, byte: u8) -> usize {
        self.matched = match (self.matched, byte) {
            (0 | 2, b'\r') => self.matched + 1,
            (1, b'\n') => 2,
            (3, b'\n') => 4,
            (_, b'\r') => 1,
            _ => 0,
        };
        let ended = self.matched == 4;
        if ended {
            self.matched = 0;
        }
        usize::from(ended)
    }
}

/// Blocks of ready answers. A block that a send refers to is never rewritten.
pub struct Answers {
    blocks: Vec<Block>,
    current: usize,
    second: u64,
}

struct Block {
    bytes: Box<[u8]>,
    lent: usize,
}

impl Answers {
    /// One block with the date of now.
    pub fn new() -> Self {
        let second = now_seconds();
        Self { blocks: vec![Block { bytes: render(second), lent: 0 }], current: 0, second }
    }

    /// Makes the date right; a new block only when sends still refer to all others.
    pub fn refresh(&mut self) {
        let second = now_seconds();
        if second == self.second {
            return;
        }
        self.second = second;
        match self.blocks.iter().position(|block| block.lent == 0) {
            Some(free) => (self.blocks[free].bytes, self.current) = (render(second), free),
            None => {
                self.current = self.blocks.len();
                self.blocks.push(Block { bytes: render(second), lent: 0 });
            }
        }
    }

    /// The current block, for a loop that has sent what it takes before it calls `refresh` again.
    #[inline]
    pub fn current(&self) -> &[u8] {
        &self.blocks[self.current].bytes
    }

    /// The current block, lent to one send; `give_back` takes the number.
    #[inline]
    pub fn lend(&mut self) -> (usize, &[u8]) {
        let block = &mut self.blocks[self.current];
        block.lent += 1;
        (self.current, &block.bytes)
    }

    /// Ends what `lend` began.
    #[inline]
    pub fn give_back(&mut self, block: usize) {
        self.blocks[block].lent -= 1;
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self::new()
    }
}

fn render(second: u64) -> Box<[u8]> {
    let answer = format!("{BEFORE_DATE}{}{AFTER_DATE}", date(second));
    assert_eq!(answer.len(), ANSWER_BYTES);
    answer.repeat(BLOCK_ANSWERS).into_bytes().into_boxed_slice()
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
fn date(second: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (second / 86_400, second % 86_400);
    let (mut year, mut day) = (1970, days);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = |year: u64| if leap(year) { 366 } else { 365 };
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = length(year) - 337;
    let mut month = 0;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let name = DAYS[(days % 7) as usize];
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{name}, {:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1, MONTHS[month])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_wherever_the_stream_is_cut() {
        let stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\r\n\r\nx\r\n\r\r\n\r\n";
        let whole = Heads::default().count(stream);
        assert_eq!(whole, 4);
        for cut in 0..=stream.len() {
            let mut heads = Heads::default();
            assert_eq!(heads.count(&stream[..cut]) + heads.count(&stream[cut..]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn the_date_is_right_around_leap_days() {
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(date(1_735_689_600), "Wed, 01 Jan 2025 00:00:00 GMT");
    }
}
