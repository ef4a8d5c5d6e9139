//! ntex 3 on its own io_uring runtime (feature `neon-uring`), with as many workers as threads: `GET /ping` -> `ok`.

use std::io;

use ntex::http::header::{CONTENT_TYPE, HeaderValue};
use ntex::http::{HttpServiceConfig, KeepAlive};
use ntex::time::Seconds;
use ntex::util::Bytes;
use ntex::web::{App, HttpResponse, HttpServer, get};
use peers::Line;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[get("/ping")]
async fn ping() -> HttpResponse {
    HttpResponse::Ok()
        .header(CONTENT_TYPE, HeaderValue::from_static(peers::CONTENT_TYPE))
        .body(Bytes::from_static(peers::BODY.as_bytes()))
}

#[ntex::main]
async fn main() -> io::Result<()> {
    let line = Line::read()?;
    let http = HttpServiceConfig::new().set_keepalive(KeepAlive::Os).set_client_timeout(Seconds::ZERO);
    HttpServer::new(async || App::new().service(ping))
        .workers(line.threads)
        .backlog(peers::BACKLOG as i32)
        .disable_signals()
        .config(ntex::SharedCfg::new("peers").add(http))
        .bind(line.addr)?
        .run()
        .await
}
