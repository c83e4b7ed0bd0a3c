//! How a filter is written: a part of google.aip.dev/160.
//!
//! ```text
//! expression  = factor { "AND" factor }
//! factor      = term { "OR" term }                  OR binds more tightly than AND
//! term        = [ "NOT" | "-" ] ( "(" expression ")" | restriction )
//! restriction = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) ( word | quoted text )
//! ```

use winnow::ascii::multispace0;
use winnow::combinator::{alt, cut_err, delimited, not, opt, peek, preceded, repeat, separated, terminated};
use winnow::error::{ContextError, StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::LocatingSlice;
use winnow::token::{any, none_of, one_of, take_while};

use super::Misread;

/// Bytes of a filter, at most.
const LENGTH_MAX: usize = 2048;
/// Parentheses within one another, at most.
const DEPTH_MAX: usize = 16;

/// A filter whose fields are not known yet.
#[derive(Debug, PartialEq)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Restriction { field: Word, comparator: Comparator, value: Word },
}

/// A word and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) at: usize,
}

/// How a field is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rpc) enum Comparator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    /// Equal for one value, and among them for several.
    Has,
}

type Input<'t> = LocatingSlice<&'t str>;

/// Reads a filter.
pub(super) fn parse(text: &str) -> Result<Expression, Misread> {
    if text.len() > LENGTH_MAX {
        return Err(Misread::whole(format!("has {} bytes, expected at most {LENGTH_MAX}", text.len())));
    }
    if let Some(at) = too_deep(text) {
        return Err(Misread::at(text, at, format!("more than {DEPTH_MAX} parentheses lie within one another")));
    }
    preceded(multispace0, expression).parse(LocatingSlice::new(text)).map_err(|error| {
        let expected = described(error.inner()).unwrap_or("`AND`, `OR` or the end");
        Misread::at(text, error.offset(), format!("expected {expected}"))
    })
}

/// Where parentheses lie too deep, quoted ones included: the parser calls itself for each.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, letter)| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth > DEPTH_MAX).then_some(at)
    })
}

fn described(error: &ContextError) -> Option<&'static str> {
    error.context().find_map(|context| match context {
        StrContext::Expected(StrContextValue::Description(text)) => Some(*text),
        _ => None,
    })
}

fn expected(text: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(text))
}

fn expression(input: &mut Input<'_>) -> ModalResult<Expression> {
    let factors: Vec<_> = separated(1.., factor, keyword("AND")).parse_next(input)?;
    Ok(one_or(factors, Expression::All))
}

fn factor(input: &mut Input<'_>) -> ModalResult<Expression> {
    let terms: Vec<_> = separated(1.., term, keyword("OR")).parse_next(input)?;
    Ok(one_or(terms, Expression::Any))
}

fn one_or(mut parts: Vec<Expression>, several: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => several(parts.into_iter().chain(last).collect()),
    }
}

fn term(input: &mut Input<'_>) -> ModalResult<Expression> {
    let negated = opt(alt((keyword("NOT"), token("-")))).parse_next(input)?;
    let group = delimited(token("("), expression, cut_err(token(")")).context(expected("`)`")));
    let inner = alt((group, restriction)).context(expected("a field, `NOT` or `(`")).parse_next(input);
    // After an operator or at the beginning, there is nothing else that it could be.
    let inner = inner.map_err(winnow::error::ErrMode::cut)?;
    Ok(if negated.is_some() { Expression::Not(Box::new(inner)) } else { inner })
}

fn restriction(input: &mut Input<'_>) -> ModalResult<Expression> {
    let (field, comparator, value) = (
        field,
        cut_err(comparator).context(expected("`=`, `!=`, `<`, `<=`, `>`, `>=` or `:`")),
        cut_err(value).context(expected("a word or a text in double quotes")),
    )
        .parse_next(input)?;
    Ok(Expression::Restriction { field, comparator, value })
}

fn field(input: &mut Input<'_>) -> ModalResult<Word> {
    not(alt((keyword("AND"), keyword("OR"), keyword("NOT")))).parse_next(input)?;
    let letters = take_while(1.., is_letter).map(str::to_owned);
    placed(terminated(letters, multispace0)).parse_next(input)
}

fn comparator(input: &mut Input<'_>) -> ModalResult<Comparator> {
    let comparator = alt((
        "<=".value(Comparator::AtMost),
        ">=".value(Comparator::AtLeast),
        "!=".value(Comparator::Unequal),
        "=".value(Comparator::Equal),
        "<".value(Comparator::Less),
        ">".value(Comparator::Greater),
        ":".value(Comparator::Has),
    ));
    terminated(comparator, multispace0).parse_next(input)
}

fn value(input: &mut Input<'_>) -> ModalResult<Word> {
    let letter = alt((preceded('\\', any), none_of(['"', '\\'])));
    let letters = repeat(0.., letter).fold(String::new, |mut text, letter| {
        text.push(letter);
        text
    });
    let quoted = delimited('"', letters, cut_err('"').context(expected("`\"` at the end of the text")));
    let bare =
        take_while(1.., |letter: char| !letter.is_whitespace() && !"()\"<>=!".contains(letter)).map(str::to_owned);
    placed(terminated(alt((quoted, bare)), multispace0)).parse_next(input)
}

/// A text with the place where it begins.
fn placed<'t>(
    text: impl Parser<Input<'t>, String, winnow::error::ErrMode<ContextError>>,
) -> impl Parser<Input<'t>, Word, winnow::error::ErrMode<ContextError>> {
    text.with_span().map(|(text, span)| Word { text, at: span.start })
}

fn token<'t>(text: &'static str) -> impl Parser<Input<'t>, &'t str, winnow::error::ErrMode<ContextError>> {
    terminated(text, multispace0)
}

fn keyword<'t>(word: &'static str) -> impl Parser<Input<'t>, &'t str, winnow::error::ErrMode<ContextError>> {
    terminated(word, (peek(not(one_of(is_letter))), multispace0))
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '.'
}
