//! Stores that are found by the scheme of their URL: the one of many machines, and those that a program adds.

use crate::compose::shared;
use longhaul_engine::ports::{Clock, Store, StoreError};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What opening a store comes to.
pub type OpenedStore = Pin<Box<dyn Future<Output = Result<Arc<dyn Store>, StoreError>> + Send>>;

type Open = Arc<dyn Fn(String, Arc<dyn Clock>) -> OpenedStore + Send + Sync>;

/// How to open the store of many machines, and those that a program adds, by the scheme of their URL.
#[derive(Clone)]
pub struct Stores {
    known: BTreeMap<String, Open>,
}

impl Default for Stores {
    fn default() -> Self {
        let mut stores = Self { known: BTreeMap::new() };
        shared::add_to(&mut stores);
        stores
    }
}

impl Stores {
    /// Adds a kind of store: `open` gets what stands behind `scheme:`, and the clock that the store has to use. One that is
    /// known already stays what it is.
    pub(crate) fn add<F, O>(&mut self, scheme: &str, open: F)
    where
        F: Fn(String, Arc<dyn Clock>) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Arc<dyn Store>, StoreError>> + Send + 'static,
    {
        let open: Open = Arc::new(move |rest, clock| Box::pin(open(rest, clock)));
        self.known.entry(scheme.to_owned()).or_insert(open);
    }

    /// Whether it is known how to open the store of this URL.
    #[must_use]
    pub fn knows(&self, url: &str) -> bool {
        url.split_once(':').is_some_and(|(scheme, _)| self.known.contains_key(scheme))
    }

    /// Opens the store of a URL; none if its scheme is not known.
    pub(crate) async fn open(
        &self,
        url: &str,
        clock: &Arc<dyn Clock>,
    ) -> Option<Result<Arc<dyn Store>, StoreError>> {
        let (scheme, rest) = url.split_once(':')?;
        let open = self.known.get(scheme)?;
        Some(open(rest.to_owned(), clock.clone()).await)
    }
}

/// Whether other builds of this program know stores of this scheme.
pub(crate) fn is_left_out(scheme: &str) -> bool {
    matches!(scheme, "rediss" | "valkeys" | "redis+sentinel" | "redis+cluster" | "rediss+cluster")
}

/// Why no store is found at this URL.
pub(crate) fn unknown(url: &str) -> &'static str {
    match url.split_once(':').map_or(url, |(scheme, _)| scheme) {
        "rediss" | "valkeys" => {
            "this program was built without TLS for its store; build it with `--features redis-tls`"
        }
        "redis+sentinel" => {
            "this program was built without sentinels for its store; build it with `--features redis-sentinel`"
        }
        "redis+cluster" | "rediss+cluster" => {
            "this program was built without clusters for its store; build it with `--features redis-cluster,redis-tls`"
        }
        _ => "this program has no such store",
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_that_was_left_out_of_the_build_is_told_apart_from_none() {
        assert!(unknown("rediss://me:secret@host").contains("--features redis-tls"));
        assert!(unknown("redis+sentinel://host/name").contains("--features redis-sentinel"));
        assert!(unknown("redis+cluster://host").contains("--features redis-cluster"));
        assert_eq!(unknown("etcd://host"), "this program has no such store");
    }
}
