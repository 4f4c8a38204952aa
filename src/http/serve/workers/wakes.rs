//! Batched wake-ups of a worker's tasks from other threads.
//!
//! Waking a task of another thread's runtime costs a system call each time, also for the hundredth subscriber of one event.
//! So the tasks of a worker get a waker of ours: on the worker's thread it wakes as usual; on any other it queues the task, and
//! only the first queued task wakes the worker, which then wakes all of them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use futures_util::task::AtomicWaker;

use crate::sync::lock;

/// Tasks that other threads have woken, until the worker takes them. Bounded by the number of the worker's tasks, times the
/// threads that wake them.
#[derive(Default)]
pub(super) struct WakeQueue {
    /// The worker's own thread; unset until it runs.
    thread: OnceLock<ThreadId>,
    woken: Mutex<Vec<Waker>>,
    worker: AtomicWaker,
}

impl WakeQueue {
    /// Makes the calling thread the worker's own, on which tasks are woken directly. Only the first call counts.
    pub(super) fn belongs_to_this_thread(&self) {
        self.thread.get_or_init(|| thread::current().id());
    }

    fn is_on_its_thread(&self) -> bool {
        self.thread.get() == Some(&thread::current().id())
    }

    fn push(&self, task: &Waker) {
        lock(&self.woken).push(task.clone());
        // Does nothing after the first time, until the worker has registered again.
        self.worker.wake();
    }

    /// Wakes every queued task. To be awaited by one task, on the worker's own thread.
    pub(super) async fn wake_all(&self) -> Infallible {
        let mut taken = Vec::new();
        poll_fn(|context| {
            // Before the queue is read, so that a task queued after that wakes the worker again.
            self.worker.register(context.waker());
            std::mem::swap(&mut taken, &mut *lock(&self.woken));
            taken.drain(..).for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }
}

/// Wakes one task of a worker from any thread.
struct TaskWaker {
    wakes: Arc<WakeQueue>,
    task: Waker,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.wakes.is_on_its_thread() {
            self.task.wake_by_ref();
        } else {
            self.wakes.push(&self.task);
        }
    }
}

/// A future that is woken through a [`WakeQueue`].
pub(super) struct Routed<W> {
    wakes: Arc<WakeQueue>,
    work: Pin<Box<W>>,
    /// The task's waker, and ours around it.
    wakers: Option<(Waker, Waker)>,
}

impl<W: Future> Routed<W> {
    pub(super) fn new(wakes: Arc<WakeQueue>, work: W) -> Self {
        Self { wakes, work: Box::pin(work), wakers: None }
    }
}

impl<W: Future> Future for Routed<W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.get_mut();
        let known = this.wakers.take().filter(|(task, _)| task.will_wake(context.waker()));
        let (_, ours) = this.wakers.insert(known.unwrap_or_else(|| {
            let task = context.waker().clone();
            let waker = Arc::new(TaskWaker { wakes: Arc::clone(&this.wakes), task: task.clone() });
            (task, Waker::from(waker))
        }));
        this.work.as_mut().poll(&mut Context::from_waker(ours))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts its wake-ups.
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
    fn the_worker_is_woken_once_for_all_tasks_that_others_wake() {
        let queue = Arc::new(WakeQueue::default());
        let (worker, worker_waker) = Count::new();
        let mut wakes = Box::pin(queue.wake_all());
        let mut serve = || assert!(wakes.as_mut().poll(&mut Context::from_waker(&worker_waker)).is_pending());
        serve();
        let tasks: Vec<_> = (0..100).map(|_| Count::new()).collect();
        let wakers: Vec<_> = tasks.iter().map(|(_, task)| waker(&queue, task.clone())).collect();
        for round in 1..=3 {
            wakers.iter().for_each(Waker::wake_by_ref);
            assert_eq!(worker.is(), round);
            assert!(tasks.iter().all(|(task, _)| task.is() == round - 1), "only by the worker");
            serve();
            assert!(tasks.iter().all(|(task, _)| task.is() == round));
        }
        queue.belongs_to_this_thread();
        wakers.iter().for_each(Waker::wake_by_ref);
        assert!(tasks.iter().all(|(task, _)| task.is() == 4), "at once on the worker's thread");
        assert_eq!(worker.is(), 3);
    }

    fn waker(queue: &Arc<WakeQueue>, task: Waker) -> Waker {
        let mut waker = None;
        let work = std::future::poll_fn(|context: &mut Context<'_>| {
            waker = Some(context.waker().clone());
            Poll::Ready(())
        });
        let mut routed = Routed::new(Arc::clone(queue), work);
        assert!(Pin::new(&mut routed).poll(&mut Context::from_waker(&task)).is_ready());
        drop(routed);
        waker.unwrap()
    }
}
