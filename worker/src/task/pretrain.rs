//! The pre-training task: one rank of a data-parallel run of the masked autoencoder.

mod account;
mod publish;

use std::sync::Arc;
use std::time::{Duration, Instant};

use vismae_c10d::Collective as _;
use vismae_core::ids::{self, Epoch, WorldSize};
use vismae_core::spec::PretrainSpec;
use vismae_core::stall::Phase;
use vismae_shards::loader::{Dataset, Needs, Start};
use vismae_shards::manifest::Manifest;
use vismae_shards::order::{PRETRAIN_WINDOW, Plan, PlanSpec, RowsDigest};
use vismae_shards::runs::{Begin, Group, Ledger, StepRow};
use vismae_shards::split::Split;

use super::bookkeeper::{self, Bookkeeper};
use super::checkpoint::{self, Checkpointer, ShareState};
use super::error::TaskError;
use super::group::{Gang, Meeting};
use super::pace::PaceMeter;
use super::progress::{ProgressMeter, Tick, seconds_since_1970};
use super::rank::{Rank, StepError, StepTotals, Votes};
use super::replica::Replica;
use super::{Outcome, TaskContext, artefacts, data};
use account::Account;
use publish::History;

/// What does not change with the group.
struct Work<'a> {
    context: &'a TaskContext,
    spec: &'a PretrainSpec,
    manifest: Manifest,
    dataset: Arc<Dataset>,
    plan: Plan,
    /// All of it that decides which samples a step takes.
    begin: Begin,
}

/// How the work in one group ends when nothing is wrong.
enum Leave {
    /// Everything is done, and published.
    Done,
    /// Some rank leaves, or others come.
    Boundary {
        /// It is this one, and it is to stop.
        is_own: bool,
    },
    /// All ranks are told to stop, and have kept what they had come to.
    Parked,
}

pub(super) fn run(context: &TaskContext, spec: &PretrainSpec) -> Result<Outcome, TaskError> {
    let mut ledger = bookkeeper::read(context)?;
    // A run that has begun goes on with the version of the corpus that it began with.
    let version = ledger.begin().map(|begun| begun.corpus_version);
    let manifest = data::manifest_of(context, &spec.corpus, version)?;
    let dataset = data::open(context, &manifest, Split::Train, &spec.selection, Needs::Any)?;
    let plan = Plan::new(
        &dataset.row_counts(),
        PlanSpec { seed: spec.seed, lanes: spec.lanes, global_batch: spec.global_batch, window: PRETRAIN_WINDOW },
    )
    .map_err(|error| TaskError::input_from(&error))?;
    let mut replica = Replica::new(context, spec, plan.steps_per_epoch(), manifest.version)?;
    let begin = Begin::new((&manifest.corpus, manifest.version), &spec.selection, &plan, spec.epochs);
    let work = Work { context, spec, manifest, dataset, plan, begin };
    let mut meter = ProgressMeter::new(&context.reporter, "training");
    // Last of all: whoever is up keeps nobody waiting.
    let mut meeting = Meeting::open(context)?;
    loop {
        context.activity.rest();
        let Some(gang) = meeting.next()? else {
            if let Some(step) = checkpoint::park_alone(context, spec, ledger, &replica)? {
                tracing::info!(step, "kept what it had come to: no other rank is left to go on with");
            }
            return Ok(Outcome::Stopped);
        };
        context.activity.join(gang.generation, gang.group.world_size());
        if gang.group.rank() == 0 && replica.is_fresh() {
            context.activity.enter(Phase::Store, replica.step());
            // The others copy what it has found.
            checkpoint::restore(context, spec, &mut ledger, &mut replica)?;
        }
        let left = Rank::new(&gang, &mut replica, &context.activity)
            .and_then(|rank| work.train(rank, &gang, &ledger, &mut meter));
        if let Some(row) = replica.rows().last() {
            meeting.expect_steps_of(Duration::from_secs_f64(row.step_seconds.max(0.0)));
        }
        match left {
            Ok(Leave::Done) => return Ok(Outcome::Succeeded(History(replica.rows()).figures())),
            Ok(Leave::Parked | Leave::Boundary { is_own: true }) => return Ok(Outcome::Stopped),
            Ok(Leave::Boundary { is_own: false }) => {}
            Err(StepError::Broken(reason)) => meeting.part(gang.generation, reason),
            Err(StepError::Task(error)) => return Err(error),
        }
    }
}

