//! A prober whose results are set by a test.

use super::{VirtualClock, locked};
use async_trait::async_trait;
use longhaul_domain::AwakeTime;
use longhaul_ports::{Clock, ProbeCommand, Prober};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A prober whose results are set by a test. Every probe fails until the test sets its result. Clones share the same
/// state.
#[derive(Clone, Debug)]
pub struct FakeProber {
    clock: VirtualClock,
    known: Arc<Mutex<ProbeResults>>,
}

#[derive(Debug, Default)]
struct ProbeResults {
    works: BTreeSet<String>,
    asked: Vec<(AwakeTime, String)>,
    orders: Vec<ProbeCommand>,
}

impl FakeProber {
    /// Creates a prober whose probes all fail. Probes are stamped with the time of this clock.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self { clock, known: Arc::default() }
    }

    /// Makes probes of this URL or program succeed from now on.
    pub fn works(&self, what: &str) {
        locked(&self.known).works.insert(what.to_owned());
    }

    /// Returns every probe so far: its time and its URL or program.
    #[must_use]
    pub fn asked(&self) -> Vec<(AwakeTime, String)> {
        locked(&self.known).asked.clone()
    }

    /// Returns the commands that were probed, in order.
    #[must_use]
    pub fn orders(&self) -> Vec<ProbeCommand> {
        locked(&self.known).orders.clone()
    }

    fn ask(&self, what: &str) -> bool {
        let at = self.clock.awake();
        let mut known = locked(&self.known);
        known.asked.push((at, what.to_owned()));
        known.works.contains(what)
    }
}

#[async_trait]
impl Prober for FakeProber {
    async fn answers(&self, url: &str, _time_limit: Duration) -> bool {
        self.ask(url)
    }

    async fn succeeds(&self, order: ProbeCommand, _time_limit: Duration) -> bool {
        let works = self.ask(&order.program);
        locked(&self.known).orders.push(order);
        works
    }
}
