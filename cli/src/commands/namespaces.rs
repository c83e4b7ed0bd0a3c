//! `vismae namespaces`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use vismae_proto::v1;

use super::CoordinatorAddress;
use crate::failure::{Exit, Failure};
use crate::output::Format;
use crate::tables;
use crate::views::NamespaceView;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List namespaces, what each may use and what it uses
    List(Listing),
    /// Make a namespace, or change its limits; what is not named stays as it is
    Set {
        /// Namespace
        name: String,
        #[command(flatten)]
        limits: Limits,
        /// Only if the namespace still has this `etag`, which `vismae namespaces -o json` shows
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
        /// Have it checked by the coordinator, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        at: CoordinatorAddress,
    },
    /// Delete a namespace in which nothing is queued or runs
    Delete {
        /// Namespace
        name: String,
        /// Only if the namespace still has this `etag`, which `vismae namespaces -o json` shows
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
        /// Have it checked by the coordinator, and delete nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        at: CoordinatorAddress,
    },
}

#[derive(Debug, Args)]
struct Listing {
    /// Only namespaces for which this holds, as `usage.pending > 0`: of name, quota.cpu, quota.cuda, max_pending, usage.pending,
    /// usage.used.cpu and usage.used.cuda
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    filter: String,
    /// Sort by the same fields, as `usage.pending desc` [default: by name]
    #[arg(long, value_name = "FIELDS", default_value = "", hide_default_value = true)]
    order_by: String,
    #[command(flatten)]
    at: CoordinatorAddress,
}

#[derive(Debug, Args)]
struct Limits {
    /// CPU slots that are its own, or `any` for no limit
    #[arg(long, value_name = "N", value_parser = number_or("any"))]
    cpu: Option<NumberOr>,
    /// GPU slots that are its own, or `any` for no limit
    #[arg(long, value_name = "N", value_parser = number_or("any"))]
    cuda: Option<NumberOr>,
    /// Idle slots of each kind that it may use beyond its own: a number, `any` or `none`
    #[arg(long, value_name = "N")]
    borrow: Option<Borrow>,
    /// Pipelines that may wait for their first slot, or `any` for no limit
    #[arg(long, value_name = "N", value_parser = number_or("any"))]
    max_pending: Option<NumberOr>,
}

/// A number, or the word for no limit.
#[derive(Debug, Clone, Copy)]
struct NumberOr(Option<u32>);

fn number_or(word: &'static str) -> impl Fn(&str) -> Result<NumberOr, String> + Clone {
    move |text| match text.parse() {
        Ok(number) => Ok(NumberOr(Some(number))),
        Err(_) if text == word => Ok(NumberOr(None)),
        Err(_) => Err(format!("expected a number or `{word}`")),
    }
}

#[derive(Debug, Clone, Copy)]
struct Borrow(Option<v1::Borrowing>);

impl FromStr for Borrow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("none", _) => Ok(Self(None)),
            ("any", _) => Ok(Self(Some(v1::Borrowing { limit: None }))),
            (_, Ok(slots)) => Ok(Self(Some(v1::Borrowing { limit: Some(slots) }))),
            (_, Err(_)) => Err("expected a number, `any` or `none`".to_owned()),
        }
    }
}

impl Limits {
    /// The namespace with these limits, and the paths of those that are named.
    fn of(self, name: String) -> (v1::Namespace, Vec<String>) {
        let named = [
            ("quota.cpu", self.cpu.is_some()),
            ("quota.cuda", self.cuda.is_some()),
            ("borrowing", self.borrow.is_some()),
            ("max_pending", self.max_pending.is_some()),
        ];
        let number = |limit: Option<NumberOr>| limit.and_then(|limit| limit.0);
        let namespace = v1::Namespace {
            name,
            quota: Some(v1::Quota { cpu: number(self.cpu), cuda: number(self.cuda) }),
            borrowing: self.borrow.and_then(|borrow| borrow.0),
            max_pending: number(self.max_pending),
            ..v1::Namespace::default()
        };
        (namespace, named.into_iter().filter(|(_, is)| *is).map(|(path, _)| path.to_owned()).collect())
    }
}

pub(super) async fn run(options: Options, format: Format) -> Result<(), Failure> {
    match options.action {
        None => list(&options.listing, format).await,
        Some(Action::List(listing)) => list(&listing, format).await,
        Some(Action::Set { name, limits, etag, dry_run, at }) => {
            let (namespace, paths) = limits.of(name);
            let namespace = v1::Namespace { etag, ..namespace };
            if paths.is_empty() {
                let message = "no limit is named, expected some of `--cpu`, `--cuda`, `--borrow` and `--max-pending`";
                return Err(Failure::new(Exit::Usage, message));
            }
            let namespace = at.connect().await?.set_namespace(namespace, paths, dry_run).await?;
            format.result(&NamespaceView::from(&namespace), |view| tables::namespaces(std::slice::from_ref(view)))
        }
        Some(Action::Delete { name, etag, dry_run, at }) => {
            at.connect().await?.delete_namespace(&name, &etag, dry_run).await?;
            let becomes = if dry_run { "would be" } else { "is" };
            format.result(&serde_json::json!({ "name": name, "deleted": !dry_run }), |_| {
                format!("namespace `{name}` {becomes} deleted")
            })
        }
    }
}

async fn list(listing: &Listing, format: Format) -> Result<(), Failure> {
    let namespaces = listing.at.connect().await?.namespaces(&listing.filter, &listing.order_by).await?;
    let views: Vec<NamespaceView> = namespaces.iter().map(NamespaceView::from).collect();
    format.result(&views, |views| tables::namespaces(views))
}
