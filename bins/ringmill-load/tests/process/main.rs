//! The program from outside: real processes, servers on free ports of loopback, real signals.

mod cli;
mod course;
mod files;
mod strange;
mod support;
