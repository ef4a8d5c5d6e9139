//! The loops that drive a seat. Each engine is a file or a folder of its own and knows nothing of the others.

mod peers;
mod seats;
pub mod sim;
mod timed;
pub mod uring;
