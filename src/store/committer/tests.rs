//! A committer of sums: what shares a commit, what waits for it, and what happens when it fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;

use super::*;
use crate::store::test_store::{OnCommit, TestStore};
use crate::store::{MemoryStore, Owner, Table};

const SUMS: Table = Owner::Users.table("sums");

/// A machine that adds numbers, and stores their sum.
#[derive(Default)]
struct Sums {
    published: Mutex<Vec<u64>>,
    panics: AtomicBool,
}

impl Machine for Sums {
    type State = u64;
    type Change = u64;
    type Publication = u64;

    fn bytes(change: &u64) -> usize {
        *change as usize
    }

    fn prepare<'a>(&self, changes: impl Iterator<Item = &'a u64> + Clone, sum: &u64) -> (Batch, u64) {
        let mut batch = Batch::default();
        if changes.clone().count() > 0 {
            batch.put(SUMS, "sum".into(), sum.to_string().into());
        }
        (batch, *sum)
    }

    fn publish<'a>(&self, sum: u64, _: impl Iterator<Item = &'a u64>) {
        assert!(!self.panics.load(Ordering::SeqCst), "this test makes a publication panic");
        lock(&self.published).push(sum);
    }
}

fn sums_on(store: Arc<dyn Store>) -> Committer<Sums> {
    let config = CommitterConfig { thread_name: "sums", waiting_bytes_max: 1_000 };
    Committer::start(store, Sums::default(), 0, &config).unwrap()
}

/// A committer on a store that blocks.
fn sums() -> (Committer<Sums>, Arc<TestStore>) {
    let store = TestStore::new();
    (sums_on(Arc::clone(&store) as Arc<dyn Store>), store)
}

async fn add_on(sums: &Committer<Sums>, commit_on: CommitOn, number: u64) -> Result<u64, CommitError> {
    let submission = Submission { commit_on, ..Submission::default() };
    let add = |sum: &mut u64, changes: &mut Vec<u64>| {
        *sum += number;
        changes.push(number);
        *sum
    };
    sums.submit(submission, add).await
}

async fn add(sums: &Committer<Sums>, number: u64) -> Result<u64, CommitError> {
    add_on(sums, CommitOn::Thread, number).await
}

fn spawn_add(sums: &Committer<Sums>, number: u64) -> JoinHandle<Result<u64, CommitError>> {
    let sums = sums.clone();
    tokio::spawn(async move { add(&sums, number).await })
}

async fn read(sums: &Committer<Sums>) -> Result<u64, CommitError> {
    sums.submit(Submission::default(), |sum, _| *sum).await
}

fn stored(store: &dyn Store) -> Option<String> {
    let stored = store.get(SUMS, b"sum").unwrap()?;
    Some(String::from_utf8(stored.to_vec()).unwrap())
}

fn published(sums: &Committer<Sums>) -> Vec<u64> {
    lock(&sums.machine().published).clone()
}

/// Lets all tasks run until `done`.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

/// Holds the store while it commits 1.
async fn hold_first(sums: &Committer<Sums>, store: &TestStore) -> JoinHandle<Result<u64, CommitError>> {
    store.on_commit(OnCommit::Hold);
    let before = store.commits();
    let first = spawn_add(sums, 1);
    until("the first commit has begun", || store.commits() > before).await;
    first
}

#[tokio::test]
async fn everything_that_waits_shares_one_commit() {
    let (sums, store) = sums();
    let first = hold_first(&sums, &store).await;
    let waiting: Vec<_> = (0..20).map(|_| spawn_add(&sums, 2)).collect();
    until("all of them are decided", || sums.with_state(|sum| *sum) == 41).await;
    assert_eq!((stored(&*store), published(&sums)), (None, vec![]), "nothing is visible before it is durable");
    store.on_commit(OnCommit::Succeed);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    for (index, call) in waiting.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), 3 + 2 * index as u64);
    }
    assert_eq!((store.commits(), published(&sums)), (2, vec![1, 41]));
    assert_eq!(stored(&*store).as_deref(), Some("41"));
    assert_eq!(store.threads(), ["sums", "sums"]);
}

#[tokio::test]
async fn an_answer_that_rests_on_a_waiting_change_waits_for_it() {
    let (sums, store) = sums();
    assert_eq!(read(&sums).await.unwrap(), 0);
    assert_eq!(store.commits(), 0);
    let first = hold_first(&sums, &store).await;
    let reading = tokio::spawn({
        let sums = sums.clone();
        async move { read(&sums).await }
    });
    until("the answer is queued", || !lock(&sums.0.queue).is_idle()).await;
    tokio::task::yield_now().await;
    assert!(!reading.is_finished());
    store.on_commit(OnCommit::Succeed);
    assert_eq!(reading.await.unwrap().unwrap(), 1);
    first.await.unwrap().unwrap();
    assert_eq!(store.commits(), 1, "there was nothing to write for the second");
}

#[tokio::test]
async fn a_store_that_does_not_block_is_written_on_the_callers_thread() {
    let store = Arc::new(MemoryStore::default());
    let sums = sums_on(Arc::clone(&store) as Arc<dyn Store>);
    assert!(sums.ended().is_cancelled(), "there is no thread");
    assert_eq!(add(&sums, 3).now_or_never().unwrap().unwrap(), 3);
    assert_eq!(stored(&*store).as_deref(), Some("3"));
}

