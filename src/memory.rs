//! Budgets of memory: the bytes that bodies, frames or queues may have together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that several holders may have together. Cheap to clone: clones are the same budget. The default one is unlimited.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    used: AtomicUsize,
    bytes_max: usize,
    /// The budget that this one is part of.
    whole: Option<Budget>,
}

impl Budget {
    /// Creates a budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Counted { used: AtomicUsize::new(0), bytes_max, whole: None }))
    }

    /// Creates a budget of `bytes_max` bytes that are bytes of this one, too.
    pub(crate) fn part(&self, bytes_max: usize) -> Self {
        let whole = Some(self.clone());
        Self(Arc::new(Counted { used: AtomicUsize::new(0), bytes_max, whole }))
    }

    /// Returns the bytes that are in use.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Returns the bytes that may be in use.
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// Returns true if `bytes` more are within the budget at the moment.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        let fits = self.used().saturating_add(bytes) <= self.0.bytes_max;
        fits && self.0.whole.as_ref().is_none_or(|whole| whole.fits(bytes))
    }

    /// Takes `bytes`, unless the budget is exceeded by them. Returns true if they are taken.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let before = self.0.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.0.bytes_max;
        let is_taken = fits && self.0.whole.as_ref().is_none_or(|whole| whole.take(bytes));
        if !is_taken {
            self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_taken
    }

    /// Takes `bytes`, whether they fit or not.
    fn add(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.add(bytes);
        }
    }

    /// Takes `bytes` until the result is dropped, unless the budget is exceeded by them.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved> {
        self.take(bytes).then(|| Reserved { budget: self.clone(), bytes })
    }

    /// Gives `bytes` back that were taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.give_back(bytes);
        }
    }
}

/// Bytes of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Budget,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

/// Budgets of equal size are equal, as settings are.
impl PartialEq for Budget {
    fn eq(&self, other: &Self) -> bool {
        self.bytes_max() == other.bytes_max()
    }
}

impl Eq for Budget {}

/// Bytes of one queue or table: bounded by themselves, and part of a budget, to which they return when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    held: usize,
    bytes_max: usize,
}

/// The bound that bytes do not fit into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// That of the queue or table.
    Own,
    /// That of the budget.
    Budget,
}

impl Share {
    /// Creates a share of `budget` with no bytes, which may have `bytes_max`.
    pub(crate) fn new(budget: &Budget, bytes_max: usize) -> Self {
        Self { budget: budget.clone(), held: 0, bytes_max }
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Checks that `bytes` more fit into its own bound. An empty share takes one message of any size, so that a
    /// larger limit on messages needs no larger bound of every queue on their way.
    pub(crate) fn check_own(&self, bytes: usize) -> Result<(), Exceeded> {
        let fits = self.held == 0 || self.held.saturating_add(bytes) <= self.bytes_max;
        if fits { Ok(()) } else { Err(Exceeded::Own) }
    }

    /// Checks that `bytes` more fit.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), Exceeded> {
        self.check_own(bytes)?;
        if self.budget.fits(bytes) { Ok(()) } else { Err(Exceeded::Budget) }
    }

    /// Adds `bytes`, whether they fit or not.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.budget.add(bytes);
        self.held += bytes;
    }

    /// Adds `bytes` if they fit.
    pub(crate) fn try_add(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.check(bytes).map(|()| self.add(bytes))
    }

    /// Removes `bytes` that were added.
    pub(crate) fn remove(&mut self, bytes: usize) {
        assert!(bytes <= self.held, "bytes are removed once");
        self.held -= bytes;
        self.budget.give_back(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: usize = 100;
    const SHARE: usize = 60;

    #[test]
    fn what_is_taken_beyond_a_budget_is_not_counted() {
        let budget = Budget::new(BUDGET);
        assert!(budget.take(70) && !budget.take(31) && budget.take(30));
        budget.give_back(100);
        assert_eq!((budget.used(), budget.take(usize::MAX)), (0, false));
    }

    #[test]
    fn a_part_of_a_budget_takes_from_both() {
        let whole = Budget::new(BUDGET);
        let parts = [whole.part(SHARE), whole.part(SHARE)];
        let first = parts[0].reserve(50).unwrap();
        assert!(parts[0].reserve(11).is_none() && parts[1].reserve(51).is_none());
        assert_eq!((parts[0].used(), parts[1].used(), whole.used()), (50, 0, 50));
        drop(first);
        assert_eq!((parts[0].used(), whole.used()), (0, 0));
    }

    proptest! {
        /// Two shares of one budget against two numbers.
        #[test]
        fn shares_hold_what_a_naive_model_allows(steps in proptest::collection::vec((0..2_usize, 0..80_usize, 0..3_u8), 0..60)) {
            let budget = Budget::new(BUDGET);
            let mut shares = [Share::new(&budget, SHARE), Share::new(&budget, SHARE)];
            let mut model = [0_usize; 2];
            for (which, bytes, action) in steps {
                match action {
                    0 => {
                        let expected = if model[which] > 0 && model[which] + bytes > SHARE {
                            Err(Exceeded::Own)
                        } else if model[0] + model[1] + bytes > BUDGET {
                            Err(Exceeded::Budget)
                        } else {
                            Ok(())
                        };
                        prop_assert_eq!(shares[which].try_add(bytes), expected);
                        if expected.is_ok() {
                            model[which] += bytes;
                        }
                    }
                    1 => {
                        let bytes = bytes.min(model[which]);
                        shares[which].remove(bytes);
                        model[which] -= bytes;
                    }
                    _ => {
                        shares[which] = Share::new(&budget, SHARE);
                        model[which] = 0;
                    }
                }
                prop_assert_eq!([shares[0].held(), shares[1].held()], model);
                prop_assert_eq!(budget.used(), model[0] + model[1]);
            }
        }
    }
}
