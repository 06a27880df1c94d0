//! Tests the artifacts of real commands, including hostile commands.

use crate::bench::{Bench, key};
use async_trait::async_trait;
use longhaul_adapters::os::OsArtifacts;
use longhaul_domain::{
    ArtifactList, ArtifactPattern, ArtifactProblem, ArtifactSkipReason, AttemptNo, Observation,
};
use longhaul_ports::{ArtifactError, ArtifactLimits, ArtifactRequest, ArtifactStore, AttemptKey, Spawner};
use longhaul_testkit::suite::{ArtifactFixture, ArtifactSource};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod contract {
    use super::*;

    longhaul_testkit::artifact_store_suite!(|| {
        let place = Arc::new(Workplace::new());
        ArtifactFixture::new(Arc::new(place.store()), place)
    });
}

/// A spawner and a working directory for its commands.
struct Workplace {
    bench: Bench,
    directory: PathBuf,
    outside: PathBuf,
}

impl std::fmt::Debug for Workplace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workplace").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Workplace {
    fn new() -> Self {
        let bench = Bench::new();
        let directory = bench.path().join("work");
        let outside = bench.path().join("outside");
        for each in [&directory, &outside] {
            fs::create_dir(each).unwrap();
        }
        fs::write(outside.join("secret"), "secret").unwrap();
        Self { bench, directory, outside }
    }

    fn store(&self) -> OsArtifacts {
        OsArtifacts::open(&self.bench.path().join("attempts")).unwrap()
    }

    /// Runs a script in the working directory until it has ended.
    async fn run(&self, key: AttemptKey, script: &str) {
        let mut order = self.bench.order(key, script);
        order.command.directory = self.directory.to_str().unwrap().to_owned();
        order.command.artifacts = vec![ArtifactPattern::new("x").unwrap()];
        self.bench.begin(order).await;
        while !matches!(self.bench.seen().await, Observation::Exited { .. }) {}
        self.bench.spawner.end_recorded(key).await;
    }

    async fn collect_within(
        &self,
        key: AttemptKey,
        patterns: &[&str],
        limits: ArtifactLimits,
    ) -> ArtifactList {
        let patterns = patterns.iter().map(|pattern| ArtifactPattern::new(pattern).unwrap()).collect();
        let directory = self.directory.to_str().unwrap().to_owned();
        let store = self.store();
        store.collect(key, ArtifactRequest { directory, patterns, limits }).await.unwrap();
        store.list(key).await.unwrap().unwrap()
    }

    async fn collect(&self, key: AttemptKey, patterns: &[&str]) -> ArtifactList {
        self.collect_within(key, patterns, ArtifactLimits::default()).await
    }

    async fn content(&self, key: AttemptKey, path: &str) -> Vec<u8> {
        self.store().read(key, path, 0, 1 << 20).await.unwrap().bytes
    }
}

#[async_trait]
impl ArtifactSource for Workplace {
    fn directory(&self) -> String {
        self.directory.to_str().unwrap().to_owned()
    }

    async fn start(&self, key: AttemptKey) {
        self.run(key, "true").await;
    }

    async fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    async fn link(&self, path: &str) {
        symlink(self.outside.join("secret"), self.directory.join(path)).unwrap();
    }
}

fn paths(list: &ArtifactList) -> Vec<&str> {
    list.files.iter().map(|file| file.path.as_str()).collect()
}

fn skipped(list: &ArtifactList) -> Vec<(&str, ArtifactSkipReason)> {
    list.skipped.iter().map(|file| (file.path.as_str(), file.reason)).collect()
}

#[tokio::test]
async fn nothing_outside_the_working_directory_is_copied() {
    let place = Workplace::new();
    let outside = place.outside.display();
    let script =
        format!("mkdir d; ln -s {outside} out; ln -s {outside}/secret d/f; ln -s d inner; echo x >d/g");
    place.run(key(1), &script).await;
    let list = place.collect(key(1), &["out/secret", "d", "inner/**", "**/secret"]).await;
    assert_eq!(paths(&list), ["d/g"]);
    let links = ["d/f", "inner", "out"].map(|path| (path, ArtifactSkipReason::Link));
    assert_eq!(skipped(&list), links);
    assert_eq!(list.unmatched, ["**/secret"]);
}

#[tokio::test]
async fn directory_that_was_replaced_is_not_read() {
    for (replacement, problem) in [
        ("ln -s ../outside work", ArtifactProblem::DirectoryReplaced),
        ("ln -s outside work", ArtifactProblem::DirectoryReplaced),
        ("cp -r outside work", ArtifactProblem::DirectoryReplaced),
        ("rm -r gone; mkdir work; echo x > work/secret", ArtifactProblem::DirectoryReplaced),
        ("true", ArtifactProblem::DirectoryMissing),
    ] {
        let place = Workplace::new();
        place.run(key(1), &format!("cd ..; mv work gone; {replacement}")).await;
        let list = place.collect(key(1), &["secret"]).await;
        assert_eq!((list.files.len(), list.problem), (0, Some(problem)), "{replacement}");
        assert_eq!(list.unmatched, [""; 0], "{replacement}: the content of the directory is unknown");
    }
}

