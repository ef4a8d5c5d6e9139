//! What may go wrong in a simulated world, each by name and with its probability.

use crate::random::Random;
use std::fmt;

macro_rules! table {
    ($($name:ident $most:literal $help:literal)*) => {
        /// Probabilities, 0 to 1. [`Faults::NONE`] is a perfect world.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Faults {
            $(#[doc = $help] pub $name: f64,)*
        }

        impl Faults {
            /// Nothing goes wrong.
            pub const NONE: Faults = Faults { $($name: 0.0,)* };

            /// Name and meaning of every fault.
            pub const NAMES: &[(&str, &str)] = &[$((stringify!($name), $help),)*];

            /// A world of its own for each seed: half of the faults are off, the others have any probability up to the
            /// most at which services still get something done.
            pub fn mixed(seed: u64) -> Faults {
                let mut random = Random::new(seed ^ 0xfa17);
                let mut some = |most: f64| {
                    let on = random.chance(0.5);
                    let share = random.below(1000) as f64 / 1000.0;
                    if on { most * share } else { 0.0 }
                };
                Faults { $($name: some($most),)* }
            }

            /// The same world with one fault set. Panics when there is none of that name.
            pub fn with(mut self, name: &str, probability: f64) -> Faults {
                let place = match name {
                    $(stringify!($name) => &mut self.$name,)*
                    _ => panic!("no fault is named {name}"),
                };
                *place = probability;
                self
            }
        }

        /// The faults that are on: `cut=0.5 delay=0.1`.
        impl fmt::Display for Faults {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let all = [$((stringify!($name), self.$name),)*];
                let mut first = true;
                for (name, probability) in all.into_iter().filter(|(_, p)| *p > 0.0) {
                    write!(f, "{}{name}={probability:.3}", if first { "" } else { " " })?;
                    first = false;
                }
                if first { f.write_str("none") } else { Ok(()) }
            }
        }
    };
}

// The second column is the most that `mixed` gives.
table! {
    cut 0.9 "Bytes arrive in pieces, cut anywhere."
    delay 0.3 "Something on its way takes up to 20 ms instead of 10 to 50 us."
    coalesce 0.5 "A seat sleeps up to 2 ms more, and finds more at once."
    reset 0.1 "The network resets a connection within its first 50 ms."
    refuse 0.2 "A connect of a service is refused."
    silence 0.1 "A connect of a service is never answered."
    short_send 0.5 "A send that cannot leave whole ends with what has left."
    slow_reader 0.5 "A peer reads little and late, its window stays closed for up to 10 ms."
    small_window 0.5 "A receive buffer on either side is 100 to 3,000 bytes."
    starve_buffers 0.2 "A receive finds no free buffer."
    small_receive 0.5 "A receive takes less than there is, down to one byte."
    late_bytes 0.5 "One more receive ends after the seat stopped receiving."
    late_close 0.3 "The kernel holds on to a closed leg for up to 20 ms."
    shuffle 0.3 "Of what happened to different legs in a turn, a seat hears in another order."
    datagram_lost 0.2 "A datagram is dropped."
    datagram_twice 0.2 "A datagram arrives twice."
    stall 0.0 "A seat has no core for up to 8.6 s: its turn comes late. To be asked for by name: few services stand it unharmed."
    few_taken 0.0 "A turn takes one to three of what has ended, as an enter of a busy ring takes some, and knows that."
}
