//! Experiments on this machine: a run is a network namespace, a server and connections that are all fresh, with the settings of its arm.
//!
//! ```text
//! block: a shuffle of A, A', B
//!   run: thread -> new namespace -> lo up -> settings written and read back -> server -> load -> figures -> all of it gone
//! after each block: is this a look, and is it sure? is the budget used up? does the user want no more?
//! ```
//!
//! Settings are written inside of that namespace only, where nobody else feels them; what would be felt elsewhere is refused. What may be
//! said of the figures is decided in `stats::experiment`. Nothing here shows an effect before the end: who sees it stops when it suits.

mod arm;
mod course;
mod load;
mod place;
mod profile;
mod run;
mod server;
mod workload;

pub use arm::{ArmError, ArmPlan, Set, testable};
pub use course::{Course, CourseError, News, Plan};
pub use place::Place;
pub use profile::prove;
pub use workload::{FIGURES, Kind, Workload, is_time_of_answers};
