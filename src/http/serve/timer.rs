//! A reusable timer for one connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::sync::lock;

/// One timer that is reset whenever hyper asks for a new one. hyper asks for every request, and registering a timer each
/// time costs more than parsing the head it guards. One is enough: hyper's HTTP/1 server uses it only for its header
/// timeout.
#[derive(Clone)]
pub(super) struct ConnectionTimer(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl ConnectionTimer {
    /// Panics outside of a tokio runtime.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(Duration::ZERO)))))
    }
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        lock(&self.0).as_mut().reset(deadline.into());
        Box::pin(self.clone())
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

impl Future for ConnectionTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        lock(&self.0).as_mut().poll(context)
    }
}

impl Sleep for ConnectionTimer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_deadline_counts_from_its_request() {
        let timer = ConnectionTimer::new();
        let second = Duration::from_secs(1);
        for _ in 0..3 {
            let began = tokio::time::Instant::now();
            drop(Timer::sleep(&timer, second));
            tokio::time::advance(second / 2).await;
            Timer::sleep(&timer, second).await;
            assert_eq!(began.elapsed(), second * 3 / 2);
        }
    }
}
