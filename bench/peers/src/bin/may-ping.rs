//! may_minihttp, with as many may workers as threads: `GET /ping` -> `ok`. Stack and pool as in its authors' own entry for a
//! benchmark. It leaves TCP_NODELAY as it is; what it answers to one read leaves in one write.

use std::io;

use may_minihttp::{HttpServer, HttpService, Request, Response};
use peers::Line;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Ping;

impl HttpService for Ping {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        if request.method() == "GET" && request.path() == "/ping" {
            response.header("Content-Type: text/plain; charset=utf-8").body(peers::BODY);
        } else {
            response.status_code(404, "Not Found");
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let line = Line::read()?;
    may::config().set_workers(line.threads).set_pool_capacity(1000).set_stack_size(0x1000);
    let server = HttpServer(Ping).start(line.addr)?;
    server.join().map_err(|_| io::Error::other("the server's coroutine panicked"))
}
