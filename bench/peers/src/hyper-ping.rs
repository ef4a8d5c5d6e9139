//! hyper 1.x on tokio's current-thread runtime: `GET /ping` -> `ok`, with `pipeline_flush` so that pipelined answers leave
//! together. The head has the same fields as Ringmill's; hyper keeps the date itself.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let found = request.method() == Method::GET && request.uri().path() == "/ping";
    let (status, body) = if found { (StatusCode::OK, "ok") } else { (StatusCode::NOT_FOUND, "not found") };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

async fn serve(addr: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A connection that its peer broke is no news.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let addr = match (words.next().as_deref(), words.next(), words.next()) {
        (Some("--addr"), Some(addr), None) => addr.parse().map_err(std::io::Error::other)?,
        _ => return Err(std::io::Error::other("usage: hyper-ping --addr ADDR")),
    };
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve(addr))
}
