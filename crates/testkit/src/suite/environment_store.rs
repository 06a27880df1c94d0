//! What every vault promises.

use crate::suite::{must, refused};
use longhaul_domain::EnvironmentHash;
use longhaul_ports::{EnvironmentStore, EnvironmentStoreError};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A vault of its own for each rule, empty, that can be opened again.
pub struct EnvironmentStoreFixture {
    /// The vault.
    pub vault: Arc<dyn EnvironmentStore>,
    reopen: Box<dyn Fn() -> Arc<dyn EnvironmentStore> + Send + Sync>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl EnvironmentStoreFixture {
    /// A world around an empty vault; `reopen` opens what the next life of the node would find.
    #[must_use]
    pub fn new(reopen: impl Fn() -> Arc<dyn EnvironmentStore> + Send + Sync + 'static) -> Self {
        Self { vault: reopen(), reopen: Box::new(reopen), _guard: None }
    }

    /// The same; what is given lives as long as the world, such as a temporary directory.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }
}

impl fmt::Debug for EnvironmentStoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentStoreFixture").field("vault", &self.vault).finish_non_exhaustive()
    }
}

/// Opens a world.
pub fn open(open: impl FnOnce() -> EnvironmentStoreFixture) -> EnvironmentStoreFixture {
    open()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What was kept comes back whole, sorted by name.
pub async fn what_was_kept_comes_back_sorted(world: &EnvironmentStoreFixture) {
    let odd = "line\nbreak = \"quotes\" \u{1f6a2} \\ \u{7f}";
    let kept = variables(&[("PATH", "/bin"), ("EMPTY", ""), ("ODD", odd), ("A=B", "x")]);
    let hash = must(world.vault.keep(&kept).await);
    let mut sorted = kept;
    sorted.sort();
    assert_eq!(must(world.vault.open(&hash).await), sorted);
    let nothing = must(world.vault.keep(&[]).await);
    assert_eq!(must(world.vault.open(&nothing).await), []);
}

/// The same variables have the same hash, whatever their order.
pub async fn the_order_makes_no_difference(world: &EnvironmentStoreFixture) {
    let one = must(world.vault.keep(&variables(&[("A", "1"), ("B", "2")])).await);
    let other = must(world.vault.keep(&variables(&[("B", "2"), ("A", "1")])).await);
    assert_eq!(one, other);
}

/// Other variables have another hash, even when their bytes look alike.
pub async fn other_variables_have_another_hash(world: &EnvironmentStoreFixture) {
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
        assert!(hashes.insert(must(world.vault.keep(&variables(pairs)).await)), "{pairs:?}");
    }
}

/// A hash that was never kept is told.
pub async fn an_unknown_hash_is_missing(world: &EnvironmentStoreFixture) {
    let known = must(world.vault.keep(&variables(&[("A", "1")])).await);
    let unknown = known.0.chars().rev().collect();
    for hash in [unknown, String::new(), "../../etc/passwd".to_owned(), "x".repeat(5000)] {
        let hash = EnvironmentHash(hash);
        refused!(
            world.vault.open(&hash).await,
            EnvironmentStoreError::Missing { hash: named } if *named == hash
        );
    }
}

/// What was kept is there in the next life of the node.
pub async fn what_was_kept_outlives_the_vault(world: &EnvironmentStoreFixture) {
    let kept = variables(&[("TOKEN", "secret")]);
    let hash = must(world.vault.keep(&kept).await);
    let again = (world.reopen)();
    assert_eq!(must(again.open(&hash).await), kept);
    assert_eq!(must(again.keep(&kept).await), hash);
}

/// Many may keep the same at once.
pub async fn many_keep_the_same_at_once(world: &EnvironmentStoreFixture) {
    let kept = variables(&[("A", "1"), ("B", &"x".repeat(50_000))]);
    let keepers: Vec<_> = (0..8)
        .map(|_| {
            let (vault, kept) = (Arc::clone(&world.vault), kept.clone());
            tokio::spawn(async move { must(vault.keep(&kept).await) })
        })
        .collect();
    for keeper in keepers {
        let hash = must(keeper.await);
        assert_eq!(must(world.vault.open(&hash).await), kept);
    }
}

/// Nothing that is printed for debugging shows a value.
pub async fn values_are_never_printed(world: &EnvironmentStoreFixture) {
    let hash = must(world.vault.keep(&variables(&[("TOKEN", "hunter2")])).await);
    must(world.vault.open(&hash).await);
    assert!(!format!("{:?}", world.vault).contains("hunter2"));
}

/// Runs every rule for vaults, one test each.
///
/// Takes a function that opens a [`EnvironmentStoreFixture`].
#[macro_export]
macro_rules! environment_store_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, environment_store,
            what_was_kept_comes_back_sorted
            the_order_makes_no_difference
            other_variables_have_another_hash
            an_unknown_hash_is_missing
            what_was_kept_outlives_the_vault
            many_keep_the_same_at_once
            values_are_never_printed
        }
    };
}
