//! TCP relay as a story: what [`relay`](crate::relay) does, told from top to bottom, every byte by way of a [`Cx`].
//!
//! Same behaviour, other costs: it sees every byte, so it is where to begin for whatever reads or changes them on the
//! way; for its 24 inline bytes it keeps a box with the state of both directions.

use crate::relay::Config;
use shard::task::{Cx, Task, both, either};
use shard::{Io, Leg, LegError, Service};

/// Begins the story of a connection that was just accepted. Every event of the session is for the task.
pub fn begin<S: Service>(client: Leg, config: &Config, io: &mut Io<'_, S>) -> Task {
    let config = *config;
    Task::new(&[client], |cx| relay(cx, client, config), io)
}

async fn relay(cx: Cx, client: Leg, config: Config) {
    let attempt = async { Some(cx.connect(config.connect()).await) };
    let client_gone = async {
        cx.failed(client).await;
        None
    };
    let upstream = match either(attempt, client_gone).await {
        Some(Ok(upstream)) => upstream,
        Some(Err(_)) => return cx.count(|meter| meter.upstream_failed.inc()),
        None => return,
    };
    let whole = async {
        _ = both(forward(&cx, client, upstream), forward(&cx, upstream, client)).await;
        None
    };
    let cut = either(failed(&cx, client), failed(&cx, upstream));
    if let Some(leg) = either(async { Some(cut.await) }, whole).await {
        if leg == upstream {
            cx.count(|meter| meter.upstream_failed.inc());
        }
        // A cut stream must not look like a whole one.
        cx.abort(client);
        cx.abort(upstream);
    }
}

/// Passes on what comes, and the FIN behind it. An error means that a leg failed, and whoever waits for that acts on it.
async fn forward(cx: &Cx, from: Leg, to: Leg) -> Result<(), LegError> {
    while let Some(chunk) = cx.read(from).await? {
        cx.write(to, chunk).await?;
    }
    cx.finish(to);
    Ok(())
}

/// Waits until `leg` fails.
async fn failed(cx: &Cx, leg: Leg) -> Leg {
    cx.failed(leg).await;
    leg
}
