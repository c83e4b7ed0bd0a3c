//! What a PromQL expression asks for.

use std::collections::BTreeSet;

use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

/// Variables of Grafana and something that may stand in their place.
const VARIABLES: [(&str, &str); 2] = [("$__rate_interval", "5m"), ("$job", ".*")];

/// One series selector: the name of a metric, and what its labels must be.
#[derive(Debug, Clone)]
pub struct Selector {
    /// The metric.
    pub metric: String,
    /// Conditions on labels.
    pub matchers: Vec<Matcher>,
}

/// Every selector of an expression.
///
/// # Errors
/// What is wrong with the expression.
pub fn selectors(expression: &str) -> Result<Vec<Selector>, String> {
    let plain = VARIABLES.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    let parsed = parser::parse(&plain).map_err(|error| format!("`{expression}`: {error}"))?;
    let mut found = Collector(Vec::new());
    walk_expr(&mut found, &parsed)
        .map_err(|nameless| format!("`{expression}`: a selector without a name: {nameless}"))?;
    Ok(found.0)
}

/// The metrics of expressions.
pub fn metrics(selectors: &[Selector]) -> BTreeSet<String> {
    selectors.iter().map(|selector| selector.metric.clone()).collect()
}

struct Collector(Vec<Selector>);

impl ExprVisitor for Collector {
    type Error = String;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, String> {
        let selector: &VectorSelector = match expression {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(selector) => &selector.vs,
            _ => return Ok(true),
        };
        let metric = selector.name.clone().ok_or_else(|| format!("{selector:?}"))?;
        self.0.push(Selector { metric, matchers: selector.matchers.matchers.clone() });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_of_an_expression_is_found() {
        let text = r#"sum(rate(a_bucket{job=~"$job"}[$__rate_interval])) / (b offset 5m) unless on () count(c > 0)"#;
        assert_eq!(Vec::from_iter(metrics(&selectors(text).unwrap())), ["a_bucket", "b", "c"]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        assert!(selectors("sum(").is_err());
        assert!(selectors(r#"{job="a"}"#).is_err());
    }
}
