//! Finds the word that was meant.

/// The candidate that takes the fewest single-letter edits, if they are few enough to be a slip of the pen:
/// a third of the word, at least two.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).max(2);
    let ranked = candidates.map(|candidate| (edits(word, candidate), candidate));
    ranked.filter(|(edits, _)| *edits <= bound).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements that turn one word into the other (Levenshtein).
fn edits(source: &str, target: &str) -> usize {
    let target: Vec<char> = target.chars().collect();
    let mut row: Vec<usize> = (0..=target.len()).collect();
    for (index, from) in source.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in target.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[target.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<&str>) {
        let known = ["webhook.timeout_ms", "webhook.secret", "bus.url"];
        assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_word_that_was_meant() {
        check("webhook.timout_ms", Some("webhook.timeout_ms"));
        check("webhok.timeout", Some("webhook.timeout_ms"));
        check("bus.uri", Some("bus.url"));
    }

    #[test]
    fn a_word_from_elsewhere_finds_nothing() {
        check("colour", None);
        check("", None);
    }
}
