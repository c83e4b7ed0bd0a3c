//! What a run under faults, and one under slowness, is to keep.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::bench::{Bar, Figure, number};

/// After how many seconds of silence a worker is given up.
const LEASE: f64 = 5.0;

/// Of runs under faults, all together.
pub(super) fn of_chaos(runs: &Value) -> Result<Vec<Figure>> {
    let runs = runs.as_array().filter(|runs| !runs.is_empty()).context("the answer has no runs")?;
    let costs = |of: fn(&Value) -> bool| {
        let faults = runs.iter().flat_map(|run| run["faults"].as_array().into_iter().flatten());
        let mut all: Vec<f64> = faults.filter(|cost| of(cost)).flat_map(seconds).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let lost = costs(|cost| cost["is_loss"] == true);
    let silent = costs(|cost| cost["is_silence"] == true);
    let sum = |name: &str| runs.iter().map(|run| number(run, name)).sum::<Result<f64>>();
    let distances: Vec<f64> = runs.iter().map(|run| number(run, "weights_distance")).collect::<Result<_>>()?;
    let inexact = runs.iter().filter(|run| run["is_exact"] != true).count();
    Ok(vec![
        Figure::new("kill to the next step, median, s", share(&lost, 0.5), Some(Bar::AtMost(1.0))),
        Figure::new("kill to the next step, p95, s", share(&lost, 0.95), Some(Bar::AtMost(3.0))),
        Figure::new("silence to the next step, longest, s", share(&silent, 1.0), Some(Bar::AtMost(LEASE + 2.0))),
        Figure::new("speed kept", sum("calm_seconds")? / sum("wild_seconds")?, Some(Bar::AtLeast(0.9))),
        Figure::new("audits that are not exact", inexact as f64, Some(Bar::AtMost(0.0))),
        // Not a number is above every bar.
        Figure::new("distance of the weights", distances.into_iter().fold(0.0, worse), Some(Bar::AtMost(1e-3))),
    ])
}

/// Of a run under slowness.
pub(super) fn of_soak(soak: &Value) -> Result<Vec<Figure>> {
    let groups = soak["groups"].as_object().context("the answer counts no groups")?;
    let count = |groups: &mut dyn Iterator<Item = (&String, &Value)>| {
        groups.map(|(_, count)| count.as_f64().unwrap_or(f64::NAN)).sum::<f64>()
    };
    let later = count(&mut groups.iter().filter(|(reason, _)| *reason != "start"));
    Ok(vec![
        Figure::new("groups of ranks replaced", later, Some(Bar::AtMost(0.0))),
        Figure::new("workers given up", number(soak, "workers_lost")?, Some(Bar::AtMost(0.0))),
        Figure::new("tasks failed", number(soak, "tasks_failed")?, Some(Bar::AtMost(0.0))),
        Figure::new("trainings begun again or not exact", number(soak, "runs_spoiled")?, Some(Bar::AtMost(0.0))),
        Figure::new("trainings", number(soak, "runs")?, Some(Bar::AtLeast(1.0))),
    ])
}

/// From the kill of a trainer to the next step: what the peer can be asked as well.
pub(super) fn trainers_killed(runs: &Value) -> Result<Vec<f64>> {
    let runs = runs.as_array().context("the answer has no runs")?;
    let faults = runs.iter().flat_map(|run| run["faults"].as_array().into_iter().flatten());
    Ok(faults.filter(|cost| cost["fault"] == "kill_trainer").flat_map(seconds).collect())
}

/// The seconds of a kind of fault.
pub(super) fn seconds(cost: &Value) -> impl Iterator<Item = f64> {
    cost["seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64)
}

/// The least of sorted figures that such a share of them is not above; not a number where there are none.
pub(super) fn share(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn worse(one: f64, other: f64) -> f64 {
    if other.is_nan() || other > one { other } else { one }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(kills: &[f64], silences: &[f64]) -> Value {
        json!({
            "faults": [
                { "fault": "kill_trainer", "is_loss": true, "is_silence": false, "seconds": kills },
                { "fault": "mute_node", "is_loss": false, "is_silence": true, "seconds": silences },
                { "fault": "kill_coordinator", "is_loss": false, "is_silence": false, "seconds": [99.0] },
            ],
            "calm_seconds": 95.0, "wild_seconds": 100.0, "is_exact": true, "weights_distance": 1e-4,
        })
    }

    fn missed(runs: &Value) -> Vec<String> {
        let missed = |figure: &Figure| figure.verdict() == Some("missed");
        of_chaos(runs).unwrap().into_iter().filter(missed).map(|figure| figure.name).collect()
    }

    #[test]
    fn each_bar_is_missed_by_its_own_figure_alone() {
        assert_eq!(missed(&json!([run(&[0.1, 0.2], &[5.5])])), Vec::<String>::new());
        assert_eq!(missed(&json!([run(&[0.1, 1.1, 1.2], &[5.5])])), ["kill to the next step, median, s"]);
        assert_eq!(missed(&json!([run(&[0.1, 0.2, 3.1], &[5.5])])), ["kill to the next step, p95, s"]);
        let two = json!([run(&[0.1], &[5.5]), run(&[0.1], &[7.1])]);
        assert_eq!(missed(&two), ["silence to the next step, longest, s"], "of all runs");
        for (key, value, name) in [
            ("wild_seconds", json!(110.0), "speed kept"),
            ("is_exact", json!(false), "audits that are not exact"),
            ("weights_distance", json!(2e-3), "distance of the weights"),
        ] {
            let mut spoiled = run(&[0.1], &[5.5]);
            spoiled[key] = value;
            assert_eq!(missed(&json!([spoiled])), [name]);
        }
    }

    #[test]
    fn what_was_not_measured_meets_no_bar() {
        assert_eq!(missed(&json!([run(&[], &[])])).len(), 3);
        assert!(of_chaos(&json!([])).is_err());
    }

    #[test]
    fn a_soak_may_form_one_group_for_each_training_and_no_other() {
        let soak = |lost: u32| {
            json!({
                "groups": { "start": 3, "lost": lost }, "workers_lost": 0, "tasks_failed": 0, "runs_spoiled": 0,
                "runs": 3,
            })
        };
        let met = |soak| of_soak(&soak).unwrap().iter().all(|figure| figure.verdict() == Some("met"));
        assert!(met(soak(0)));
        assert!(!met(soak(1)));
    }

    #[test]
    fn shares_are_of_the_figures_that_are_not_above() {
        let figures: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!([0.5, 0.95, 1.0].map(|part| share(&figures, part)), [10.0, 19.0, 20.0]);
        assert!(share(&[], 0.5).is_nan());
    }
}
