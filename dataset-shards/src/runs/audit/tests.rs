//! Runs as they should be, and each thing that can be wrong with one.

use vismae_core::ids::Generation;
use vismae_core::spec::Selection;

use super::*;
use crate::fixture::phantom_store;
use crate::order::PlanSpec;
use crate::runs::{Group, write_steps};

const EPOCHS: u32 = 2;
const RUN: RunNumber = RunNumber(5);

/// A run over the phantom corpus as its trainers leave it.
struct Run {
    store: Store,
    paths: RunPaths,
    begin: Begin,
    rows: Vec<StepRow>,
}

async fn run() -> Run {
    let (store, manifest) = phantom_store().await;
    let selection = Selection::default();
    let dataset = Dataset::open(&store, &manifest, Split::Train, &selection, Needs::Any).await.unwrap();
    let spec = PlanSpec { seed: 3, lanes: 4, global_batch: 32, window: 2 };
    let plan = Plan::new(&dataset.row_counts(), spec).unwrap();
    let begin = Begin::new((&manifest.corpus, manifest.version), &selection, &plan, EPOCHS);
    let mut rows = Vec::new();
    for epoch in 0..EPOCHS {
        let order = plan.epoch(Epoch(epoch));
        for (step, digest) in (0..).zip(plan.digests(Epoch(epoch), 0)) {
            rows.push(StepRow {
                step: rows.len() as u64,
                epoch,
                loss: 1.0,
                learning_rate: 1e-3,
                gradient_norm: 1.0,
                samples: order.global_samples(step),
                data_seconds: 0.0,
                step_seconds: 0.1,
                time: 0.0,
                generation: Some(1 + u64::from(epoch)),
                digest: Some(digest),
            });
        }
    }
    Run { store, paths: RunPaths::new("demo.pretrain"), begin, rows }
}

impl Run {
    async fn ledger(&self) -> Ledger {
        Ledger::open(&self.store, &self.paths, RUN).await.unwrap()
    }

    async fn start(&self) {
        let mut ledger = self.ledger().await;
        let group = |first_step| Entry::Group(Group { first_step, ranks: vec!["a".to_owned()] });
        ledger.append(Generation(1), "a", Entry::Begin(self.begin.clone())).await.unwrap();
        ledger.append(Generation(1), "a", group(0)).await.unwrap();
        ledger.append(Generation(2), "a", group(self.begin.steps_per_epoch)).await.unwrap();
    }

    async fn commit(&self) {
        let (steps, path) = (write_steps(&self.rows).unwrap(), self.paths.metrics());
        let file = CommittedFile::new(&path, &steps);
        self.store.put(&path, steps).await.unwrap();
        let weights = format!("{}/model.safetensors", self.paths.commit(RUN, Generation(2)));
        self.store.put(&weights, &b"weights"[..]).await.unwrap();
        let files = vec![CommittedFile::new(&weights, b"weights"), file];
        let end = End { steps: self.rows.len() as u64, files };
        self.ledger().await.append(Generation(2), "a", Entry::End(end)).await.unwrap();
    }

    async fn audit(&self) -> Audit {
        audit(&self.store, &self.paths, |_, _| {}).await.unwrap()
    }

    /// The kinds of what an audit finds when the record of steps is another one.
    async fn kinds(mut self, change: impl FnOnce(&mut Vec<StepRow>)) -> Vec<&'static str> {
        self.start().await;
        change(&mut self.rows);
        self.commit().await;
        let audit = self.audit().await;
        assert_eq!(audit.exact, audit.findings.is_empty());
        audit.findings.iter().map(|finding| finding.kind).collect()
    }
}

#[tokio::test]
async fn a_run_that_took_the_rows_of_its_plan_is_exact() {
    let run = run().await;
    run.start().await;
    run.commit().await;
    let audit = run.audit().await;
    assert_eq!((audit.exact, audit.findings.len(), audit.groups), (true, 0, 2));
    assert_eq!(audit.steps, Some(run.begin.steps()));
    for (number, epoch) in (0..).zip(&audit.epochs) {
        assert_eq!((epoch.epoch, epoch.exact), (number, true));
        assert_eq!((epoch.planned, epoch.taken), (run.begin.samples_per_epoch, run.begin.samples_per_epoch));
        assert_eq!(epoch.planned_digest, epoch.taken_digest);
        assert_eq!(epoch.generations, [1 + u64::from(number)]);
    }
    assert_ne!(audit.epochs[0].planned_digest, audit.epochs[1].planned_digest);
}

