//! Texts of errors.

use std::error::Error;

/// Returns the text of an error followed by those of its sources, as one line: `the bus is unreachable: cannot connect to
/// 127.0.0.1:3100: Connection refused`. A source whose text was part of an earlier one is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("the file is broken")]
        Inner,
        #[error("cannot start")]
        Outer(#[source] Box<Failure>),
        #[error("cannot start: {0}")]
        Repeating(#[source] Box<Failure>),
    }

    #[test]
    fn each_text_appears_once() {
        let inner = || Box::new(Failure::Inner);
        assert_eq!(chain(&Failure::Inner), "the file is broken");
        assert_eq!(chain(&Failure::Outer(inner())), "cannot start: the file is broken");
        assert_eq!(chain(&Failure::Repeating(inner())), "cannot start: the file is broken");
    }
}
