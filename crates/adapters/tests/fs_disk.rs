//! Tests of the file store with foreign or damaged files, full disks and crashes.
#![cfg(feature = "fs")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::agreement::agree;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Environment variable that contains the path of the store, for a test that runs in a child program.
const PLACE: &str = "LONGHAUL_TEST_STORE";

#[tokio::test]
async fn a_store_that_is_opened_again_has_everything() {
    for seed in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let clock = VirtualClock::default();
        let store = Arc::new(open(&path, &clock));
        let reference = VirtualClock::default();
        let memory = MemoryStore::new(Arc::new(reference.clone()));
        let one = StoreFixture::new(Arc::new(memory), reference);
        let other = StoreFixture::new(Arc::clone(&store) as Arc<dyn Store>, clock.clone());
        agree(&one, &other, seed, 300).await;
        drop(other);
        let before = picture(&store).await;
        drop(store);
        let again = open(&path, &clock);
        assert_eq!(picture(&again).await, before, "seed {seed}");
        let rule = Retention { age: None, count: None, before: None };
        let total = one.store.prune(&rule, 0).await.unwrap().total;
        assert_eq!(again.prune(&rule, 0).await.unwrap().total, total);
    }
}

#[tokio::test]
async fn data_other_than_records_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = VirtualClock::default();
    let ids = SequentialIds::default();
    let mut keyed = work(&ids, Some("k"), 0);
    let mut spec = keyed.process.spec.as_ref().clone();
    spec.launch_key = LaunchKey::new("once").ok();
    keyed.process.spec = spec.into();
    let wish_op = ids.op();
    let (lease, gone, change, revision, waiting) = {
        let store = open(&path, &clock);
        let lease = store.register(&facts()).await.unwrap();
        store.submit(keyed.clone()).await.unwrap();
        let change = ending(&store, &ids, keyed.process.id).await;
        let revision = store.commit(change.clone()).await.unwrap();
        clock.advance(Duration::from_secs(3600));
        let rule = Retention { age: Some(Duration::from_secs(60)), count: None, before: None };
        assert_eq!(store.prune(&rule, 9).await.unwrap().ids, [keyed.process.id]);
        let waiting = work(&ids, Some("a"), 3);
        store.submit(waiting.clone()).await.unwrap();
        store.enqueue_action(&waiting.process.id, wish_op, PendingAction::Pause).await.unwrap();
        let mut policy = Policy::default();
        policy.slots.insert("a".to_owned(), 2);
        let hold = QueueHold { since: Timestamp(7), by: Some("me".to_owned()) };
        policy.held.insert(SlotKey::new("b").unwrap(), hold);
        store.set_policy(PolicyVersion(0), &policy).await.unwrap();
        (lease, keyed.process.id, change, revision, waiting.process.id)
    };
    for checkpointed in [false, true] {
        if checkpointed {
            let store = open(&path, &clock);
            for _ in 0..1_001 {
                store.register(&facts()).await.unwrap();
            }
            let checkpoint = path.join("checkpoint.jsonl");
            until("a checkpoint is there", || checkpoint.exists()).await;
        }
        let store = open(&path, &clock);
        let again = store.submit(keyed.clone()).await.unwrap();
        assert_eq!(again, SubmitOutcome::Existing { id: gone, stored: None, same_spec: true });
        let mut other = work(&ids, None, 0);
        let mut spec = other.process.spec.as_ref().clone();
        spec.launch_key = LaunchKey::new("once").ok();
        other.process.spec = spec.into();
        let again = store.submit(other).await.unwrap();
        assert_eq!(again, SubmitOutcome::Existing { id: gone, stored: None, same_spec: false });
        assert_eq!(store.commit(change.clone()).await.unwrap(), revision);
        assert_eq!(
            store.enqueue_action(&waiting, wish_op, PendingAction::Pause).await.unwrap(),
            ActionSeq(1)
        );
        let stored = store.load(&[waiting]).await.unwrap().remove(0).unwrap();
        assert_eq!(stored.pending_actions, [(ActionSeq(1), PendingAction::Pause)]);
        assert_eq!(stored.seq, Seq(2));
        let (version, policy) = store.policy().await.unwrap();
        assert_eq!(version, PolicyVersion(1));
        assert_eq!(policy.held.values().next().unwrap().by.as_deref(), Some("me"));
        let rule = Retention { age: None, count: None, before: None };
        assert_eq!(store.prune(&rule, 9).await.unwrap().total, 1);
        assert!(store.renew_lease(&lease).await.is_ok() != checkpointed, "epochs are preserved");
        assert_eq!(store.read(None, 1, false).await.unwrap().events.len(), 1);
    }
}

