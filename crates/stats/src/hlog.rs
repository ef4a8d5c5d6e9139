//! Interval logs: the histograms of each step of a run, in HdrHistogram's own file format (version 1.3, payloads V2 compressed).
//!
//! One line for a histogram, with its begin and length in seconds, its maximum, its tag and the whole histogram in base64, so that any
//! reader of the format (Java, Python, Rust, C) joins, cuts and plots what this program measured. All values are nanoseconds; times
//! count from the head's BaseTime. Logs are joined by adding histograms of the same tag, bucket to bucket; percentiles are never
//! joined. Writes into and reads from what it is given; opens nothing.

use crate::interval::Interval;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, IntervalLogWriterError, LogEntry, LogIteratorError, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializeError, V2DeflateSerializer};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

/// Writes the steps of a run as they end.
#[allow(missing_debug_implementations, reason = "a serializer has none")]
pub struct Writer<W> {
    out: W,
    serializer: V2DeflateSerializer,
}

impl<W: io::Write> Writer<W> {
    /// Writes the head. `began_unix_s` is when the measured time began, in seconds since 1970 UTC; the format keeps milliseconds.
    pub fn begin(mut out: W, program: &str, began_unix_s: f64) -> io::Result<Writer<W>> {
        let mut serializer = V2DeflateSerializer::new();
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(began_unix_s.max(0.0));
        IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment(&format!("[Written by {program}; values and Interval_Max in nanoseconds]"))
            .with_start_time(began)
            .with_base_time(began)
            .begin_log_with(&mut out, &mut serializer)?;
        out.write_all(LEGEND.as_bytes())?;
        Ok(Writer { out, serializer })
    }

    /// Writes one step: its `response` always, the others where they have a sample.
    pub fn step(&mut self, step: &Interval) -> io::Result<()> {
        for (tag, histogram) in step.each() {
            if tag == "response" || !histogram.is_empty() {
                let (from, to) = (Duration::from_nanos(step.from_ns), Duration::from_nanos(step.to_ns));
                self.line(tag, from, to.saturating_sub(from), histogram)?;
            }
        }
        Ok(())
    }

    /// Writes one histogram. A tag must not have a comma, a space or the end of a line in it; without one it is the untagged.
    pub fn line(
        &mut self,
        tag: &str,
        from: Duration,
        length: Duration,
        values: &Histogram<u64>,
    ) -> io::Result<()> {
        let tag = Some(tag).filter(|tag| !tag.is_empty());
        let tag = tag
            .map(|tag| Tag::new(tag).ok_or_else(|| io::Error::other(format!("`{tag}` is no tag"))))
            .transpose()?;
        // The crate's writer keeps borrows of both; begun without a head it costs nothing and writes nothing of its own.
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut self.out, &mut self.serializer)?
            .write_histogram(values, from, length, tag)
            .map_err(|error| match error {
                IntervalLogWriterError::IoError(error)
                | IntervalLogWriterError::SerializeError(V2DeflateSerializeError::IoError(error)) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            })
    }

    /// Gives back what was written into, flushed.
    pub fn end(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

const LEGEND: &str =
    "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";

/// One histogram of a log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its tag; empty without one.
    pub tag: String,
    /// Its begin, since the log's base time (without one, since 1970).
    pub from: Duration,
    /// How long it is.
    pub length: Duration,
    /// What was recorded.
    pub values: Histogram<u64>,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// A line is neither a comment nor a histogram. The last line must end with a newline too.
    Line {
        /// Bytes before it.
        offset: usize,
    },
    /// A line has no histogram behind its last comma.
    Payload {
        /// Which line that has a histogram, from 1.
        entry: usize,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for LogError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Line { offset } => {
                write!(out, "the line at byte {offset} is none of an interval log (cut off?)")
            }
            LogError::Payload { entry, reason } => write!(out, "histogram {entry} cannot be read: {reason}"),
        }
    }
}

impl std::error::Error for LogError {}

/// Reads a log, one histogram at a time: a long one is never unpacked at once. Ends after the first error.
pub fn read(log: &[u8]) -> impl Iterator<Item = Result<Entry, LogError>> {
    let mut deserializer = Deserializer::new();
    let mut entry = 0;
    let mut lines = IntervalLogIterator::new(log);
    let mut failed = false;
    std::iter::from_fn(move || {
        loop {
            if failed {
                return None;
            }
            let line = match lines.next()? {
                Ok(LogEntry::Interval(line)) => line,
                Ok(LogEntry::StartTime(_) | LogEntry::BaseTime(_)) => continue,
                Err(LogIteratorError::ParseError { offset }) => {
                    failed = true;
                    return Some(Err(LogError::Line { offset }));
                }
            };
            entry += 1;
            let read = unpack(&mut deserializer, line.encoded_histogram());
            failed = read.is_err();
            return Some(match read {
                Ok(values) => Ok(Entry {
                    tag: line.tag().map_or(String::new(), |tag| tag.as_str().to_owned()),
                    from: line.start_timestamp(),
                    length: line.duration(),
                    values,
                }),
                Err(reason) => Err(LogError::Payload { entry, reason }),
            });
        }
    })
}

fn unpack(deserializer: &mut Deserializer, text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    deserializer.deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())
}

/// When a log began, in seconds since 1970 UTC: its base time, or its start time.
pub fn began_unix_s(log: &[u8]) -> Option<f64> {
    let mut began = None;
    for line in IntervalLogIterator::new(log).map_while(Result::ok) {
        match line {
            LogEntry::BaseTime(time) => return Some(time.as_secs_f64()),
            LogEntry::StartTime(time) => began = Some(time.as_secs_f64()),
            LogEntry::Interval(_) => return began,
        }
    }
    began
}

/// What several logs say together: of each tag all that was recorded, from the first begin to the last end.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    tags: BTreeMap<String, Entry>,
}

impl Joined {
    /// Adds a log. After an error, what stood before it in the log is in.
    pub fn add(&mut self, log: &[u8]) -> Result<(), LogError> {
        for (at, entry) in read(log).enumerate() {
            let entry = entry?;
            let Some(joined) = self.tags.get_mut(&entry.tag) else {
                self.tags.insert(entry.tag.clone(), entry);
                continue;
            };
            let end = (joined.from + joined.length).max(entry.from + entry.length);
            joined.from = joined.from.min(entry.from);
            joined.length = end - joined.from;
            // Another program's log may have other bounds; one of ours never needs it.
            joined.values.auto(true);
            joined
                .values
                .add(&entry.values)
                .map_err(|error| LogError::Payload { entry: at + 1, reason: error.to_string() })?;
        }
        Ok(())
    }

    /// The sum of each tag, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tags.values()
    }

    /// Writes the sums as a log of one line a tag.
    pub fn write<W: io::Write>(&self, out: W, program: &str, began_unix_s: f64) -> io::Result<W> {
        let mut writer = Writer::begin(out, program, began_unix_s)?;
        for Entry { tag, from, length, values } in self.tags.values() {
            writer.line(tag, *from, *length, values)?;
        }
        writer.end()
    }
}

#[cfg(test)]
mod tests;
