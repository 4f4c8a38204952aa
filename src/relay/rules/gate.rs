//! Who may run now and who waits: bounded, first come first served.

use std::collections::VecDeque;

/// What became of a job at the gate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<J> {
    /// It has a place; the caller runs it and calls [`Gate::leave`] afterwards.
    Run(J),
    /// It waits for a place; [`Gate::leave`] will hand it out.
    Waiting,
    /// There is no room.
    Full,
}

/// At most `running_max` jobs run, at most `jobs_max` run or wait. Jobs start in the order they came.
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

    /// Gives the place of a finished job to the next one, if any waits; the caller runs it.
    pub(crate) fn leave(&mut self) -> Option<J> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            assert!(self.running > 0, "a job left that never entered");
            self.running -= 1;
        }
        next
    }

    /// Jobs that run or wait.
    pub(crate) fn len(&self) -> usize {
        self.running + self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_start_in_the_order_they_came() {
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
