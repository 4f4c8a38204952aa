//! Bounded concurrency with a bounded FIFO queue.

use std::collections::VecDeque;

/// Outcome of [`Gate::enter`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<J> {
    /// The caller runs the job and calls [`Gate::leave`] afterwards.
    Run(J),
    /// The job is queued; [`Gate::leave`] will return it.
    Waiting,
    /// The queue is full.
    Full,
}

/// Runs at most `running_max` jobs at once; at most `jobs_max` run or wait. Jobs start in order of arrival.
pub(crate) struct Gate<J> {
    running: usize,
    running_max: usize,
    waiting: VecDeque<J>,
    jobs_max: usize,
}

impl<J> Gate<J> {
    pub(crate) fn new(running_max: usize, jobs_max: usize) -> Self {
        Self { running: 0, running_max: running_max.max(1), waiting: VecDeque::new(), jobs_max: jobs_max.max(1) }
    }

    pub(crate) fn enter(&mut self, job: J) -> Entry<J> {
        if self.len() >= self.jobs_max {
            return Entry::Full;
        }
        if self.running < self.running_max {
            self.running += 1;
            return Entry::Run(job);
        }
        self.waiting.push_back(job);
        Entry::Waiting
    }

    /// Ends a job and returns the next one, if any waits, for the caller to run.
    pub(crate) fn leave(&mut self) -> Option<J> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            assert!(self.running > 0, "a job left that never entered");
            self.running -= 1;
        }
        next
    }

    /// Removes the jobs that wait.
    pub(crate) fn take_waiting(&mut self) -> Vec<J> {
        self.waiting.drain(..).collect()
    }

    /// Number of jobs that run or wait.
    pub(crate) fn len(&self) -> usize {
        self.running + self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_start_in_order_of_arrival() {
        let mut gate = Gate::new(1, 3);
        assert_eq!(gate.enter(1), Entry::Run(1));
        assert_eq!(gate.enter(2), Entry::Waiting);
        assert_eq!(gate.enter(3), Entry::Waiting);
        assert_eq!(gate.enter(4), Entry::Full);
        assert_eq!([gate.leave(), gate.leave(), gate.leave()], [Some(2), Some(3), None]);
        assert_eq!(gate.len(), 0);
        assert_eq!(gate.enter(5), Entry::Run(5));
    }
}