#[tokio::test]
async fn every_line_is_json_that_tools_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path, &VirtualClock::default());
    let ids = SequentialIds::default();
    let new = work(&ids, Some("k"), 0);
    let id = new.process.id;
    store.submit(new).await.unwrap();
    end(&store, &ids, id).await;
    let mut revisions = Vec::new();
    for file in 1..=2 {
        let text = fs::read_to_string(path.join(format!("commits/{file:012}.jsonl"))).unwrap();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(process) = line.get("process") {
                assert_eq!(process["id"], id.to_string());
                revisions.push(process["revision"].as_u64().unwrap());
                assert_eq!(process.pointer("/spec/body/spec/key").is_some(), file == 1, "{process}");
            }
        }
    }
    assert_eq!(revisions, [1, 2]);
}

#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path, &VirtualClock::default());
    store.submit(work(&SequentialIds::default(), None, 0)).await.unwrap();
    let names: Vec<String> = files(&path).into_keys().collect();
    assert_eq!(names, ["FORMAT", "commits/000000000001.jsonl", "lock"]);
    for name in names {
        let mode = fs::metadata(path.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_second_program_learns_which_program_uses_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let first = open(&path, &VirtualClock::default());
    let refused = FsStore::open(&path, Arc::new(VirtualClock::default()), FsOptions::default()).unwrap_err();
    let StoreError::Unavailable { source } = &refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains(&format!("process {}", std::process::id())), "{source}");
    drop(first);
    open(&path, &VirtualClock::default());
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(open(&path, &VirtualClock::default()));
    fs::write(path.join("FORMAT"), "longhaul fs 7\n").unwrap();
    let refused = refused_untouched(&path);
    assert!(matches!(refused, StoreError::Format { found: 7, supported: 2 }), "{refused:?}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    written(&path).await;
    let file = path.join("commits/000000000002.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"format\":2,\"commit\"", "\"format\":9,\"commit\"", 1)).unwrap();
    let refused = refused_untouched(&path);
    assert!(matches!(refused, StoreError::Format { found: 9, supported: 2 }), "{refused:?}");
}

