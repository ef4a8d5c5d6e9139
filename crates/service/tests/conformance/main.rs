//! What every engine must do, over real sockets on loopback, with the services that `ringmill` runs.
//!
//! One file a subject. A test is written once and takes the engine it runs on: `on_every_engine!` makes one test of each
//! engine out of it, named after it. Nothing here sleeps or measures
//! time: a test waits for bytes or for a counter, and gives up aloud after [`server::PATIENCE`].

/// Makes a test of each engine out of each function: `subject::uring::the_name_of_the_function`.
macro_rules! on_every_engine {
    ($($name:ident)*) => {
        mod uring {
            $(#[test] fn $name() { super::$name(crate::server::Engine::Uring) })*
        }
        mod epoll {
            $(#[test] fn $name() { super::$name(crate::server::Engine::Epoll) })*
        }
        #[cfg(feature = "glommio")]
        mod glommio {
            $(#[test] fn $name() { super::$name(crate::server::Engine::Glommio) })*
        }
    };
}

mod server;
#[path = "../site_rig/mod.rs"]
mod site_rig;

mod allocations;
mod bodies;
mod drain;
mod echo;
mod limits;
mod notes;
mod refusals;
mod relays;
mod requests;
mod slow_readers;
mod tiers;
mod udp;

#[global_allocator]
static ALLOCATOR: linux::counting_alloc::CountingAlloc = linux::counting_alloc::CountingAlloc;
