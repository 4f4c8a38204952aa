//! How other threads wake what a worker does: many at once, for the price of one.
//!
//! To wake a task of another thread's runtime is a call of the system each time, be it the hundredth subscriber of one
//! event. So the tasks of a worker are given a waker of ours. On their own thread it wakes as usual; on another it leaves
//! the task in the worker's inbox, and only the first one there wakes the worker, which then wakes all of them at home.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use futures_util::task::AtomicWaker;

use crate::sync::lock;

/// What is woken from elsewhere, until the worker comes for it. It holds every task once at most between two of its wakes,
/// or a few times if several wake it: it is bounded by what there is to wake.
#[derive(Default)]
pub(super) struct Inbox {
    /// The worker's own thread; unset until it runs.
    thread: OnceLock<ThreadId>,
    woken: Mutex<Vec<Waker>>,
    worker: AtomicWaker,
}

impl Inbox {
    /// Makes the calling thread the one whose tasks need no inbox. Only the first call counts.
    pub(super) fn belongs_to_this_thread(&self) {
        self.thread.get_or_init(|| thread::current().id());
    }

    fn is_on_its_thread(&self) -> bool {
        self.thread.get() == Some(&thread::current().id())
    }

    fn leave(&self, task: &Waker) {
        lock(&self.woken).push(task.clone());
        // Nothing but the first time, until the worker has come and registered again.
        self.worker.wake();
    }

    /// Wakes everything that comes. To be awaited by one task, on the worker's own thread.
    pub(super) async fn wake_all(&self) -> Infallible {
        let mut taken = Vec::new();
        poll_fn(|context| {
            // Before the look, so that whoever comes after it rings.
            self.worker.register(context.waker());
            std::mem::swap(&mut taken, &mut *lock(&self.woken));
            taken.drain(..).for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }
}

/// Wakes one task of a worker from anywhere.
struct Bell {
    inbox: Arc<Inbox>,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.inbox.is_on_its_thread() {
            self.task.wake_by_ref();
        } else {
            self.inbox.leave(&self.task);
        }
    }
}

/// Work that is woken through an inbox.
pub(super) struct Gathered<W> {
    inbox: Arc<Inbox>,
    work: Pin<Box<W>>,
    /// That of the task, and ours around it.
    wakers: Option<(Waker, Waker)>,
}

impl<W: Future> Gathered<W> {
    pub(super) fn new(inbox: Arc<Inbox>, work: W) -> Self {
        Self { inbox, work: Box::pin(work), wakers: None }
    }
}

impl<W: Future> Future for Gathered<W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.get_mut();
        let known = this.wakers.take().filter(|(task, _)| task.will_wake(context.waker()));
        let (_, ours) = this.wakers.insert(known.unwrap_or_else(|| {
            let task = context.waker().clone();
            let bell = Arc::new(Bell { inbox: Arc::clone(&this.inbox), task: task.clone() });
            (task, Waker::from(bell))
        }));
        this.work.as_mut().poll(&mut Context::from_waker(ours))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Count {
        fn new() -> (Arc<Self>, Waker) {
            let count = Arc::new(Self::default());
            (Arc::clone(&count), Waker::from(count))
        }

        fn is(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn the_worker_is_woken_once_for_all_that_is_woken_elsewhere() {
        let inbox = Arc::new(Inbox::default());
        let (worker, worker_waker) = Count::new();
        let mut wakes = Box::pin(inbox.wake_all());
        let mut serve = || assert!(wakes.as_mut().poll(&mut Context::from_waker(&worker_waker)).is_pending());
        serve();
        let tasks: Vec<_> = (0..100).map(|_| Count::new()).collect();
        let bells: Vec<_> = tasks.iter().map(|(_, task)| bell(&inbox, task.clone())).collect();
        for round in 1..=3 {
            bells.iter().for_each(Waker::wake_by_ref);
            assert_eq!(worker.is(), round);
            assert!(tasks.iter().all(|(task, _)| task.is() == round - 1), "at home, not here");
            serve();
            assert!(tasks.iter().all(|(task, _)| task.is() == round));
        }
        inbox.belongs_to_this_thread();
        bells.iter().for_each(Waker::wake_by_ref);
        assert!(tasks.iter().all(|(task, _)| task.is() == 4), "at home at once");
        assert_eq!(worker.is(), 3);
    }

    fn bell(inbox: &Arc<Inbox>, task: Waker) -> Waker {
        let mut bell = None;
        let work = std::future::poll_fn(|context: &mut Context<'_>| {
            bell = Some(context.waker().clone());
            Poll::Ready(())
        });
        let mut gathered = Gathered::new(Arc::clone(inbox), work);
        assert!(Pin::new(&mut gathered).poll(&mut Context::from_waker(&task)).is_ready());
        drop(gathered);
        bell.unwrap()
    }
}