#[test]
fn files_of_other_programs_are_refused_unchanged_with_advice() {
    for (what, name, text) in [
        ("another file", "notes.txt", "mine"),
        ("another mark", "FORMAT", "something else 1\n"),
        ("no version", "FORMAT", "longhaul fs\n"),
        ("version zero", "FORMAT", "longhaul fs 0\n"),
        ("a store of another kind", "FORMAT", "longhaul xs 1\n"),
        ("an empty mark", "FORMAT", ""),
        ("commits without a mark", "commits/000000000001.jsonl", "{}\n"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs::write(path.join(name), text).unwrap();
        let refused = refused_untouched(&path);
        assert!(
            matches!(&refused, StoreError::Corrupt { remedy, .. } if !remedy.is_empty()),
            "{what}: {refused:?}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "x").unwrap();
    let refused = FsStore::open(&path, Arc::new(VirtualClock::default()), FsOptions::default());
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    written(&path).await;
    let name = "commits/000000000002.jsonl";
    let file = path.join(name);
    let whole = fs::read(&file).unwrap();
    let mut damages: Vec<(String, Vec<u8>)> =
        (0..whole.len()).map(|length| (format!("cut at {length}"), whole[..length].to_vec())).collect();
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        damages.push((format!("changed at {at}"), flipped));
    }
    damages.push(("longer".to_owned(), [whole.as_slice(), b"{}\n"].concat()));
    damages.push(("another commit".to_owned(), fs::read(path.join("commits/000000000001.jsonl")).unwrap()));
    for (what, bytes) in damages {
        fs::write(&file, bytes).unwrap();
        let refused = refused_untouched(&path);
        let StoreError::Corrupt { what: found, remedy } = &refused else { panic!("{what}: {refused:?}") };
        assert!(found.contains(name) && !remedy.is_empty(), "{what}: {refused:?}");
    }
    fs::write(&file, whole).unwrap();
    open(&path, &VirtualClock::default());
}

#[tokio::test]
async fn a_missing_commit_is_named_and_the_store_is_left_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    written(&path).await;
    fs::remove_file(path.join("commits/000000000001.jsonl")).unwrap();
    let refused = refused_untouched(&path);
    assert!(
        matches!(&refused, StoreError::Corrupt { what, .. } if what.contains("000000000001")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_incomplete_write_is_ignored_wherever_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let before = written(&path).await;
    let last = fs::read(path.join("commits/000000000002.jsonl")).unwrap();
    for length in 0..=last.len() {
        fs::write(path.join("commits/next.tmp"), &last[..length]).unwrap();
        if length % 16 == 0 {
            fs::write(path.join("checkpoint.jsonl.tmp"), &last[..length]).unwrap();
        }
        let store = open(&path, &VirtualClock::default());
        assert_eq!(picture(&store).await, before, "cut at {length}");
        assert!(!path.join("commits/next.tmp").exists() && !path.join("checkpoint.jsonl.tmp").exists());
    }
}

#[test]
fn a_store_whose_making_was_cut_short_is_made_whole() {
    for step in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        fs::create_dir(&path).unwrap();
        if step > 0 {
            fs::write(path.join("lock"), "").unwrap();
        }
        if step > 1 {
            fs::create_dir(path.join("commits")).unwrap();
        }
        if step > 2 {
            fs::write(path.join("FORMAT.tmp"), "longha").unwrap();
        }
        drop(open(&path, &VirtualClock::default()));
        assert_eq!(fs::read_to_string(path.join("FORMAT")).unwrap(), "longhaul fs 2\n");
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_a_draft_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, precious) = (directory.path().join("store"), directory.path().join("precious"));
    fs::write(&precious, "precious").unwrap();
    fs::create_dir_all(path.join("commits")).unwrap();
    fs::write(path.join("lock"), "").unwrap();
    symlink(&precious, path.join("FORMAT.tmp")).unwrap();
    let clock = VirtualClock::default();
    let store = open(&path, &clock);
    symlink(&precious, path.join("commits/next.tmp")).unwrap();
    let world = StoreFixture::new(Arc::new(store), clock);
    world.submit(world.draft()).await;
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn a_lock_at_the_other_end_of_a_link_is_neither_made_nor_written() {
    let directory = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (directory.path().join("store"), directory.path().join("elsewhere"));
    drop(open(&path, &VirtualClock::default()));
    fs::remove_file(path.join("lock")).unwrap();
    symlink(&elsewhere, path.join("lock")).unwrap();
    let refused = || FsStore::open(&path, Arc::new(VirtualClock::default()), FsOptions::default());
    assert!(matches!(refused().unwrap_err(), StoreError::Unavailable { .. }));
    assert!(!elsewhere.exists());
    fs::write(&elsewhere, "precious").unwrap();
    assert!(matches!(refused().unwrap_err(), StoreError::Unavailable { .. }));
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
}

#[test]
fn a_missing_directory_above_is_an_error_and_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("store");
    let refused = FsStore::open(&path, Arc::new(VirtualClock::default()), FsOptions::default());
    assert!(matches!(refused.unwrap_err(), StoreError::Unavailable { .. }));
    assert!(!directory.path().join("missing").exists());
}

#[test]
fn a_read_only_directory_is_reported_as_read_only() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let writable = fs::write(directory.path().join("probe"), "").is_ok();
    // Permissions do not restrict root, so the test uses a directory in which the kernel refuses new files.
    let place = if writable { Path::new("/sys") } else { directory.path() };
    let clock = Arc::new(VirtualClock::default());
    let refused = FsStore::open(&place.join("store"), clock, FsOptions::default()).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_include_commits_while_writes_continue() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = VirtualClock::default();
    let before = {
        let store = Arc::new(open(&path, &clock));
        let lease = store.register(&facts()).await.unwrap();
        let writers: Vec<_> = (0..3)
            .map(|seed| {
                let (store, lease) = (Arc::clone(&store), lease.clone());
                tokio::spawn(async move {
                    let ids = SequentialIds::seeded(seed);
                    for turn in 0..500_u32 {
                        let new = work(&ids, (turn % 3 == 0).then_some("k"), i64::from(turn % 3));
                        let id = new.process.id;
                        store.submit(new).await.unwrap();
                        if turn % 5 == 0 {
                            store.claim(&lease, &room(&lease, 2)).await.unwrap();
                        } else {
                            let change = ending(&store, &ids, id).await;
                            // Ignore the result: the commit fails if another writer has claimed the process since the
                            // load.
                            let _ = store.commit(change).await;
                        }
                        if turn % 50 == 0 {
                            let rule =
                                Retention { age: None, count: None, before: Some(Timestamp(i64::MAX)) };
                            store.prune(&rule, 20).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let mut turns = 0;
        while !path.join("checkpoint.jsonl").exists() && turns < 3_000 {
            store.register(&facts()).await.unwrap();
            turns += 1;
        }
        picture(&store).await
    };
    assert!(path.join("checkpoint.jsonl").exists());
    let left = fs::read_dir(path.join("commits")).unwrap().count();
    assert!(left < 2_500, "{left} commits are left");
    let store = open(&path, &clock);
    assert_eq!(picture(&store).await, before);
}

#[tokio::test]
async fn a_full_store_accepts_writes_again_when_there_is_space() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = VirtualClock::default();
    let ids = SequentialIds::default();
    let options = FsOptions { max_kib: Some(800) };
    let store = FsStore::open(&path, Arc::new(clock.clone()), options).unwrap();
    let mut accepted = Vec::new();
    let full = loop {
        let new = large(&ids, 20_000);
        let id = new.process.id;
        match store.submit(new).await {
            Ok(_) => accepted.push(id),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Refused(StoreRejection::Full)), "{full:?}");
    assert!(accepted.len() > 10);
    assert!(store.load(&accepted).await.unwrap().iter().all(Option::is_some));
    for id in &accepted[..5] {
        end(&store, &ids, *id).await;
    }
    clock.advance(Duration::from_secs(3600));
    let rule = Retention { age: Some(Duration::from_secs(60)), count: None, before: None };
    assert_eq!(store.prune(&rule, 100).await.unwrap().ids, accepted[..5]);
    store.submit(large(&ids, 20_000)).await.unwrap();
    let before = picture(&store).await;
    drop(store);
    assert_eq!(picture(&open(&path, &clock)).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_does_not_fit_leaves_space_for_smaller_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let ids = SequentialIds::default();
    let options = FsOptions { max_kib: Some(800) };
    let store = Arc::new(FsStore::open(&path, Arc::new(VirtualClock::default()), options).unwrap());
    let mut small = Vec::new();
    let mut large_ones = Vec::new();
    for _ in 0..20 {
        for (line, new) in [(&mut small, work(&ids, None, 0)), (&mut large_ones, large(&ids, 900_000))] {
            let store = Arc::clone(&store);
            line.push(tokio::spawn(async move { store.submit(new).await }));
        }
    }
    for answer in small {
        assert!(answer.await.unwrap().is_ok());
    }
    for answer in large_ones {
        assert!(matches!(answer.await.unwrap(), Err(StoreError::Refused(StoreRejection::Full))));
    }
}

#[tokio::test]
async fn a_store_that_is_killed_at_any_moment_keeps_all_acknowledged_writes() {
    for round in 1..=5_usize {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let mut child = this_test("child_that_writes_until_it_is_killed")
            .env(PLACE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged: BTreeMap<ProcessId, u64> = BTreeMap::new();
        let mut note = |line: String| {
            if let Some(rest) = line.strip_prefix("ack ") {
                let (id, revision) = rest.split_once(' ').unwrap();
                acknowledged.insert(id.parse().unwrap(), revision.parse().unwrap());
            }
        };
        // The child of the last round writes enough for at least one checkpoint before it is killed.
        for line in lines.by_ref().take(if round > 4 { 6_000 } else { round * 150 }) {
            note(line.unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).filter(|line| line.split(' ').count() == 3).for_each(note);
        assert!(acknowledged.len() > 20, "{}", acknowledged.len());
        let store = open(&path, &VirtualClock::default());
        for (id, revision) in acknowledged {
            let stored = store.load(&[id]).await.unwrap().remove(0).unwrap();
            assert!(stored.revision.0 >= revision, "{id}: {} of {revision}", stored.revision);
        }
    }
}

#[ignore = "is started, and killed, by the test about kill -9"]
#[tokio::test(flavor = "multi_thread")]
async fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(PLACE) else {
        return;
    };
    let store = Arc::new(open(Path::new(&path), &VirtualClock::default()));
    let mut writers = Vec::new();
    for seed in 0..4 {
        let store = Arc::clone(&store);
        writers.push(tokio::spawn(async move {
            let ids = SequentialIds::seeded(seed);
            for _ in 0..u64::MAX {
                let new = work(&ids, None, 0);
                let id = new.process.id;
                store.submit(new).await.unwrap();
                acknowledge(id, Revision(1));
                let revision = end(&store, &ids, id).await;
                acknowledge(id, revision);
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

fn open(path: &Path, clock: &VirtualClock) -> FsStore {
    FsStore::open(path, Arc::new(clock.clone()), FsOptions::default()).unwrap()
}

/// Writes two commits to a new store and returns its visible content.
async fn written(path: &Path) -> Picture {
    let store = open(path, &VirtualClock::default());
    let ids = SequentialIds::default();
    let new = work(&ids, Some("k"), 0);
    let id = new.process.id;
    store.submit(new).await.unwrap();
    end(&store, &ids, id).await;
    picture(&store).await
}

/// Checks that the store cannot be opened and that the attempt changes no file. Returns the error.
fn refused_untouched(path: &Path) -> StoreError {
    let before = files(path);
    let refused = FsStore::open(path, Arc::new(VirtualClock::default()), FsOptions::default()).unwrap_err();
    let mut after = files(path);
    // The store is locked before it is read, so a failed attempt may leave an empty lock file.
    if !before.contains_key("lock") {
        assert!(after.remove("lock").is_none_or(|lock| lock.is_empty()));
    }
    assert!(after == before, "a file changed: {:?}", after.keys());
    refused
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// All content of a store that callers can read, for comparisons.
type Picture = (
    Vec<StoredProcess>,
    Vec<QueueState>,
    (PolicyVersion, Policy),
    Vec<NodeDescriptor>,
    EventPage,
    EventCursor,
);

async fn picture(store: &FsStore) -> Picture {
    let mut all = Vec::new();
    let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1_000 };
    loop {
        let listing = store.list(&ProcessFilter::default(), &page).await.unwrap();
        all.extend(listing.processes);
        page.after = listing.next;
        if page.after.is_none() {
            break;
        }
    }
    (
        all,
        store.queues(None).await.unwrap(),
        store.policy().await.unwrap(),
        store.nodes().await.unwrap(),
        store.read(None, 100_000, false).await.unwrap(),
        store.end().await.unwrap(),
    )
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(holds(), "timed out: {what}");
}

fn facts() -> NodeDescriptor {
    NodeDescriptor {
        id: NodeId::new("laptop").unwrap(),
        home: None,
        boot: "boot".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

fn room(lease: &Lease, batch: u32) -> ClaimCapacity {
    ClaimCapacity {
        roots: 100,
        batch,
        classes: vec![PlacementClass::Node(lease.node.clone()), PlacementClass::Shared(Placement::Here)],
    }
}

fn work(ids: &SequentialIds, key: Option<&str>, priority: i64) -> Submission {
    let command = CommandSpec::of("/bin/sleep", &["60"], "/tmp");
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    spec.key = key.map(|key| SlotKey::new(key).unwrap());
    spec.priority = Priority::new(priority).unwrap();
    submission(ids, spec)
}

fn large(ids: &SequentialIds, bytes: usize) -> Submission {
    let command = CommandSpec::of("/bin/echo", &["x".repeat(bytes).as_str()], "/tmp");
    submission(ids, Spec::of(Work::Command(Box::new(command))))
}

fn submission(ids: &SequentialIds, spec: Spec) -> Submission {
    let context = context(1_000);
    let (process, events) = Process::submit(&context, ids.process(), Lineage::default(), Arc::new(spec));
    Submission {
        process,
        events,
        limits: SubmitLimits { policy: PolicyVersion(9), slots: None, tree: TreeLimits::default() },
        claim_for: None,
        fail_if_queued: false,
    }
}

/// Ends a pending process by cancelling it.
async fn end(store: &FsStore, ids: &SequentialIds, id: ProcessId) -> Revision {
    store.commit(ending(store, ids, id).await).await.unwrap()
}

async fn ending(store: &FsStore, ids: &SequentialIds, id: ProcessId) -> Change {
    let stored = store.load(&[id]).await.unwrap().remove(0).unwrap();
    let input = Input::Action(Action::Cancel { cause: StopCause::User });
    let step = stored.process.decide(&context(2_000), &stored.live_stats, &input).unwrap();
    let mut next = stored.process.clone();
    next.evolve(&step.events);
    Change {
        op: ids.op(),
        author: Writer::Anyone,
        expected: stored.revision,
        next,
        events: step.events,
        taken: ActionSeq(0),
        require_no_live_descendants: false,
    }
}

fn context(now: i64) -> DecisionContext {
    DecisionContext {
        now: Timestamp(now),
        awake: AwakeTime(now),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}

fn acknowledge(id: ProcessId, revision: Revision) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {id} {revision}").unwrap();
    out.flush().unwrap();
}

/// Returns a command that runs one ignored test of this test program.
fn this_test(name: &str) -> Program {
    let mut program = Program::new(std::env::current_exe().unwrap());
    program.args(["--exact", "--ignored", "--nocapture", name]);
    program
}
