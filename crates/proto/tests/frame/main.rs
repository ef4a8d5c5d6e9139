//! The framed protocol: golden vectors cut everywhere, the schema, the matrix of the conversation, made-up input.

mod fuzz;
mod golden;
mod matrix;
mod oracle;
#[path = "../support/random.rs"]
mod random;
mod reader;
mod schema;
mod udp;
