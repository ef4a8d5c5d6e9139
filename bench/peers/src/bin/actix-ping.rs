//! actix-web 4 with as many workers as threads: `GET /ping` -> `ok`. Its own accept thread hands connections to them.

use std::io;
use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{App, HttpResponse, HttpServer, web};
use peers::Line;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Far above what is opened here; the default is 25,000 a worker.
const CONNECTIONS_MAX: usize = 50_000;

async fn ping() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(peers::CONTENT_TYPE)))
        .body(peers::BODY)
}

fn main() -> io::Result<()> {
    let line = Line::read()?;
    let site = || App::new().route("/ping", web::get().to(ping));
    let server = HttpServer::new(site)
        .workers(line.threads)
        .backlog(peers::BACKLOG)
        .max_connections(CONNECTIONS_MAX)
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .tcp_nodelay(true)
        .disable_signals()
        .bind(line.addr)?;
    actix_web::rt::System::new().block_on(server.run())
}
