//! Contract tests for artifact stores.

use crate::fakes::{FakeArtifactStore, SequentialIds};
use crate::suite::{must, refused, some};
use async_trait::async_trait;
use longhaul_domain::{ArtifactList, ArtifactPattern, ArtifactSkipReason, AttemptNo};
use longhaul_ports::{ArtifactError, ArtifactLimits, ArtifactRequest, ArtifactStore, AttemptKey, IdSource};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// The working directory of a command, in which a rule creates files.
#[async_trait]
pub trait ArtifactSource: Debug + Send + Sync + 'static {
    /// Returns the absolute path of the working directory.
    fn directory(&self) -> String;

    /// Starts an attempt in the working directory.
    async fn start(&self, key: AttemptKey);

    /// Writes a file below the working directory, and creates its directories.
    async fn write(&self, path: &str, bytes: &[u8]);

    /// Creates a symbolic link below the working directory that leads to a readable file outside of it.
    async fn link(&self, path: &str);
}

#[async_trait]
impl ArtifactSource for FakeArtifactStore {
    fn directory(&self) -> String {
        "/work".to_owned()
    }

    async fn start(&self, _key: AttemptKey) {}

    async fn write(&self, path: &str, bytes: &[u8]) {
        Self::write(self, &format!("/work/{path}"), bytes);
    }

    async fn link(&self, path: &str) {
        Self::link(self, &format!("/work/{path}"));
    }
}

