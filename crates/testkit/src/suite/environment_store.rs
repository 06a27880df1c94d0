//! Contract of every environment store.

use crate::suite::{must, refused};
use longhaul_domain::EnvironmentHash;
use longhaul_ports::{EnvironmentStore, EnvironmentStoreError};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Fixture for one rule: an empty environment store that can be reopened.
pub struct EnvironmentStoreFixture {
    /// Environment store under test.
    pub store: Arc<dyn EnvironmentStore>,
    reopen: Box<dyn Fn() -> Arc<dyn EnvironmentStore> + Send + Sync>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl EnvironmentStoreFixture {
    /// Creates a fixture. `reopen` opens the environment store. Each later call of `reopen` opens it with its previous
    /// contents, as after a restart of the node.
    #[must_use]
    pub fn new(reopen: impl Fn() -> Arc<dyn EnvironmentStore> + Send + Sync + 'static) -> Self {
        Self { store: reopen(), reopen: Box::new(reopen), _guard: None }
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

impl fmt::Debug for EnvironmentStoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentStoreFixture").field("vault", &self.store).finish_non_exhaustive()
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> EnvironmentStoreFixture) -> EnvironmentStoreFixture {
    open()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A stored environment is returned completely, sorted by name.
pub async fn a_stored_environment_is_returned_sorted(world: &EnvironmentStoreFixture) {
    let odd = "line\nbreak = \"quotes\" \u{1f6a2} \\ \u{7f}";
    let kept = variables(&[("PATH", "/bin"), ("EMPTY", ""), ("ODD", odd), ("A=B", "x")]);
    let hash = must(world.store.keep(&kept).await);
    let mut sorted = kept;
    sorted.sort();
    assert_eq!(must(world.store.open(&hash).await), sorted);
    let nothing = must(world.store.keep(&[]).await);
    assert_eq!(must(world.store.open(&nothing).await), []);
}

/// The hash does not depend on the order of the variables.
pub async fn the_hash_does_not_depend_on_the_order(world: &EnvironmentStoreFixture) {
    let one = must(world.store.keep(&variables(&[("A", "1"), ("B", "2")])).await);
    let other = must(world.store.keep(&variables(&[("B", "2"), ("A", "1")])).await);
    assert_eq!(one, other);
}

/// Different sets of variables have different hashes, even if their bytes are similar.
pub async fn different_variables_have_different_hashes(world: &EnvironmentStoreFixture) {
    let mut hashes = std::collections::BTreeSet::new();
    let different: [&[(&str, &str)]; 7] = [
        &[("A", "1")],
        &[("A", "2")],
        &[("A1", "")],
        &[("", "A1")],
        &[("A", "1"), ("B", "2")],
        &[("A", "1\nB=2")],
        &[("A", "1B2")],
    ];
    for pairs in different {
        assert!(hashes.insert(must(world.store.keep(&variables(pairs)).await)), "{pairs:?}");
    }
}

/// Opening an unknown hash returns the error for a missing environment.
pub async fn an_unknown_hash_returns_the_missing_error(world: &EnvironmentStoreFixture) {
    let known = must(world.store.keep(&variables(&[("A", "1")])).await);
    let unknown = known.0.chars().rev().collect();
    for hash in [unknown, String::new(), "../../etc/passwd".to_owned(), "x".repeat(5000)] {
        let hash = EnvironmentHash(hash);
        refused!(
            world.store.open(&hash).await,
            EnvironmentStoreError::Missing { hash: named } if *named == hash
        );
    }
}

/// A stored environment is still present after a restart of the node.
pub async fn a_stored_environment_survives_a_restart(world: &EnvironmentStoreFixture) {
    let kept = variables(&[("TOKEN", "secret")]);
    let hash = must(world.store.keep(&kept).await);
    let again = (world.reopen)();
    assert_eq!(must(again.open(&hash).await), kept);
    assert_eq!(must(again.keep(&kept).await), hash);
}

/// Several tasks can store the same environment at the same time.
pub async fn many_tasks_can_store_the_same_environment(world: &EnvironmentStoreFixture) {
    let kept = variables(&[("A", "1"), ("B", &"x".repeat(50_000))]);
    let keepers: Vec<_> = (0..8)
        .map(|_| {
            let (store, kept) = (Arc::clone(&world.store), kept.clone());
            tokio::spawn(async move { must(store.keep(&kept).await) })
        })
        .collect();
    for keeper in keepers {
        let hash = must(keeper.await);
        assert_eq!(must(world.store.open(&hash).await), kept);
    }
}

/// Debug output of the store never shows a value.
pub async fn values_are_never_printed(world: &EnvironmentStoreFixture) {
    let hash = must(world.store.keep(&variables(&[("TOKEN", "hunter2")])).await);
    must(world.store.open(&hash).await);
    assert!(!format!("{:?}", world.store).contains("hunter2"));
}

/// Generates one test for each rule about environment stores.
///
/// Takes a function that opens an [`EnvironmentStoreFixture`].
#[macro_export]
macro_rules! environment_store_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, environment_store,
            a_stored_environment_is_returned_sorted
            the_hash_does_not_depend_on_the_order
            different_variables_have_different_hashes
            an_unknown_hash_returns_the_missing_error
            a_stored_environment_survives_a_restart
            many_tasks_can_store_the_same_environment
            values_are_never_printed
        }
    };
}
