//! Offsets: positions in a stream, as clients see them.

use std::fmt;

/// Digits of each half.
const DIGITS: usize = 16;

/// Maximum value of a half.
const HALF_MAX: u64 = 9_999_999_999_999_999;

/// A position in one life of a stream. Opaque to clients: two numbers of 16 digits, whose texts sort as the positions do. The
/// first is the era, which no other life of the stream has; the second is the number of bytes before the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    era: u64,
    position: u64,
}

impl Offset {
    /// The offset before the first byte, in every life of every stream.
    pub const START: Self = Self { era: 0, position: 0 };

    /// Maximum position of an offset, and maximum era.
    pub const POSITION_MAX: u64 = HALF_MAX;

    /// The offset after `position` bytes in an era, both at most [`Self::POSITION_MAX`].
    pub fn at(era: u64, position: u64) -> Self {
        debug_assert!(era <= HALF_MAX && position <= HALF_MAX);
        Self { era, position }
    }

    /// Parses `0000000000000000_0000000000000042`; `None` for any other format.
    pub fn parse(text: &str) -> Option<Self> {
        let (era, position) = text.split_once('_')?;
        Some(Self { era: half(era)?, position: half(position)? })
    }

    /// The era. Streams from before there were eras have era 0.
    pub fn era(self) -> u64 {
        self.era
    }

    /// The number of bytes before it.
    pub fn position(self) -> u64 {
        self.position
    }
}

fn half(text: &str) -> Option<u64> {
    let fits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written in one piece, because every answer has one.
        let mut text = [b'_'; 2 * DIGITS + 1];
        put_digits(&mut text[..DIGITS], self.era);
        put_digits(&mut text[DIGITS + 1..], self.position);
        formatter.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn put_digits(half: &mut [u8], mut number: u64) {
    for digit in half.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "-1", "now", "0_0", "0000000000000000", "0000000000000000_000000000000000a"] {
            assert_eq!(Offset::parse(text), None, "{text:?}");
        }
        assert_eq!(Offset::parse("+000000000000000_0000000000000000"), None);
        assert_eq!(Offset::parse("00000000000000000_0000000000000000"), None);
    }

    proptest! {
        #[test]
        fn an_offset_is_read_back(era in 0..=HALF_MAX, position in 0..=HALF_MAX) {
            let offset = Offset::at(era, position);
            prop_assert_eq!(Offset::parse(&offset.to_string()), Some(offset));
            prop_assert_eq!((offset.era(), offset.position()), (era, position));
        }

        #[test]
        fn texts_sort_as_eras_and_positions_do(one in (0..9_u64, 0..=HALF_MAX), other in (0..9_u64, 0..=HALF_MAX)) {
            let (one, other) = (Offset::at(one.0, one.1), Offset::at(other.0, other.1));
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        }

        #[test]
        fn garbage_is_refused_or_read_back(text in "\\PC{0,40}") {
            if let Some(offset) = Offset::parse(&text) {
                prop_assert_eq!(offset.to_string(), text);
            }
        }
    }
}