#[tokio::test]
async fn a_caller_may_commit_by_itself_if_no_commit_is_running() {
    let (sums, store) = sums();
    let own = std::thread::current().name().unwrap().to_owned();
    assert_eq!(add_on(&sums, CommitOn::Caller, 3).now_or_never().unwrap().unwrap(), 3);
    let first = hold_first(&sums, &store).await;
    let second = tokio::spawn({
        let sums = sums.clone();
        async move { add_on(&sums, CommitOn::Caller, 2).await }
    });
    until("the second is decided", || sums.with_state(|sum| *sum) == 6).await;
    store.on_commit(OnCommit::Succeed);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(store.threads(), [own.as_str(), "sums", "sums"]);
}

#[tokio::test]
async fn changes_that_wait_have_a_limit() {
    let (sums, store) = sums();
    let first = hold_first(&sums, &store).await;
    let second = spawn_add(&sums, 1_001);
    until("the second waits", || sums.with_state(|sum| *sum) == 1_002).await;
    let refused = add(&sums, 1).await;
    assert!(matches!(refused, Err(CommitError::Busy { bytes: 1_001 })), "{refused:?}");
    store.on_commit(OnCommit::Succeed);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(add(&sums, 1).await.unwrap(), 1_003, "what was refused has changed nothing");
}

/// Checks that a commit which fails like this is reported to all callers, and that nothing is accepted afterwards.
async fn check_failure(on_commit: OnCommit, cause: &str) {
    let (sums, store) = sums();
    add(&sums, 1).await.unwrap();
    let first = hold_first(&sums, &store).await;
    let second = spawn_add(&sums, 2);
    until("the second waits", || sums.with_state(|sum| *sum) == 4).await;
    store.on_commit(on_commit);
    for call in [first, second] {
        let failed = call.await.unwrap().unwrap_err();
        assert!(failed.to_string().ends_with(cause), "{failed}");
    }
    store.on_commit(OnCommit::Succeed);
    let commits = store.commits();
    assert!(matches!(add(&sums, 1).await, Err(CommitError::Failed(_))));
    assert!(matches!(add_on(&sums, CommitOn::Caller, 1).await, Err(CommitError::Failed(_))));
    assert_eq!(store.commits(), commits, "nothing is tried again");
    assert_eq!(sums.failure().unwrap().to_string(), cause);
    assert_eq!((stored(&*store).as_deref(), published(&sums)), (Some("1"), vec![1]));
}

#[tokio::test]
async fn a_failed_commit_is_reported_to_all_callers_that_wait() {
    check_failure(OnCommit::Fail, "the journal cannot be written: journal: the disk is full").await;
}

#[tokio::test]
async fn a_store_that_panics_has_failed() {
    check_failure(OnCommit::Panic, "the store panicked").await;
}

#[tokio::test]
async fn a_panic_in_the_machine_leaves_no_caller_waiting() {
    for commit_on in [CommitOn::Thread, CommitOn::Caller] {
        let (sums, _store) = sums();
        sums.machine().panics.store(true, Ordering::SeqCst);
        let failed = add_on(&sums, commit_on, 1).await;
        assert!(matches!(failed, Err(CommitError::Failed(_))), "{failed:?}");
        // While the panic unwinds, callers are answered before the failure is noted.
        until("the failure is noted", || sums.failure().is_some()).await;
        assert!(matches!(*sums.failure().unwrap(), Failure::Panicked));
    }
}

#[tokio::test]
async fn a_change_is_committed_although_its_caller_goes_away() {
    let (sums, store) = sums();
    let first = hold_first(&sums, &store).await;
    let second = spawn_add(&sums, 2);
    until("the second waits", || sums.with_state(|sum| *sum) == 3).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    store.on_commit(OnCommit::Succeed);
    first.await.unwrap().unwrap();
    add(&sums, 3).await.unwrap();
    assert_eq!(stored(&*store).as_deref(), Some("6"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_commit_is_forgotten_while_callers_come_and_go() {
    let (sums, store) = sums();
    let mut calls = Vec::new();
    for index in 0..400 {
        let sums = sums.clone();
        let commit_on = if index % 2 == 0 { CommitOn::Caller } else { CommitOn::Thread };
        let call = tokio::spawn(async move { add_on(&sums, commit_on, 1).await });
        if index % 3 == 0 {
            call.abort();
        }
        calls.push(call);
        if index % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for call in calls {
        if let Ok(outcome) = call.await {
            outcome.unwrap();
        }
    }
    let sum = add(&sums, 1).await.unwrap();
    assert_eq!(stored(&*store), Some(sum.to_string()));
}

#[tokio::test]
async fn the_thread_ends_with_the_last_clone_and_releases_the_store() {
    let (sums, store) = sums();
    add(&sums, 1).await.unwrap();
    let ended = sums.ended();
    let other = sums.clone();
    drop(sums);
    add(&other, 1).await.unwrap();
    assert!(!ended.is_cancelled());
    drop(other);
    ended.cancelled().await;
    assert_eq!(Arc::strong_count(&store), 1);
}

#[tokio::test]
async fn committers_of_two_owners_share_a_store() {
    let store = TestStore::new();
    let (one, two) = (sums_on(Arc::clone(&store) as Arc<dyn Store>), sums_on(Arc::clone(&store) as Arc<dyn Store>));
    let (first, second) = tokio::join!(add(&one, 1), add(&two, 2));
    assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
    assert_eq!(store.commits(), 2);
}
