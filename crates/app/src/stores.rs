//! Registry of the kinds of stores that are selected by the URL scheme: shared stores, and stores that a program adds.

use crate::compose::{CopyableStore, postgres, shared};
use longhaul_engine::ports::{Clock, Migrate, NodeHome, Store, StoreError};
use longhaul_wire::store::is_builtin_scheme;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Future that resolves to an open store.
pub type OpenedStore = Pin<Box<dyn Future<Output = Result<Arc<dyn Store>, StoreError>> + Send>>;

/// Arguments for a function that opens a store.
#[derive(Clone, Debug)]
pub struct StoreContext {
    /// Text after `scheme:` in the URL of the store.
    pub rest: String,
    /// Clock of this machine, for use by a local store. A shared store must measure all leases with one clock, such as
    /// the clock of its server.
    pub clock: Arc<dyn Clock>,
    /// State directory that is served with this store. `None` if the store is opened only to inspect or copy it.
    pub home: Option<NodeHome>,
}

type Open = Arc<dyn Fn(StoreContext) -> OpenedStore + Send + Sync>;

/// Future that resolves to an open store whose content can be copied.
type OpenedCopyableStore = Pin<Box<dyn Future<Output = Result<Box<dyn CopyableStore>, StoreError>> + Send>>;

type OpenMovable = Arc<dyn Fn(StoreContext) -> OpenedCopyableStore + Send + Sync>;

/// Functions that open stores, by URL scheme. They open shared stores and stores of kinds that a program added.
#[derive(Clone)]
pub struct Stores {
    known: BTreeMap<String, Open>,
    /// Functions that open those stores of program-added kinds that `longhaul store copy` can copy.
    movable: BTreeMap<String, OpenMovable>,
}

impl Default for Stores {
    fn default() -> Self {
        let mut stores = Self { known: BTreeMap::new(), movable: BTreeMap::new() };
        shared::add_to(&mut stores);
        postgres::add_to(&mut stores);
        stores
    }
}

impl Stores {
    /// Adds a kind of store for a URL scheme. If the scheme is already registered, nothing changes.
    pub(crate) fn add<F, O>(&mut self, scheme: &str, open: F)
    where
        F: Fn(StoreContext) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Arc<dyn Store>, StoreError>> + Send + 'static,
    {
        let open: Open = Arc::new(move |opening| Box::pin(open(opening)));
        self.known.entry(scheme.to_owned()).or_insert(open);
    }

    /// Adds a kind of store whose content can be copied. Apart from that, like [`add`](Self::add).
    pub(crate) fn add_movable<F, O, S>(&mut self, scheme: &str, open: F)
    where
        F: Fn(StoreContext) -> O + Send + Sync + 'static,
        O: Future<Output = Result<S, StoreError>> + Send + 'static,
        S: Store + Migrate,
    {
        let open = Arc::new(open);
        let again = Arc::clone(&open);
        self.add(scheme, move |opening| {
            let opened = open(opening);
            async move { Ok(Arc::new(opened.await?) as Arc<dyn Store>) }
        });
        let open: OpenMovable = Arc::new(move |opening| {
            let opened = again(opening);
            Box::pin(async move { Ok(Box::new(opened.await?) as Box<dyn CopyableStore>) })
        });
        self.movable.entry(scheme.to_owned()).or_insert(open);
    }

    /// Opens a store of a program-added kind for copying. Returns `None` if the content of the store cannot be copied.
    pub(crate) async fn open_movable(
        &self,
        url: &str,
        clock: &Arc<dyn Clock>,
    ) -> Option<Result<Box<dyn CopyableStore>, StoreError>> {
        let (scheme, rest) = url.split_once(':')?;
        let open = self.movable.get(scheme)?;
        Some(open(StoreContext { rest: rest.to_owned(), clock: clock.clone(), home: None }).await)
    }

    /// Returns true if the URL scheme is registered.
    #[must_use]
    pub fn knows(&self, url: &str) -> bool {
        url.split_once(':').is_some_and(|(scheme, _)| self.known.contains_key(scheme))
    }

    /// Returns advice that lists the known kinds of stores.
    pub(crate) fn choices(&self) -> String {
        let added = self.known.keys().filter(|scheme| !is_builtin_scheme(scheme));
        let added: String = added.map(|scheme| format!(", {scheme}:…")).collect();
        format!("give sqlite:, sqlite:PATH, fs:PATH, memory{added}, postgres://HOST or redis://HOST")
    }

    /// Returns advice that lists the kinds of stores that can be copied.
    pub(crate) fn movable_choices(&self) -> String {
        let added = self.movable.keys().filter(|scheme| !is_builtin_scheme(scheme));
        let added: String = added.map(|scheme| format!(", {scheme}:…")).collect();
        format!("give sqlite:PATH, fs:PATH{added}, postgres://HOST or redis://HOST")
    }

    /// Opens the store with this URL. Returns `None` if the URL scheme is unknown.
    pub(crate) async fn open(
        &self,
        url: &str,
        clock: &Arc<dyn Clock>,
        home: Option<NodeHome>,
    ) -> Option<Result<Arc<dyn Store>, StoreError>> {
        let (scheme, rest) = url.split_once(':')?;
        let open = self.known.get(scheme)?;
        Some(open(StoreContext { rest: rest.to_owned(), clock: clock.clone(), home }).await)
    }
}

/// Returns the reason why the scheme of a URL is not supported.
pub(crate) fn unknown(url: &str) -> &'static str {
    match url.split_once(':').map_or(url, |(scheme, _)| scheme) {
        "rediss" | "valkeys" => {
            "this program was built without TLS for Redis; build it with `--features redis-tls`"
        }
        "redis+sentinel" => {
            "this program was built without support for Redis Sentinel; build it with `--features redis-sentinel`"
        }
        "redis+cluster" | "rediss+cluster" => {
            "this program was built without support for Redis Cluster; build it with `--features \
             redis-cluster,redis-tls`"
        }
        "postgres" | "postgresql" => {
            "this program was built without support for PostgreSQL; build it with `--features postgres`"
        }
        _ => "this program does not support this type of store",
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
    fn stores_that_a_program_adds_are_among_those_to_choose_from() {
        let mut stores = Stores::default();
        stores.add("etcd", |_| async { Err(StoreError::Unavailable { source: "it is away".into() }) });
        assert_eq!(
            stores.choices(),
            "give sqlite:, sqlite:PATH, fs:PATH, memory, etcd:…, postgres://HOST or redis://HOST"
        );
        assert_eq!(
            Stores::default().choices(),
            "give sqlite:, sqlite:PATH, fs:PATH, memory, postgres://HOST or redis://HOST"
        );
    }

    #[tokio::test]
    async fn store_without_migrate_is_opened_and_not_moved() {
        let clock: Arc<dyn Clock> = Arc::new(longhaul_testkit::fakes::VirtualClock::default());
        let mut stores = Stores::default();
        stores.add("plain", |opening| async move { Ok(crate::compose::empty_store(&opening.clock)) });
        assert!(stores.open("plain:x", &clock, None).await.is_some_and(|opened| opened.is_ok()));
        assert!(stores.open_movable("plain:x", &clock).await.is_none());
    }

    #[test]
    fn store_that_the_build_does_not_include_is_distinguished_from_an_unknown_store() {
        assert!(unknown("rediss://me:secret@host").contains("--features redis-tls"));
        assert!(unknown("redis+sentinel://host/name").contains("--features redis-sentinel"));
        assert!(unknown("redis+cluster://host").contains("--features redis-cluster"));
        assert_eq!(unknown("etcd://host"), "this program does not support this type of store");
    }
}
