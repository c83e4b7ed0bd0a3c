//! Pages of a list, and the tokens that lead from one to the next.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};

use tonic::Status;
use vismae_core::spec::Violations;
use vismae_proto::status;

/// Items on a page when the client does not say.
const DEFAULT: usize = 100;
/// The most items on a page.
const MAX: usize = 500;

/// How many items a page has.
pub(super) fn size(asked: i32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT),
        Ok(size) => Ok(size.min(MAX)),
        Err(_) => Err(refuse("page_size", format!("is {asked}, expected 0 to {MAX}"))),
    }
}

/// Where a page ends, by its own reading; `None` before the first page. The pages of a list are asked for with the same arguments.
pub(super) fn after<T>(
    token: &str,
    arguments: &[&str],
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let place = token.strip_suffix(seal(arguments).as_str());
    let expected = || {
        let message = "expected the `next_page_token` of an earlier page, and what that page was asked for with";
        refuse("page_token", format!("is `{token}`, {message}"))
    };
    place.and_then(read).map(Some).ok_or_else(expected)
}

/// The token of the page behind a place, in which there is no dot.
pub(super) fn token(place: impl Display, arguments: &[&str]) -> String {
    format!("{place}{}", seal(arguments))
}

/// What the arguments are known by again; nothing where they say nothing.
fn seal(arguments: &[&str]) -> String {
    if arguments.iter().all(|argument| argument.is_empty()) {
        return String::new();
    }
    let mut hasher = DefaultHasher::new();
    arguments.hash(&mut hasher);
    format!(".{:016x}", hasher.finish())
}

/// Takes one page, and says where the next one begins: at the key of the last item, if any item is left.
pub(super) fn take<T>(
    items: impl IntoIterator<Item = T>,
    size: usize,
    key: impl FnOnce(&T) -> String,
) -> (Vec<T>, String) {
    let mut items = items.into_iter();
    let page: Vec<T> = items.by_ref().take(size).collect();
    let next = match (items.next(), page.last()) {
        (Some(_), Some(last)) => key(last),
        _ => String::new(),
    };
    (page, next)
}

pub(super) fn refuse(field: &str, message: impl Display) -> Status {
    status::invalid(&Violations::of(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_list_once() {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let after = after(&token, &[], |text| text.parse::<i32>().ok()).unwrap();
            let rest = (1..=7).filter(|item| after.is_none_or(|after| *item > after));
            let (page, next) = take(rest, 3, ToString::to_string);
            seen.extend(page);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(take(1..=3, 3, ToString::to_string), (vec![1, 2, 3], String::new()));
    }

    #[test]
    fn a_size_is_defaulted_capped_or_refused() {
        assert_eq!((size(0).unwrap(), size(7).unwrap(), size(9999).unwrap()), (DEFAULT, 7, MAX));
        assert_eq!(size(-1).unwrap_err().code(), tonic::Code::InvalidArgument);
        assert!(after("x", &[], |text| text.parse::<u64>().ok()).is_err());
    }

    #[test]
    fn a_token_is_good_for_what_its_page_was_asked_for_with() {
        let token = token(7, &["a = 1", ""]);
        let read = |arguments: &[&str]| after(&token, arguments, |text| text.parse::<u64>().ok());
        assert_eq!(read(&["a = 1", ""]).unwrap(), Some(7));
        for other in [&["", ""][..], &["a = 2", ""], &["", "a = 1"]] {
            assert!(read(other).is_err(), "{other:?}");
        }
    }
}