/// Fixture for one rule: an empty artifact store and an empty working directory.
#[derive(Debug)]
pub struct ArtifactFixture {
    /// Artifact store under test.
    pub store: Arc<dyn ArtifactStore>,
    /// Working directory.
    pub source: Arc<dyn ArtifactSource>,
    ids: SequentialIds,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl ArtifactFixture {
    /// Creates a fixture from an artifact store and a working directory.
    #[must_use]
    pub fn new(store: Arc<dyn ArtifactStore>, source: Arc<dyn ArtifactSource>) -> Self {
        Self { store, source, ids: SequentialIds::default(), _guard: None }
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    async fn start(&self) -> AttemptKey {
        let key = AttemptKey { id: self.ids.process(), attempt: AttemptNo(1) };
        self.source.start(key).await;
        key
    }

    fn request(&self, patterns: &[&str], limits: ArtifactLimits) -> ArtifactRequest {
        let patterns = patterns.iter().map(|pattern| must(ArtifactPattern::new(pattern))).collect();
        ArtifactRequest { directory: self.source.directory(), patterns, limits }
    }

    async fn collect(&self, key: AttemptKey, patterns: &[&str]) -> ArtifactList {
        must(self.store.collect(key, self.request(patterns, ArtifactLimits::default())).await);
        some(must(self.store.list(key).await))
    }

    async fn whole(&self, key: AttemptKey, path: &str) -> Vec<u8> {
        must(self.store.read(key, path, 0, 1 << 20).await).bytes
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> ArtifactFixture) -> ArtifactFixture {
    open()
}

fn paths(list: &ArtifactList) -> Vec<&str> {
    list.files.iter().map(|file| file.path.as_str()).collect()
}

fn skipped(list: &ArtifactList) -> Vec<(&str, ArtifactSkipReason)> {
    list.skipped.iter().map(|file| (file.path.as_str(), file.reason)).collect()
}

/// The files that match a pattern are copied with their content, in the order of their paths. Other files are not
/// copied. The list names each pattern that matches no file.
pub async fn matching_files_are_copied(world: &ArtifactFixture) {
    let key = world.start().await;
    for path in ["b/deep/x.log", "a.xml", "a.txt", ".hidden.xml"] {
        world.source.write(path, path.as_bytes()).await;
    }
    let list = world.collect(key, &["*.xml", "**/*.log", "none*"]).await;
    assert_eq!(paths(&list), ["a.xml", "b/deep/x.log"]);
    assert_eq!(list.files.iter().map(|file| file.bytes).collect::<Vec<_>>(), [5, 12]);
    assert_eq!((list.unmatched.as_slice(), list.problem), (["none*".to_owned()].as_slice(), None));
    assert_eq!(list.skipped, []);
    assert_eq!(world.whole(key, "b/deep/x.log").await, b"b/deep/x.log");
}

/// Symbolic links to files and to directories are not followed. A link that matches a pattern is listed as skipped.
pub async fn links_are_not_followed(world: &ArtifactFixture) {
    let key = world.start().await;
    world.source.link("secret.txt").await;
    world.source.write("plain.txt", b"mine").await;
    let list = world.collect(key, &["*.txt"]).await;
    assert_eq!(paths(&list), ["plain.txt"]);
    assert_eq!(skipped(&list), [("secret.txt", ArtifactSkipReason::Link)]);
    refused!(world.store.read(key, "secret.txt", 0, 10).await, ArtifactError::NotListed { .. });
}

/// Only the first call copies files. A later change of a file changes neither the list nor the copy.
pub async fn an_attempt_is_collected_once(world: &ArtifactFixture) {
    let key = world.start().await;
    world.source.write("a", b"one").await;
    let first = world.collect(key, &["*"]).await;
    world.source.write("a", b"second").await;
    world.source.write("b", b"new").await;
    assert_eq!(world.collect(key, &["*"]).await, first);
    assert_eq!(world.whole(key, "a").await, b"one");
}

/// The limits on the number of files, on the size of each file and on the total size apply. Each skipped file is listed
/// with its reason.
pub async fn limits_are_kept(world: &ArtifactFixture) {
    let key = world.start().await;
    for (path, bytes) in [("a", 4), ("b", 11), ("c", 8), ("d", 1), ("e", 1)] {
        world.source.write(path, &vec![b'x'; bytes]).await;
    }
    let limits = ArtifactLimits { files: 2, file_bytes: 10, total_bytes: 11, ..ArtifactLimits::default() };
    must(world.store.collect(key, world.request(&["*"], limits)).await);
    let list = some(must(world.store.list(key).await));
    assert_eq!(paths(&list), ["a", "d"]);
    let expected = [
        ("b", ArtifactSkipReason::TooLarge),
        ("c", ArtifactSkipReason::TotalTooLarge),
        ("e", ArtifactSkipReason::TooMany),
    ];
    assert_eq!(skipped(&list), expected);
    assert!(list.bytes() <= limits.total_bytes);
}

/// Before the artifacts are copied, there is no list and nothing can be read.
pub async fn nothing_is_listed_before_the_copy(world: &ArtifactFixture) {
    let key = world.start().await;
    world.source.write("a", b"x").await;
    assert_eq!(must(world.store.list(key).await), None);
    refused!(world.store.read(key, "a", 0, 1).await, ArtifactError::NotListed { .. });
    let other = world.start().await;
    world.collect(key, &["a"]).await;
    assert_eq!(must(world.store.list(other).await), None);
}

/// Only listed paths can be read.
pub async fn only_listed_paths_are_read(world: &ArtifactFixture) {
    let key = world.start().await;
    world.source.write("d/a", b"x").await;
    world.collect(key, &["d"]).await;
    assert_eq!(world.whole(key, "d/a").await, b"x");
    for path in ["", ".", "d", "/d/a", "d//a", "./d/a", "d/../d/a", "../list.json", "/etc/passwd", "d/a\0"] {
        refused!(world.store.read(key, path, 0, 1).await, ArtifactError::NotListed { path: named, .. } if named == path);
    }
}

/// A file is read in parts. Each part contains the size of the whole file. After the end of the file, parts are empty.
pub async fn a_file_is_read_in_parts(world: &ArtifactFixture) {
    let key = world.start().await;
    world.source.write("a", b"0123456789").await;
    world.source.write("empty", b"").await;
    world.collect(key, &["*"]).await;
    for (from, limit, expected) in
        [(0, 4, "0123"), (4, 4, "4567"), (8, 4, "89"), (10, 4, ""), (u64::MAX, 4, ""), (3, 0, "")]
    {
        let part = must(world.store.read(key, "a", from, limit).await);
        assert_eq!((part.bytes.as_slice(), part.size), (expected.as_bytes(), 10));
    }
    assert_eq!(must(world.store.read(key, "empty", 0, 4).await).size, 0);
}

/// Generates one test for each rule about artifact stores.
///
/// Takes a function that opens an [`ArtifactFixture`].
#[macro_export]
macro_rules! artifact_store_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, artifact_store,
            matching_files_are_copied
            links_are_not_followed
            an_attempt_is_collected_once
            limits_are_kept
            nothing_is_listed_before_the_copy
            only_listed_paths_are_read
            a_file_is_read_in_parts
        }
    };
}