impl Work<'_> {
    /// Steps of the whole run.
    fn steps(&self) -> u64 {
        self.plan.steps_per_epoch() * u64::from(self.spec.epochs)
    }

    /// The rows that every step is to take, from one on.
    fn digests(&self, start: Start) -> impl Iterator<Item = RowsDigest> {
        let first = move |epoch| if epoch == start.epoch.0 { start.step } else { 0 };
        (start.epoch.0..self.spec.epochs).flat_map(move |epoch| self.plan.digests(Epoch(epoch), first(epoch)))
    }

    /// Takes the steps that are left, in one group, and publishes what they came to.
    fn train(
        &self,
        mut rank: Rank<'_>,
        gang: &Gang,
        ledger: &Ledger,
        meter: &mut ProgressMeter,
    ) -> Result<Leave, StepError> {
        let (control, activity) = (&self.context.control, &self.context.activity);
        let (steps, per_epoch) = (self.steps(), self.plan.steps_per_epoch());
        let first = rank.replica().step();
        let is_first_rank = rank.number() == 0;
        let mut book = is_first_rank.then(|| {
            let group = Group { first_step: first, ranks: gang.ranks.clone() };
            Bookkeeper::open(self.context, ledger, gang.generation, (&self.begin, group))
        });
        if let Some(book) = &mut book {
            if first == 0 {
                activity.enter(Phase::Store, first);
                // Only who may write at all takes anything back.
                book.confirm()?;
                artefacts::retract_results(self.context)?;
                bookkeeper::retire_earlier(self.context)?;
            }
            meter.begin(first, steps);
        }
        let lanes_of = |number| self.plan.lanes_of(ids::Rank(number), WorldSize(rank.world_size()));
        let lanes = lanes_of(rank.number());
        let shares = (0..rank.world_size()).map(|number| lanes_of(number).len() as f64).collect();
        let mut pace = PaceMeter::new(&self.context.reporter, gang.generation, shares);
        let start = Start { epoch: Epoch((first / per_epoch) as u32), step: first % per_epoch };
        let mut loader = data::planned(self.context, &self.dataset, &self.plan, lanes, (start, self.spec.epochs))?;
        let mut planned = self.digests(start);
        let mut checkpoints = Checkpointer::new(self.context, self.spec, (gang.generation, steps), &rank);
        // Whether the others know that this rank is to stop.
        let mut is_stop_told = false;
        let mut account = Account::default();
        let mut step_began = Instant::now();
        loop {
            let waited_from = Instant::now();
            activity.enter(Phase::Data, rank.replica().step());
            let Some(batch) = loader.next().map_err(|error| TaskError::environment_from(&error))? else { break };
            let data_seconds = waited_from.elapsed().as_secs_f64();
            let (epoch, samples, step) = (batch.epoch, batch.global_samples, rank.replica().step());
            let share = checkpoints.share();
            let own = |is_so: bool| u32::from(is_so);
            let votes = Votes {
                leaving: own(control.is_superseded(gang.generation) || (is_stop_told && control.is_stopped_alone())),
                stopping: own(control.is_stopped()),
                stored: own(share == ShareState::Stored),
                lost: own(share == ShareState::Lost),
            };
            let (is_stopping, is_leaving) = (votes.stopping > 0, votes.leaving > 0);
            let planned = planned.next().unwrap_or_default();
            let taking = Instant::now();
            let totals = rank.step(&batch, planned, votes)?;
            let training = taking.elapsed().saturating_sub(totals.agreement);
            let StepTotals { loss, gradient_norm, learning_rate, votes, digest, own_seconds, .. } = totals;
            let took = step_began.elapsed();
            account.add(took.as_secs_f64(), data_seconds, training);
            rank.replica_mut().push(StepRow {
                step,
                epoch: epoch.0,
                loss,
                learning_rate,
                gradient_norm,
                samples,
                data_seconds,
                step_seconds: took.as_secs_f64(),
                time: seconds_since_1970(),
                generation: Some(gang.generation.0),
                digest: Some(digest),
            });
            // What follows counts for the next step: a checkpoint that stalls the loop shows.
            step_began = Instant::now();
            activity.stepped(took);
            if let Some(book) = &mut book {
                pace.step(took.as_secs_f64(), own_seconds);
                book.look()?;
                let images = u64::from(samples);
                meter.tick(&Tick { done: step + 1, total: steps, epoch: epoch.0, loss: Some(loss), images });
            }
            // Whoever has taken the last step publishes.
            let is_parked = votes.stopping == rank.world_size() && step + 1 < steps;
            let all_stored = votes.stored == rank.world_size();
            activity.enter(place_after(is_parked, all_stored), step + 1);
            let finished = match is_parked {
                true => checkpoints.park(&rank)?,
                false => checkpoints.after_step(&rank, (votes.stored, votes.lost))?,
            };
            if let (Some(book), Some(checkpoint)) = (&mut book, finished) {
                book.keep(checkpoint, &self.spec.checkpoints);
                if is_parked {
                    book.settle()?;
                }
            }
            if is_parked {
                return Ok(Leave::Parked);
            }
            if votes.leaving > 0 && step + 1 < steps {
                // One that leaves by itself has nothing to keep: the others have it too, and go on.
                return Ok(Leave::Boundary { is_own: is_leaving && is_stopping });
            }
            is_stop_told = is_stopping;
        }
        if let Some(book) = &mut book {
            activity.enter(Phase::Store, rank.replica().step());
            self.publish(&rank, gang, book)?;
        }
        // Whoever has the weights stays until they are kept: the first rank may die while it writes them.
        rank.meet()?;
        Ok(Leave::Done)
    }
}

/// Where a rank is after a step: it keeps all that it has come to, or the ranks exchange receipts of what they have kept, or it may copy
/// what is to be kept next.
fn place_after(is_parked: bool, all_stored: bool) -> Phase {
    match (is_parked, all_stored) {
        (true, _) => Phase::Store,
        (false, true) => Phase::Collective,
        (false, false) => Phase::Compute,
    }
}
