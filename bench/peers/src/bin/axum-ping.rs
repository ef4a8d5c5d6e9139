//! axum 0.8, as its own `serve` would run it but for two things that its authors set when they measure: a current-thread runtime a
//! core, and hyper's `pipeline_flush`.

use std::io;
use std::net::TcpListener;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use peers::Line;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn ping() -> impl IntoResponse {
    ([(CONTENT_TYPE, peers::CONTENT_TYPE)], peers::BODY)
}

async fn accept(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let site = TowerToHyperService::new(Router::new().route("/ping", get(ping)));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let site = site.clone();
        tokio::spawn(async move {
            // A connection that its peer broke is no news.
            let _ =
                http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), site).await;
        });
    }
}

fn serve(listener: TcpListener) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(accept(listener))
}

fn main() -> io::Result<()> {
    Line::read()?.serve(serve)
}
