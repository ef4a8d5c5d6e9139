//! What may go wrong, and how often. The default is a kernel that does all it is asked at once.

use crate::random::Random;

/// Probabilities are those of one request in one step.
#[derive(Clone, Copy)]
pub(super) struct Luck {
    /// A completion finds its queue full: the multishot ends, with a good result.
    pub(super) overflow: f64,
    /// A send ends with a part of its bytes.
    pub(super) short_send: f64,
    /// Less is moved than could be.
    pub(super) partial: f64,
    /// Nothing happens.
    pub(super) idle: f64,
    /// A shutdown, a connect or a notification takes some steps.
    pub(super) late: f64,
    /// A cancel comes too late: the request goes on for some steps, and may end by itself before.
    pub(super) late_cancel: f64,
    /// An accept fails for want of a descriptor.
    pub(super) no_descriptor: f64,
    /// A zero-copy send fails before it begins.
    pub(super) no_zero_copy: f64,
    /// A zero-copy send was copied after all.
    pub(super) copied: f64,
    /// Requests go on in any order.
    pub(super) odd_order: bool,
    /// Most buffers of one receive.
    pub(super) bundle: u32,
    /// Bytes after which a receive ends, where that is less than the engine asked for.
    pub(super) receive_limit: Option<u32>,
    /// Steps that every notification takes.
    pub(super) notification_rests: u32,
    /// A connection is refused, or never answered.
    pub(super) refused: f64,
    pub(super) unanswered: f64,
    /// Bytes that an upstream takes before it reads.
    pub(super) upstream_window: usize,
    /// Streams are polled and fetched from, and never received from.
    pub(super) only_polls: bool,
}

impl Default for Luck {
    fn default() -> Luck {
        Luck {
            overflow: 0.0,
            short_send: 0.0,
            partial: 0.0,
            idle: 0.0,
            late: 0.0,
            late_cancel: 0.0,
            no_descriptor: 0.0,
            no_zero_copy: 0.0,
            copied: 0.0,
            odd_order: false,
            bundle: 4,
            receive_limit: None,
            notification_rests: 0,
            refused: 0.0,
            unanswered: 0.0,
            upstream_window: 1 << 20,
            only_polls: false,
        }
    }
}

impl Luck {
    /// Some of everything. Nothing that resets a connection: what was sent must come back.
    pub(super) fn bad(random: &mut Random) -> Luck {
        let mut some =
            |most: f64| if random.chance(0.3) { 0.0 } else { most * random.below(100) as f64 / 100.0 };
        Luck {
            overflow: some(0.5),
            short_send: some(0.5),
            partial: some(0.8),
            idle: some(0.5),
            late: some(0.6),
            late_cancel: some(0.8),
            no_descriptor: some(0.3),
            copied: some(0.5),
            odd_order: true,
            bundle: 1 + some(4.0) as u32,
            receive_limit: Some(700 + some(5000.0) as u32),
            notification_rests: some(5.0) as u32,
            upstream_window: 200 + some(4000.0) as usize,
            ..Luck::default()
        }
    }
}