#[tokio::test]
async fn any_other_record_of_steps_is_found() {
    assert_eq!(run().await.kinds(|_| {}).await, [""; 0]);
    let twice = |rows: &mut Vec<StepRow>| rows[1].digest = rows[0].digest;
    assert_eq!(run().await.kinds(twice).await, ["rows"]);
    let swapped = |rows: &mut Vec<StepRow>| {
        let first = rows[0].digest;
        rows[0].digest = std::mem::replace(&mut rows[1].digest, first);
    };
    assert_eq!(run().await.kinds(swapped).await, ["rows"]);
    assert_eq!(run().await.kinds(|rows| rows[2].digest = None).await, ["rows"]);
    assert_eq!(run().await.kinds(|rows| rows[2].samples += 1).await, ["rows"]);
    assert_eq!(run().await.kinds(|rows| rows.truncate(rows.len() - 1)).await, ["steps", "rows"]);
    let repeated = |rows: &mut Vec<StepRow>| rows.push(rows[rows.len() - 1].clone());
    assert_eq!(run().await.kinds(repeated).await, ["steps", "steps"]);
    assert_eq!(run().await.kinds(|rows| rows[0].generation = Some(2)).await, ["generation"]);
    assert_eq!(run().await.kinds(|rows| rows[0].generation = Some(3)).await, ["generation"]);
    assert_eq!(run().await.kinds(|rows| rows[0].generation = None).await, ["generation"]);
}

#[tokio::test]
async fn a_file_that_is_not_the_one_committed_is_found() {
    let run = run().await;
    run.start().await;
    run.commit().await;
    let mut bytes = run.store.get(&run.paths.metrics()).await.unwrap().to_vec();
    bytes.push(b'\n');
    run.store.put(&run.paths.metrics(), bytes).await.unwrap();
    let audit = run.audit().await;
    assert_eq!((audit.exact, audit.findings[0].kind), (false, "file"));
    run.store.delete(&run.paths.metrics()).await.unwrap();
    let audit = run.audit().await;
    assert!(audit.findings[0].message.ends_with("is missing"), "{:?}", audit.findings);
}

#[tokio::test]
async fn weights_that_people_take_are_those_of_a_commit() {
    let run = run().await;
    run.start().await;
    run.commit().await;
    run.store.put(&run.paths.model(), &b"weights"[..]).await.unwrap();
    assert!(run.audit().await.exact);
    run.store.put(&run.paths.model(), &b"others"[..]).await.unwrap();
    assert_eq!(run.audit().await.findings[0].kind, "file");
}

#[tokio::test]
async fn a_run_that_goes_on_is_not_exact_yet_and_nothing_else_is_wrong_with_it() {
    let run = run().await;
    run.start().await;
    let audit = run.audit().await;
    let kinds: Vec<_> = audit.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!((audit.exact, audit.steps, kinds), (false, None, vec!["unfinished"]));
}

#[tokio::test]
async fn another_corpus_than_the_run_began_with_is_found() {
    let mut run = run().await;
    run.begin.samples_per_epoch += 1;
    run.start().await;
    run.commit().await;
    assert_eq!(run.audit().await.findings[0].kind, "plan");
}

#[tokio::test]
async fn the_latest_run_of_a_name_is_audited_and_other_names_are_named() {
    let run = run().await;
    run.start().await;
    run.commit().await;
    let mut later = Ledger::open(&run.store, &run.paths, RunNumber(RUN.0 + 1)).await.unwrap();
    later.append(Generation(1), "a", Entry::Begin(run.begin.clone())).await.unwrap();
    assert_eq!(run.audit().await.run, RUN.0 + 1);
    let refused = audit(&run.store, &RunPaths::new("demo.other"), |_, _| {}).await.unwrap_err().to_string();
    assert!(refused.contains("`runs/demo.other`") && refused.ends_with("have one: demo.pretrain"), "{refused}");
}
