//! Names of messages that a sender has to repeat.

use std::collections::HashMap;

use super::{MessageName, Verdict};

/// Names that were answered [`Verdict::Busy`] among the messages of one sender. Later messages of such a name get the same
/// verdict, so that the sender repeats them in order; messages of other names are not affected. Bounded by the messages that
/// the sender has not been answered yet.
#[derive(Debug, Default)]
pub struct HeldNames(HashMap<MessageName, Verdict>);

impl HeldNames {
    /// Publishes a message called `name` with `publish`, unless it has to wait behind an earlier one.
    pub fn publish(&mut self, name: &MessageName, publish: impl FnOnce() -> Verdict) -> Verdict {
        // Nearly always empty.
        if !self.0.is_empty()
            && let Some(verdict) = self.0.get(name)
        {
            return verdict.clone();
        }
        let verdict = publish();
        if matches!(verdict, Verdict::Busy { .. }) {
            self.0.insert(name.clone(), verdict.clone());
        }
        verdict
    }

    /// Ends the wait of all names.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_busy_name_holds_up_only_itself() {
        let busy = || Verdict::Busy { retry_after: Duration::from_secs(1) };
        let name = |text: &str| MessageName::parse(text).unwrap();
        let mut held = HeldNames::default();
        assert_eq!(held.publish(&name("full"), busy), busy());
        assert_eq!(held.publish(&name("full"), || Verdict::Accepted), busy());
        assert_eq!(held.publish(&name("free"), || Verdict::Accepted), Verdict::Accepted);
        held.clear();
        assert_eq!(held.publish(&name("full"), || Verdict::Accepted), Verdict::Accepted);
    }
}
