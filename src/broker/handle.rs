//! The broker's handle for an instance: how to give it work.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::message::{Delivery, Inbox, Pending};
use crate::sync::lock;

/// The sequence number of an envelope, and the answer of its inbox.
type Unanswered = (u64, Pending<Delivery>);

/// Handle for an instance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct InstanceHandle {
    inbox: Option<Arc<dyn Inbox>>,
    wake: Arc<Notify>,
    /// Deliveries that the inbox will answer later, oldest first.
    unanswered: Arc<Mutex<VecDeque<Unanswered>>>,
}

impl InstanceHandle {
    /// Returns the handle of an instance in this process.
    pub(crate) fn local(inbox: Arc<dyn Inbox>) -> Self {
        Self { inbox: Some(inbox), ..Self::remote() }
    }

    /// Returns the handle of an instance outside this process.
    pub(crate) fn remote() -> Self {
        Self::waking(Arc::new(Notify::new()))
    }

    /// Returns the handle of an instance outside this process whose task is woken through `wake`.
    pub(crate) fn waking(wake: Arc<Notify>) -> Self {
        Self { inbox: None, wake, unanswered: Arc::default() }
    }

    /// Returns the inbox of an instance in this process.
    pub(crate) fn inbox(&self) -> Option<&dyn Inbox> {
        self.inbox.as_deref()
    }

    /// Wakes the instance's task. A task that is not waiting does not wait the next time.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits to be woken. Cancel-safe.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Leaves it to the instance's task to wait for an answer.
    pub(crate) fn push_unanswered(&self, sequence: u64, answer: Pending<Delivery>) {
        lock(&self.unanswered).push_back((sequence, answer));
        self.wake();
    }

    /// Removes and returns the oldest delivery without an answer.
    pub(crate) fn next_unanswered(&self) -> Option<Unanswered> {
        lock(&self.unanswered).pop_front()
    }
}
