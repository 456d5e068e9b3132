//! What was begun is carried to its end, even if nobody waits for it any more.

use std::pin::Pin;
use std::sync::{Mutex, Weak};
use std::task::{Context, Poll};

use tokio::task::JoinSet;

use crate::engine::lock;

/// What nobody waits for any more.
pub(super) type Unwatched = Mutex<JoinSet<()>>;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that goes on by itself if it is dropped half way.
pub(super) struct Carried<T: Send + 'static> {
    work: Option<Work<T>>,
    unwatched: Weak<Unwatched>,
}

impl<T: Send + 'static> Carried<T> {
    pub(super) fn new(
        unwatched: Weak<Unwatched>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self { work: Some(Box::pin(work)), unwatched }
    }
}

impl<T: Send + 'static> Future for Carried<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        let (Some(work), Some(unwatched)) = (self.work.take(), self.unwatched.upgrade()) else {
            return;
        };
        // Where the runtime ends, so does everything.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut tasks = lock(&unwatched);
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(async move { drop(work.await) }, &runtime);
        }
    }
}
