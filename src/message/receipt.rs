//! Confirmation that a message was taken, at once or later.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// Answer of a receiver that may need time, for example until the message is on disk.
#[derive(Debug)]
#[must_use = "the message may still be refused"]
pub enum Receipt<T> {
    /// The answer is known. The common case, which costs no allocation.
    Now(T),
    /// The answer follows through a [`Completion`].
    Later(Pending<T>),
}

impl<T> Receipt<T> {
    /// Creates a receipt to be answered through the returned completion. A completion that is dropped unanswered
    /// answers with `fallback`, so that the caller never waits forever.
    pub fn later(fallback: T) -> (Completion<T>, Self) {
        let slot = Arc::new(Mutex::new(Slot::Waiting(None)));
        (Completion { slot: Arc::clone(&slot), fallback: Some(fallback) }, Self::Later(Pending(slot)))
    }

    /// Returns the answer when it is known. Cancel-safe for the receiver: dropping the future loses the answer, not
    /// the message.
    pub async fn wait(self) -> T {
        match self {
            Self::Now(answer) => answer,
            Self::Later(pending) => pending.await,
        }
    }
}

enum Slot<T> {
    Waiting(Option<Waker>),
    Answered(T),
    Taken,
}

/// Sending end of a [`Receipt::Later`]: answers it exactly once.
#[must_use = "dropping it answers with the fallback"]
pub struct Completion<T> {
    slot: Arc<Mutex<Slot<T>>>,
    /// Taken when the receipt is answered.
    fallback: Option<T>,
}

impl<T> Completion<T> {
    /// Answers the receipt.
    pub fn complete(mut self, answer: T) {
        self.fallback = None;
        self.put(answer);
    }

    fn put(&self, answer: T) {
        let before = mem::replace(&mut *lock(&self.slot), Slot::Answered(answer));
        if let Slot::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        if let Some(fallback) = self.fallback.take() {
            self.put(fallback);
        }
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Completion").finish_non_exhaustive()
    }
}

/// Future of the answer to a [`Receipt::Later`]. Cancel-safe. Panics if it is polled after it has returned the answer.
pub struct Pending<T>(Arc<Mutex<Slot<T>>>);

impl<T> Future for Pending<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = lock(&self.0);
        match mem::replace(&mut *slot, Slot::Taken) {
            Slot::Answered(answer) => Poll::Ready(answer),
            Slot::Waiting(_) => {
                *slot = Slot::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            Slot::Taken => panic!("a receipt was polled after it had returned its answer"),
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pending").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn poll<T>(pending: &mut Pending<T>) -> Poll<T> {
        Pin::new(pending).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn later() -> (Completion<&'static str>, Pending<&'static str>) {
        match Receipt::later("dropped") {
            (completion, Receipt::Later(pending)) => (completion, pending),
            (_, Receipt::Now(_)) => unreachable!("a later receipt is pending"),
        }
    }

    #[test]
    fn a_receipt_is_pending_until_it_is_completed() {
        let (completion, mut pending) = later();
        assert_eq!(poll(&mut pending), Poll::Pending);
        completion.complete("done");
        assert_eq!(poll(&mut pending), Poll::Ready("done"));
    }

    #[test]
    fn a_dropped_completion_answers_with_the_fallback() {
        let (completion, mut pending) = later();
        drop(completion);
        assert_eq!(poll(&mut pending), Poll::Ready("dropped"));
    }

    #[test]
    fn completing_a_receipt_that_nobody_waits_for_is_harmless() {
        let (completion, pending) = later();
        drop(pending);
        completion.complete("done");
    }

    #[tokio::test]
    async fn completing_a_receipt_wakes_the_waiting_task() {
        let (completion, receipt) = Receipt::later("dropped");
        let waiting = tokio::spawn(receipt.wait());
        tokio::task::yield_now().await;
        completion.complete("done");
        assert_eq!(waiting.await.unwrap(), "done");
        assert_eq!(Receipt::Now("at once").wait().await, "at once");
    }
}
