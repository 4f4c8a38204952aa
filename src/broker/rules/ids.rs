//! Ids for the broker's own messages.

use crate::message::MessageId;

/// Generates unique ids from a seed.
pub(crate) struct IdGenerator {
    seed: u128,
    count: u128,
}

impl IdGenerator {
    pub(crate) fn new(seed: u128) -> Self {
        Self { seed, count: 0 }
    }

    /// Returns a new id in the form of a UUID of version 4.
    pub(crate) fn next(&mut self) -> MessageId {
        self.count += 1;
        // Multiplication by an odd number is a bijection, so no id repeats; it spreads the count over all bits.
        let mixed = (self.seed ^ self.count).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let bits = (mixed ^ (mixed >> 61)).wrapping_mul(0xbf58_476d_1ce4_e5b9_94d0_49bb_1331_11eb);
        MessageId::from_uuid(uuid::Builder::from_random_bytes(bits.to_le_bytes()).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        let mut ids = IdGenerator::new(u128::MAX);
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
