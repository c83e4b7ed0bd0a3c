//! What the dashboard and the alerts ask Prometheus for.

use std::collections::BTreeSet;

use serde_json::Value;

use super::promql::{self, Selector};

/// Every metric that a panel, a variable or an alert names; those of a histogram with their endings.
///
/// # Panics
/// As [`selectors`].
pub fn metrics() -> BTreeSet<String> {
    promql::metrics(&selectors())
}

/// Every selector of the dashboard and of the alerts.
///
/// # Panics
/// When a file can't be read or an expression is none.
pub fn selectors() -> Vec<Selector> {
    let all = dashboard_expressions().into_iter().chain(alert_expressions());
    all.flat_map(|text| promql::selectors(&text).unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// The expressions of the panels and of the variables.
///
/// # Panics
/// When the dashboard can't be read.
pub fn dashboard_expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&super::read("grafana/vismae.json")).expect("the dashboard is JSON");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut expressions: Vec<String> = targets.filter_map(|target| text(&target["expr"])).collect();
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        // `label_values(SELECTOR, label)` is Grafana's own; what it selects is PromQL.
        let query = variable["definition"].as_str().and_then(|query| query.strip_prefix("label_values("));
        expressions.extend(query.and_then(|query| query.rsplit_once(',')).map(|(selector, _)| selector.to_owned()));
    }
    expressions
}

/// The expressions of the alerts.
///
/// # Panics
/// When the rules can't be read.
pub fn alert_expressions() -> Vec<String> {
    let rules: serde_norway::Value =
        serde_norway::from_str(&super::read("prometheus/rules.yaml")).expect("rules are YAML");
    let groups = rules["spec"]["groups"].as_sequence().into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_sequence().into_iter().flatten());
    rules.filter_map(|rule| rule["expr"].as_str().map(str::to_owned)).collect()
}

/// The metrics of a scrape, those of a histogram with their endings.
pub fn metrics_of_scrape(text: &str) -> BTreeSet<String> {
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_gives_its_names() {
        let text = "# HELP a b\n# TYPE a gauge\na{x=\"1\"} 2\n\n# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_sum 0\n";
        assert_eq!(Vec::from_iter(metrics_of_scrape(text)), ["a", "h_bucket", "h_sum"]);
    }
}
