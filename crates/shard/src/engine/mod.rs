//! The loops that drive a seat. Each engine is a file or a folder of its own and knows nothing of the others.

pub mod sim;
pub mod uring;
