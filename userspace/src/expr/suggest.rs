//! "did you mean": the known word closest to a misspelt one.

/// A hint naming the closest candidate, where one is close enough to be a slip of the finger.
pub(super) fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// Levenshtein's distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_letter_is_found_and_a_different_word_is_not() {
        let names = ["path", "path_beg", "src"];
        assert_eq!(
            closest("pathh", names.into_iter()).as_deref(),
            Some("did you mean `path`?")
        );
        assert_eq!(closest("certificate", names.into_iter()), None);
    }
}
