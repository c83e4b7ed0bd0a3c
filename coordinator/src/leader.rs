//! Who leads: a sign of life beside the state, and the wait of one who stands by.
//!
//! It only tells when to take over. That no two coordinators decide is the business of the journal, which fences whoever had it open
//! before: one who takes over from a leader that was merely slow does no harm.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where the leader's sign of life lies.
const SIGN: &str = "coordinator.leader";
/// How often the leader renews it, and those who stand by look at it.
const BEAT: Duration = Duration::from_secs(1);
/// How long it may stay the same until the leader is taken to be gone: with the time to open the state, ten seconds are not passed.
const SILENCE: Duration = Duration::from_secs(5);

/// Renews the sign of life until the token is cancelled, and takes it away then, so that nobody has to wait for its silence.
pub async fn lead(store: Arc<dyn ObjectStore>, shutdown: CancellationToken) {
    let (path, own) = (Path::from(SIGN), name());
    let mut beat = tokio::time::interval(BEAT);
    for count in 0_u64.. {
        tokio::select! {
            _ = beat.tick() => {}
            () = shutdown.cancelled() => break,
        }
        let sign = PutPayload::from(format!("{own} {count}"));
        let renewed = tokio::select! {
            renewed = store.put(&path, sign) => renewed,
            () = shutdown.cancelled() => break,
        };
        if let Err(error) = renewed {
            tracing::warn!(%error, "the sign of life can't be renewed: a coordinator that stands by may take over");
        }
    }
    if !matches!(tokio::time::timeout(SILENCE, take_away(&*store, &path, &own)).await, Ok(Ok(()))) {
        tracing::warn!("the sign of life can't be taken away: who stands by waits for its silence");
    }
}

/// Unless another one leads already.
async fn take_away(store: &dyn ObjectStore, path: &Path, own: &str) -> object_store::Result<()> {
    match look(store, path).await? {
        Some(sign) if sign.starts_with(own.as_bytes()) => store.delete(path).await,
        _ => Ok(()),
    }
}

/// Waits until nobody leads: there is no sign of life, or it has not changed for a while.
///
/// # Cancel safety
/// Can be dropped and called again; the wait begins anew.
pub async fn stand_by(store: &dyn ObjectStore) {
    let path = Path::from(SIGN);
    let mut last: Option<(Bytes, Instant)> = None;
    loop {
        match look(store, &path).await {
            Ok(None) => return,
            Ok(Some(sign)) => match &last {
                Some((known, since)) if *known == sign => {
                    if since.elapsed() >= SILENCE {
                        return;
                    }
                }
                _ => last = Some((sign, Instant::now())),
            },
            // Who can't see the leader can't tell that it is gone.
            Err(error) => {
                tracing::warn!(%error, "the leader's sign of life can't be read");
                last = None;
            }
        }
        tokio::time::sleep(BEAT).await;
    }
}

async fn look(store: &dyn ObjectStore, path: &Path) -> object_store::Result<Option<Bytes>> {
    match store.get(path).await {
        Ok(found) => found.bytes().await.map(Some),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name that no other coordinator has.
fn name() -> String {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}-{started}", std::process::id())
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    async fn waited(store: &Arc<InMemory>) -> Duration {
        let began = Instant::now();
        stand_by(&**store).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_where_nobody_leads_or_the_leader_has_left_in_good_order() {
        let store = Arc::new(InMemory::new());
        assert_eq!(waited(&store).await, Duration::ZERO);
        let shutdown = CancellationToken::new();
        let leading = tokio::spawn(lead(Arc::clone(&store) as Arc<dyn ObjectStore>, shutdown.clone()));
        tokio::time::sleep(BEAT * 3).await;
        let patient = tokio::time::timeout(SILENCE * 20, stand_by(&*store)).await;
        assert!(patient.is_err(), "a leader that lives is not replaced");
        shutdown.cancel();
        leading.await.unwrap();
        assert_eq!(waited(&store).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_dies_is_replaced_after_its_silence() {
        let store = Arc::new(InMemory::new());
        let leading = tokio::spawn(lead(Arc::clone(&store) as Arc<dyn ObjectStore>, CancellationToken::new()));
        tokio::time::sleep(BEAT * 3).await;
        leading.abort();
        let waited = waited(&store).await;
        assert!((SILENCE..=SILENCE + BEAT * 2).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_replaced_leaves_the_sign_of_the_other_alone() {
        let store = Arc::new(InMemory::new());
        let shutdown = CancellationToken::new();
        let leading = tokio::spawn(lead(Arc::clone(&store) as Arc<dyn ObjectStore>, shutdown.clone()));
        tokio::time::sleep(BEAT / 2).await;
        store.put(&Path::from(SIGN), PutPayload::from("another 0")).await.unwrap();
        shutdown.cancel();
        leading.await.unwrap();
        assert_eq!(look(&*store, &Path::from(SIGN)).await.unwrap().unwrap(), "another 0");
    }
}
