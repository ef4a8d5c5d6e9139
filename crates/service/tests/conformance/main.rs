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
        mod threads {
            $(#[test] fn $name() { super::$name(crate::server::Engine::Threads) })*
        }
        mod pool {
            $(#[test] fn $name() { super::$name(crate::server::Engine::Pool) })*
        }
        #[cfg(feature = "glommio")]
        mod glommio {
            $(#[test] fn $name() { super::$name(crate::server::Engine::Glommio) })*
        }
    };
}

/// Makes a test that runs a function on each way of making a ring: `subject::rings::the_name_of_the_function`.
macro_rules! on_every_ring {
    ($($name:ident)*) => {
        mod rings {
            $(#[test] fn $name() { crate::rings::each(super::$name) })*
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
mod frame_udp;
mod frames;
mod handed;
mod limits;
mod notes;
mod refusals;
mod relays;
mod requests;
mod rings;
mod slow_readers;
mod udp;
mod workers;

#[global_allocator]
static ALLOCATOR: linux::counting_alloc::CountingAlloc = linux::counting_alloc::CountingAlloc;
