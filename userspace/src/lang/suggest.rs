//! "Did you mean": the known word nearest to an unknown one.

/// The known word that takes the fewest edits, when they are few for its length.
pub(super) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(LONGEST).collect();
    if word.len() < 2 {
        return None;
    }
    let limit = (word.len() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| candidate.chars().count() <= 2 * word.len() + limit)
        .map(|candidate| {
            (
                edits(&word, &candidate.chars().collect::<Vec<_>>()),
                candidate,
            )
        })
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, candidate)| (*edits, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// The distance of two words; an abbreviation is as near as one edit.
fn edits(word: &[char], candidate: &[char]) -> usize {
    let mut rest = candidate.iter();
    let is_abbreviation = word.len() >= 3
        && word.first() == candidate.first()
        && word.iter().all(|letter| rest.any(|other| other == letter));
    if is_abbreviation {
        1
    } else {
        distance(word, candidate)
    }
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before_last = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut current = vec![i + 1; other.len() + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            current[j + 1] = replaced.min(last[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                current[j + 1] = current[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = last;
        last = current;
    }
    last[other.len()]
}

/// Characters of a word that are compared; no keyword is longer.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = [
            "balance",
            "backlog",
            "bind",
            "mode",
            "default_backend",
            "daemon",
        ];
        for (word, expected) in [
            ("blance", Some("balance")),
            ("balacne", Some("balance")),
            ("BIND", Some("bind")),
            ("default-backend", Some("default_backend")),
            ("Daemon", Some("daemon")),
            ("xyz", None),
            ("b", None),
            ("", None),
            ("moed", Some("mode")),
            ("dflt_bcknd", Some("default_backend")),
        ] {
            assert_eq!(closest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn an_endless_word_costs_nothing() {
        assert_eq!(closest(&"x".repeat(1 << 20), ["balance"]), None);
    }
}
