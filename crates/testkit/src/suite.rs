//! Contract suites: each promise of a port has one rule, and each rule is run as one test.
//!
//! An adapter runs a whole suite with one macro call. Each rule gets a separate fixture, which is opened inside a tokio
//! runtime, so the adapter needs no other crate.
//!
//! ```
//! use longhaul_adapters::memory::MemoryStore;
//! use longhaul_testkit::suite::StoreFixture;
//! use std::sync::Arc;
//!
//! longhaul_testkit::store_suite!(async |clock| {
//!     let store = MemoryStore::new(Arc::new(clock.clone()));
//!     StoreFixture::new(Arc::new(store), clock)
//! });
//! # fn main() {}
//! ```
//!
//! An adapter can write further rules with a [`StoreFixture`]:
//!
//! ```
//! use longhaul_adapters::memory::MemoryStore;
//! use longhaul_testkit::suite::{StoreFixture, hold, store};
//! use std::sync::Arc;
//!
//! hold(async {
//!     let world = store::open(async |clock| StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock)).await;
//!     let node = world.node("here").await;
//!     let running = world.run(world.draft().key("gpu").priority(5), &node).await;
//!     let ended = world.exit(&running, 0).await;
//!     assert_eq!(ended.owner, None);
//! });
//! ```

pub mod agreement;
pub mod artifact_store;
pub mod clock;
pub mod environment_store;
pub mod ids;
pub mod output;
pub mod reader_cursors;
pub mod restore;
pub mod spawner;
pub mod store;
pub mod test_files;
pub mod webhook;
pub mod wrapper;

pub use artifact_store::{ArtifactFixture, ArtifactSource};
pub use clock::ClockFixture;
pub use environment_store::EnvironmentStoreFixture;
pub use ids::IdSourceFixture;
pub use output::{OutputFeed, OutputFixture};
pub use reader_cursors::ReaderCursorsFixture;
pub use restore::RestoreFixture;
pub use spawner::{SpawnerFixture, TestCommands};
pub use store::{ConnectionCut, StoreFixture, SubmissionBuilder};
pub use test_files::{TestFileFeed, TestFilesFixture};
pub use webhook::WebhookFixture;

use crate::fakes::locked;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Builder;

/// Time limit for an expected event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which a call must not return, so that a rule regards it as waiting.
const PARK_CHECK: Duration = Duration::from_millis(80);

/// Unwraps a result whose value a rule needs to continue.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn must<T, E: Debug>(answer: Result<T, E>) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("it has to go well: {error:?}"),
    }
}

/// Unwraps a result. If the result is an error, panics with the text `promise`, which says why it must be a success.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn kept<T, E: Debug>(promise: &str, answer: Result<T, E>) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("{promise}, instead: {error:?}"),
    }
}

/// Unwraps an option whose value a rule needs to continue.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn some<T>(answer: Option<T>) -> T {
    match answer {
        Some(value) => value,
        None => panic!("there has to be something"),
    }
}

/// Panics because a rule found a value other than the value that it needs to continue.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn instead_of(wanted: &str, found: &dyn Debug) -> ! {
    panic!("expected {wanted}, found {found:?}")
}

/// Checks that a result is an error that matches the pattern.
macro_rules! refused {
    ($answer:expr, $pattern:pat $(if $guard:expr)?) => {{
        let answer = $answer;
        assert!(
            matches!(&answer, Err($pattern) $(if $guard)?),
            "expected {}, found {answer:?}",
            stringify!($pattern)
        );
    }};
}
pub(crate) use refused;

/// Checks that a future has not completed after a short time, and returns the future.
pub(crate) async fn parked<F: Future + Unpin>(mut future: F) -> F
where
    F::Output: Debug,
{
    let early = tokio::time::timeout(PARK_CHECK, &mut future).await;
    assert!(early.is_err(), "it has to park, it returned {early:?}");
    future
}

/// Awaits a future with a time limit.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    must(tokio::time::timeout(EVENT_TIMEOUT, future).await)
}

/// Generates one test for each rule.
#[doc(hidden)]
#[macro_export]
macro_rules! rules_of {
    (async $open:expr, $suite:ident, $($rule:ident)+) => { $(
        #[test]
        fn $rule() {
            $crate::suite::hold(async {
                let world = $crate::suite::$suite::open($open).await;
                $crate::suite::$suite::$rule(&world).await;
            });
        }
    )+ };
    ($open:expr, $suite:ident, $($rule:ident)+) => { $(
        #[test]
        fn $rule() {
            $crate::suite::hold(async {
                let world = $crate::suite::$suite::open($open);
                $crate::suite::$suite::$rule(&world).await;
            });
        }
    )+ };
}

/// Runs one rule in a separate runtime, so that the caller needs no runtime.
pub fn hold(rule: impl Future<Output = ()>) {
    must(Builder::new_multi_thread().worker_threads(2).enable_all().build()).block_on(rule);
}
