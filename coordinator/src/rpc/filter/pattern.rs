//! Texts with `*` in them.

/// A text in which `*` stands for any letters, or none.
#[derive(Debug)]
pub(in crate::rpc) struct Pattern {
    /// What lies between the stars; one part is the whole text.
    parts: Vec<String>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self { parts: text.split('*').map(str::to_owned).collect() }
    }

    /// Whether a text looks so, in time that grows with its length times the pattern's.
    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.iter().all(|whole| whole == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for part in middle {
            // The first place leaves the most room for what follows.
            match rest.split_once(part.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, right, wrong) in [
            ("demo", &["demo"][..], &["demo-2", "dem", ""][..]),
            ("demo*", &["demo", "demo-2"], &["a-demo"]),
            ("*scratch", &["scratch", "a-scratch"], &["scratch-2"]),
            ("a*b*c", &["abc", "a-b-c", "abbc"], &["ab", "acb", "abcd"]),
            ("ab*ba", &["abba", "ab-ba"], &["aba"]),
            ("*", &["", "x"], &[]),
        ] {
            let pattern = Pattern::new(pattern);
            assert!(right.iter().all(|text| pattern.matches(text)), "{pattern:?}");
            assert!(!wrong.iter().any(|text| pattern.matches(text)), "{pattern:?}");
        }
    }
}