#[tokio::test]
async fn directory_behind_a_link_is_the_one_that_the_command_ran_in() {
    let mut place = Workplace::new();
    let (current, first, second) =
        (place.bench.path().join("current"), place.directory.clone(), place.outside.clone());
    symlink(&first, &current).unwrap();
    place.directory = current.clone();
    fs::write(second.join("a"), "second").unwrap();
    let switch = format!("echo first >a; ln -sfn {} {}", second.display(), current.display());
    place.run(key(1), &switch).await;
    let list = place.collect(key(1), &["a"]).await;
    assert_eq!((paths(&list), list.problem), (vec!["a"], None));
    assert_eq!(place.content(key(1), "a").await, b"first\n");
}

#[tokio::test]
async fn special_and_huge_files_delay_nothing() {
    let place = Workplace::new();
    place.run(key(1), "mkfifo pipe; truncate -s 100G huge; echo x >small").await;
    let begun = Instant::now();
    let list = place.collect(key(1), &["*"]).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(paths(&list), ["small"]);
    let expected = [("huge", ArtifactSkipReason::TooLarge), ("pipe", ArtifactSkipReason::NotAFile)];
    assert_eq!(skipped(&list), expected);
    assert_eq!(list.skipped[0].bytes, Some(100 << 30));
}

#[tokio::test]
async fn file_that_the_attempt_did_not_write_comes_last_and_is_marked() {
    let place = Workplace::new();
    for name in ["a", "b"] {
        place.write(name, b"old").await;
    }
    // Wait, because the times of a file system have a resolution of several milliseconds.
    std::thread::sleep(Duration::from_millis(100));
    place.run(key(1), "echo new >c; echo new >b").await;
    let limits = ArtifactLimits { files: 2, ..ArtifactLimits::default() };
    let list = place.collect_within(key(1), &["*"], limits).await;
    assert_eq!(paths(&list), ["b", "c"], "new files are copied first");
    assert_eq!(skipped(&list), [("a", ArtifactSkipReason::TooMany)]);
    std::thread::sleep(Duration::from_millis(100));
    place.run(key(2), "true").await;
    let list = place.collect(key(2), &["c"]).await;
    assert!(list.files[0].is_unchanged, "{list:?}");
}

#[tokio::test]
async fn time_limit_holds_and_what_is_left_is_listed() {
    let place = Workplace::new();
    place.run(key(1), "echo x >a; echo x >b").await;
    let limits = ArtifactLimits { time: Duration::ZERO, ..ArtifactLimits::default() };
    let list = place.collect_within(key(1), &["*"], limits).await;
    assert_eq!(skipped(&list), ["a", "b"].map(|path| (path, ArtifactSkipReason::OutOfTime)));
}

#[tokio::test]
async fn name_that_is_not_text_is_listed_as_skipped() {
    let place = Workplace::new();
    fs::write(place.directory.join(OsStr::from_bytes(b"\xff.xml")), "x").unwrap();
    fs::create_dir_all(place.directory.join((0..70).map(|_| "d/").collect::<String>())).unwrap();
    place.run(key(1), "true").await;
    let list = place.collect(key(1), &["*.xml", "d"]).await;
    let deep = (0..65).map(|_| "d").collect::<Vec<_>>().join("/");
    let expected =
        [(deep.as_str(), ArtifactSkipReason::BadPath), ("\u{fffd}.xml", ArtifactSkipReason::BadPath)];
    assert_eq!(skipped(&list), expected);
}

#[tokio::test]
async fn what_a_killed_manager_left_is_replaced() {
    let place = Workplace::new();
    place.run(key(1), "mkdir d; echo x >d/a").await;
    let draft = place.bench.attempt(key(1)).join("artifacts.new");
    fs::create_dir_all(draft.join("files/d")).unwrap();
    fs::write(draft.join("files/d/a"), "half").unwrap();
    fs::write(draft.join("files/stale"), "stale").unwrap();
    assert_eq!(place.store().list(key(1)).await.unwrap(), None, "an incomplete copy is never listed");
    let list = place.collect(key(1), &["d"]).await;
    assert_eq!(paths(&list), ["d/a"]);
    assert_eq!(place.content(key(1), "d/a").await, b"x\n");
    assert!(!draft.exists());
    assert!(!place.bench.attempt(key(1)).join("artifacts/files/stale").exists());
}

#[tokio::test]
async fn copies_are_private_and_a_damaged_one_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Workplace::new();
    place.run(key(1), "echo 12345 >a; chmod 666 a").await;
    place.collect(key(1), &["a"]).await;
    let copy = place.bench.attempt(key(1)).join("artifacts/files/a");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&copy, "1").unwrap();
    let damaged = place.store().read(key(1), "a", 0, 10).await;
    assert!(matches!(damaged, Err(ArtifactError::Failed { .. })), "{damaged:?}");
    fs::remove_file(&copy).unwrap();
    symlink(place.outside.join("secret"), &copy).unwrap();
    let replaced = place.store().read(key(1), "a", 0, 10).await;
    assert!(matches!(replaced, Err(ArtifactError::Failed { .. })), "{replaced:?}");
}

#[tokio::test]
async fn attempt_that_never_ran_has_no_artifacts() {
    let place = Workplace::new();
    let request = ArtifactRequest {
        directory: "/".to_owned(),
        patterns: Vec::new(),
        limits: ArtifactLimits::default(),
    };
    let missing = AttemptKey { attempt: AttemptNo(9), ..key(1) };
    let answer = place.store().collect(missing, request).await;
    assert!(matches!(answer, Err(ArtifactError::Missing { .. })), "{answer:?}");
}
