//! SIGINT and SIGTERM: the first asks to leave, a second SIGINT leaves at once.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Cancels `stop` at the first signal; never returns if `graceful`, as then the command ends by
/// itself when it has handed over.
pub(crate) async fn watch(stop: &CancellationToken, graceful: bool) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("cannot listen for signals");
        return pending().await;
    };
    tokio::select! {
        () = next(&mut interrupt) => {}
        () = next(&mut terminate) => {}
    }
    stop.cancel();
    if graceful {
        next(&mut interrupt).await;
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }
}

async fn next(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        pending::<()>().await;
    }
}
