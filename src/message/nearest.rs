//! Suggestions for misspelt words.

/// Returns the candidate with the smallest edit distance to `word`, unless that is more than a third of the word and
/// more than two.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (word.chars().count() / 3).max(2);
    let ranked = candidates.map(|candidate| (edits(word, candidate), candidate));
    ranked.filter(|(edits, _)| *edits <= edits_max).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
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
    fn a_misspelt_word_finds_the_right_one() {
        check("webhook.timout_ms", Some("webhook.timeout_ms"));
        check("webhok.timeout", Some("webhook.timeout_ms"));
        check("bus.uri", Some("bus.url"));
    }

    #[test]
    fn an_unrelated_word_finds_nothing() {
        check("colour", None);
        check("", None);
    }
}
