//! Contract suites: one rule for each promise of a port, and one test for each rule.
//!
//! An adapter runs a suite in one line; each rule gets a world of its own, opened inside a tokio runtime. Beside this
//! crate none is needed for that.
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
//! Rules of one's own do with a [`StoreFixture`] what those of the suite do:
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
pub mod clock;
pub mod environment_store;
pub mod ids;
pub mod output;
pub mod reader_cursors;
pub mod restore;
pub mod spawner;
pub mod store;
pub mod webhook;
pub mod wrapper;

pub use clock::ClockFixture;
pub use environment_store::EnvironmentStoreFixture;
pub use ids::IdSourceFixture;
pub use output::{OutputFeed, OutputFixture};
pub use reader_cursors::ReaderCursorsFixture;
pub use restore::RestoreFixture;
pub use spawner::{SpawnerFixture, TestCommands};
pub use store::{ConnectionCut, StoreFixture, SubmissionBuilder};
pub use webhook::WebhookFixture;

use crate::fakes::locked;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Builder;

/// Something that has to happen by itself has happened after this long.
const EVENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Something that parks is still parked after this long.
const PARK_CHECK: Duration = Duration::from_millis(80);

/// What a rule cannot go on without.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn must<T, E: Debug>(answer: Result<T, E>) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("it has to go well: {error:?}"),
    }
}

/// What has to go well by a promise that is not obvious.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn kept<T, E: Debug>(promise: &str, answer: Result<T, E>) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("{promise}, instead: {error:?}"),
    }
}

/// What a rule cannot go on without.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn some<T>(answer: Option<T>) -> T {
    match answer {
        Some(value) => value,
        None => panic!("there has to be something"),
    }
}

/// Fails: something else was found than the rule goes on with.
#[track_caller]
#[expect(clippy::panic, reason = "a rule fails by panicking")]
pub(crate) fn instead_of(wanted: &str, found: &dyn Debug) -> ! {
    panic!("expected {wanted}, found {found:?}")
}

/// An error that has to be of this sort.
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

/// Fails unless the future is still waiting after a while; gives it back.
pub(crate) async fn parked<F: Future + Unpin>(mut future: F) -> F
where
    F::Output: Debug,
{
    let early = tokio::time::timeout(PARK_CHECK, &mut future).await;
    assert!(early.is_err(), "it has to park, it returned {early:?}");
    future
}

/// The answer of a future that must not park for ever.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    must(tokio::time::timeout(EVENT_TIMEOUT, future).await)
}

/// Makes one test of each rule.
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

/// Runs one rule in a runtime of its own, so that whoever runs a suite needs none.
pub fn hold(rule: impl Future<Output = ()>) {
    must(Builder::new_multi_thread().worker_threads(2).enable_all().build()).block_on(rule);
}
