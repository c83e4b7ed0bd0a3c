//! What a misspelt word was meant to be.

/// The known word that a typing error would most easily turn into the one given; none where none is near.
pub fn nearest<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let longest_slip = (given.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(given, word), word))
        .filter(|(slips, _)| *slips <= longest_slip)
        .min()
        .map(|(_, word)| word)
}

/// The question that a message ends with where a known word is near; nothing elsewhere.
pub fn hint<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(given, known).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = ["ingest", "pretrain", "classify"];
        assert_eq!(nearest("ingset", known), Some("ingest"));
        assert_eq!(nearest("pre-train", known), Some("pretrain"));
        assert_eq!(nearest("segment", known), None);
        assert_eq!(hint("clasify", known), ", did you mean `classify`?");
        assert_eq!(hint("x", []), "");
    }
}
