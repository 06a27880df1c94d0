//! A custom store: the memory store with an audit log of all changes, and the store suite that checks it.
//!
//! `cargo test -p longhaul --example own_store` runs the suite; `cargo run -p longhaul --example own_store` prints an
//! audit log.

use async_trait::async_trait;
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{Retention, Revision};
use longhaul_engine::ports::{
    Change, ClaimCapacity, Lease, NodeDescriptor, PrunedBatch, Store, StoreDecorator, StoreError,
    StoredProcess, Submission, SubmitOutcome, Writer,
};
use std::sync::{Arc, Mutex, PoisonError};

/// A store that logs every change and its author.
#[derive(Clone, Debug)]
pub struct AuditedStore<S> {
    inner: S,
    trail: Arc<Mutex<Vec<String>>>,
}

impl<S: Store> AuditedStore<S> {
    /// Wraps a store so that its changes are logged.
    pub fn new(inner: S) -> Self {
        Self { inner, trail: Arc::default() }
    }

    /// Returns the audit log so far, with one line for each change.
    #[must_use]
    pub fn trail(&self) -> Vec<String> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, line: String) {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[async_trait]
impl<S: Store> StoreDecorator for AuditedStore<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let id = new.process.id;
        let submitted = self.inner.submit(new).await?;
        // A process that existed before is not changed by this call.
        if !matches!(submitted, SubmitOutcome::Existing { .. }) {
            self.note(format!("{id} submitted"));
        }
        Ok(submitted)
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        let facts: Vec<&str> = change.events.iter().map(|event| event.fact.name()).collect();
        let line = match &change.author {
            Writer::Owner(lease) => format!("{} {} by {}", change.next.id, facts.join(" "), lease.node),
            Writer::Anyone => format!("{} {}", change.next.id, facts.join(" ")),
        };
        let revision = self.inner.commit(change).await?;
        self.note(format!("{line} at {revision}"));
        Ok(revision)
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let claimed = self.inner.claim(by, room).await?;
        for stored in &claimed {
            self.note(format!("{} claimed by {}", stored.process.id, by.node));
        }
        Ok(claimed)
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let pruned = self.inner.prune(rule, limit).await?;
        for id in &pruned.ids {
            self.note(format!("{id} pruned"));
        }
        Ok(pruned)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(show())
}

/// Runs scripted work on a virtual clock and prints the audit log.
async fn show() -> Result<(), Box<dyn std::error::Error>> {
    use longhaul_domain::{CommandSpec, NodeId, Spec, Work};
    use longhaul_engine::{Engine, EnginePorts, EngineSettings, Launch, Launcher};
    use longhaul_testkit::fakes::{FakeEnvironmentStore, ScriptedSpawner, SequentialIds, VirtualClock};
    use std::io::Write;

    let clock = VirtualClock::default();
    let spawner = ScriptedSpawner::new(clock.clone());
    let store = AuditedStore::new(MemoryStore::new(Arc::new(clock.clone())));
    let parts = EnginePorts {
        store: Arc::new(store.clone()),
        output: Arc::new(spawner.output()),
        artifacts: Arc::new(spawner.artifacts()),
        spawner: Arc::new(spawner),
        prober: Arc::new(longhaul_engine::ports::NoopProber),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        environments: Arc::new(FakeEnvironmentStore::default()),
        clock: Arc::new(clock.clone()),
        ids: Arc::new(SequentialIds::default()),
    };
    let node = NodeDescriptor {
        id: NodeId::new("here")?,
        home: None,
        boot: "b".to_owned(),
        version: "1".to_owned(),
    };
    let engine = Engine::start(parts, EngineSettings::of(node)).await?;
    let spec = Spec::of(Work::Command(Box::new(CommandSpec::of("sleep", &["1000"], "/"))));
    engine
        .launch(Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false })
        .await?;
    clock.run_for(std::time::Duration::from_secs(2)).await;
    for line in store.trail() {
        writeln!(std::io::stdout(), "{line}")?;
    }
    engine.abandon();
    Ok(())
}

#[cfg(test)]
mod suite {
    use super::AuditedStore;
    use longhaul_adapters::memory::MemoryStore;
    use longhaul_testkit::suite::StoreFixture;
    use std::sync::Arc;

    longhaul_testkit::store_suite!(async |clock| {
        let store = AuditedStore::new(MemoryStore::new(Arc::new(clock.clone())));
        StoreFixture::new(Arc::new(store), clock)
    });
}

#[cfg(test)]
mod leased {
    use super::AuditedStore;
    use longhaul_adapters::memory::MemoryStore;
    use longhaul_testkit::suite::StoreFixture;
    use longhaul_testkit::suite::store::{GRACE, LEASE};
    use std::sync::Arc;

    longhaul_testkit::leased_store_suite!(async |clock| {
        let inner = MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE);
        StoreFixture::new(Arc::new(AuditedStore::new(inner)), clock)
    });
}

#[cfg(test)]
mod model {
    use super::AuditedStore;
    use longhaul_adapters::memory::MemoryStore;
    use longhaul_testkit::suite::StoreFixture;
    use std::sync::Arc;

    longhaul_testkit::model_suite!(async |clock| {
        let store = AuditedStore::new(MemoryStore::new(Arc::new(clock.clone())));
        StoreFixture::new(Arc::new(store), clock)
    });
}

#[cfg(test)]
mod wrapper {
    use super::AuditedStore;
    use longhaul_adapters::memory::MemoryStore;
    use longhaul_testkit::fakes::{ProbeStore, VirtualClock};
    use longhaul_testkit::suite::{StoreFixture, hold, wrapper};
    use std::sync::Arc;

    #[test]
    fn every_method_reaches_the_inner_store() {
        let clock = VirtualClock::default();
        let probe = ProbeStore::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))));
        let world = StoreFixture::new(Arc::new(AuditedStore::new(probe.clone())), clock);
        hold(async { wrapper::every_method_reaches_the_inner_store(&world, &probe).await });
    }
}
