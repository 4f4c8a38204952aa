//! Chance that can be repeated.

/// Numbers that look random and only depend on the seed (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice, for somebody who throws at the same time.
    pub(super) fn split(&mut self) -> Self {
        Self(self.throw())
    }

    pub(super) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `count`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.throw() % count
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len() as u64) as usize) }
    }

    /// How long a record is: mostly short, at times longer than a page of the store.
    pub(super) fn length(&mut self) -> usize {
        let longest = match self.below(20) {
            0..=13 => 200,
            14..=17 => 8_000,
            18 => 70_000,
            _ => 100_000,
        };
        1 + self.below(longest) as usize
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.throw().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    pub(super) fn letters(&mut self, length: usize) -> Vec<u8> {
        let mut letters = self.bytes(length);
        letters.iter_mut().for_each(|letter| *letter = b'a' + (*letter & 15));
        letters
    }
}
