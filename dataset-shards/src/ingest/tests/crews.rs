//! Ingests that several members share over one store.

use std::sync::Arc;

use vismae_core::ids::{JobId, JobName, PipelineId, TaskId};

use super::*;

fn member(number: u32, size: u32, attempt: u32) -> IngestOptions {
    let job = JobId { pipeline: PipelineId::new("p").unwrap(), name: JobName::new("ingest").unwrap() };
    IngestOptions { crew: Crew::member(&TaskId { job, attempt, member: number }, size), ..options(2) }
}

async fn lead(store: &Store, inputs: &[&Path], options: &IngestOptions) -> Result<IngestSummary, IngestError> {
    ingest(store, &spec(inputs), options, |_| {}, &CancellationToken::new()).await
}

async fn help_out(store: &Store, inputs: &[&Path], options: &IngestOptions) -> Result<(), IngestError> {
    help(store, &spec(inputs), options, &CancellationToken::new()).await
}

async fn alone(inputs: &[&Path]) -> BTreeMap<String, Bytes> {
    let store = Store::open("memory://").unwrap();
    ingest_all(&store, inputs).await.unwrap();
    contents(&store).await
}

/// What a crew leaves, but for the word that it is over, which must be there and empty.
async fn left(store: &Store, attempt: u32) -> BTreeMap<String, Bytes> {
    let mut all = contents(store).await;
    let over = all.remove(&format!("corpora/demo/staging/p.ingest/attempt-{attempt}/over"));
    assert_eq!(over, Some(Bytes::new()));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crew_writes_what_one_alone_writes_to_the_byte_and_tidies_up() {
    let folder = tempfile::tempdir().unwrap();
    broken_set(folder.path());
    let inputs = [phantom_folder(), folder.path()];
    let store = Store::open("memory://").unwrap();
    let members = [member(0, 3, 0), member(1, 3, 0), member(2, 3, 0)];
    let (led, first, second) = tokio::join!(
        lead(&store, &inputs, &members[0]),
        help_out(&store, &inputs, &members[1]),
        help_out(&store, &inputs, &members[2])
    );
    let summary = led.unwrap();
    first.unwrap();
    second.unwrap();
    assert_eq!((summary.total_frames(), summary.version), (206, 1));
    assert!(left(&store, 0).await == alone(&inputs).await);
    // Whoever comes too late has nothing to do, whatever it sees.
    help_out(&store, &[folder.path()], &members[1]).await.unwrap();
    assert!(left(&store, 0).await == alone(&inputs).await);
}

/// A folder whose file can be spoilt without a trace.
fn spoil(path: &Path) {
    let (whole, modified) = (std::fs::read(path).unwrap(), std::fs::metadata(path).unwrap().modified().unwrap());
    std::fs::write(path, vec![0; whole.len()]).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_attempt_takes_what_an_earlier_one_has_prepared() {
    let folder = tempfile::tempdir().unwrap();
    png(&folder.path().join("whole.png"), 20, 20, |x, y| (x * y) as u8);
    std::fs::write(folder.path().join("manifest.csv"), "file,modality\nwhole.png,XR\n").unwrap();
    let store = Store::open("memory://").unwrap();
    help_out(&store, &[folder.path()], &member(1, 2, 0)).await.unwrap();
    spoil(&folder.path().join("whole.png"));
    let summary = lead(&store, &[folder.path()], &member(0, 2, 1)).await.unwrap();
    assert_eq!((summary.total_frames(), summary.total_quarantined()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_dies_leaves_nothing_visible_and_its_task_to_the_next_attempt() {
    let store = Arc::new(Store::open("memory://").unwrap());
    let dying = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { help_out(&store, &[phantom_folder()], &member(1, 2, 0)).await })
    };
    // As soon as it has claimed a task.
    while !store.list("corpora/demo/staging").await.unwrap().iter().any(|path| path.len() > 60) {
        tokio::task::yield_now().await;
    }
    dying.abort();
    let _ended = dying.await;
    assert!(Manifest::corpora(&store).await.unwrap().is_empty());
    let summary = lead(&store, &[phantom_folder()], &member(0, 2, 1)).await.unwrap();
    assert_eq!(summary.total_frames(), 204);
    assert!(left(&store, 1).await == alone(&[phantom_folder()]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_part_that_is_damaged_costs_an_attempt_and_is_prepared_again() {
    let store = Store::open("memory://").unwrap();
    help_out(&store, &[phantom_folder()], &member(1, 2, 0)).await.unwrap();
    let parts = store.list("corpora/demo/staging/p.ingest/parts").await.unwrap();
    store.put(&parts[0], vec![1; 50]).await.unwrap();
    let error = lead(&store, &[phantom_folder()], &member(0, 2, 1)).await.unwrap_err();
    assert!(error.may_pass() && error.to_string().contains(&parts[0]), "{error}");
    lead(&store, &[phantom_folder()], &member(0, 2, 2)).await.unwrap();
    assert!(left(&store, 2).await == alone(&[phantom_folder()]).await);
}

#[tokio::test]
async fn members_that_see_other_files_do_not_work_together() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in [&one, &other] {
        std::fs::create_dir_all(folder.path().join("xr")).unwrap();
        png(&folder.path().join("xr/a.png"), 20, 20, |x, y| (x * y) as u8);
    }
    png(&other.path().join("xr/b.png"), 20, 20, |x, y| (x + y) as u8);
    let store = Store::open("memory://").unwrap();
    help_out(&store, &[one.path()], &member(1, 3, 0)).await.unwrap();
    let error = help_out(&store, &[other.path()], &member(2, 3, 0)).await.unwrap_err().to_string();
    assert!(error.starts_with("member 2 of the crew lists other files"), "{error}");
}
