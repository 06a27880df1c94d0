//! Finds the process that a person means.

use crate::descend::LIVE;
use crate::engine::Engine;
use crate::error::{Candidate, EngineError};
use longhaul_domain::{AgentId, ProcessId, ProcessName, ProcessType};
use longhaul_ports::{Filter, Order, PageAsk, Stored};

/// The shortest prefix of an id that is looked up.
const SHORTEST_PREFIX: usize = 4;
/// The most candidates that an answer names.
const MOST_CANDIDATES: u32 = 10;
/// The type of commands that are run because of what others do: nobody means those by the newest.
const HOOK: &str = "custom:hook";
/// So many of the newest are looked at together.
const LOOK: u32 = 50;

impl Engine {
    /// The process that is meant by a whole id, `bg-<id>`, a unique prefix of 4 or more characters, a name (its live
    /// process, else the newest), or `@last` (the newest of all but hooks).
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Ambiguous`] with the matches.
    pub async fn find(&self, reference: &str) -> Result<ProcessId, EngineError> {
        match self.find_among_told(reference).await {
            // What is not kept here may be another node's.
            Err(EngineError::NotFound { .. }) if self.away_since().is_some() => {
                let ask = PageAsk { order: Order::NewestFirst, after: None, most: 1 };
                self.core.parts.store.list(&Filter::default(), &ask).await?;
                self.find_among_told(reference).await
            }
            found => found,
        }
    }

    async fn find_among_told(&self, reference: &str) -> Result<ProcessId, EngineError> {
        let not_found = || EngineError::NotFound { reference: reference.to_owned() };
        if reference == "@last" {
            return self.newest().await?.ok_or_else(not_found);
        }
        if let Ok(id) = reference.parse::<ProcessId>() {
            return self.process(id).await.map(|stored| stored.process.id);
        }
        if let Some(prefix) = as_prefix(reference) {
            let matches =
                self.page(Filter { id_prefix: Some(prefix), ..Filter::default() }, MOST_CANDIDATES).await?;
            match matches.as_slice() {
                [] => {}
                [only] => return Ok(only.process.id),
                several => return Err(ambiguous(reference, several.iter())),
            }
        }
        let Ok(name) = ProcessName::new(reference) else {
            return Err(not_found());
        };
        let named = Filter { name: Some(name), ..Filter::default() };
        let live = Filter { statuses: LIVE.to_vec(), ..named.clone() };
        match self.page(live, MOST_CANDIDATES).await?.as_slice() {
            [] => {
                let newest = self.page(named, 1).await?;
                newest.first().map(|stored| stored.process.id).ok_or_else(not_found)
            }
            [only] => Ok(only.process.id),
            several => Err(ambiguous(reference, several.iter())),
        }
    }

    /// The process behind which an agent stands: the newest live one, else the newest.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn agent(&self, agent: &AgentId) -> Result<Option<Stored>, EngineError> {
        let of_agent = Filter { agent: Some(agent.clone()), ..Filter::default() };
        let live = Filter { statuses: LIVE.to_vec(), ..of_agent.clone() };
        match self.page(live, 1).await?.pop() {
            Some(stored) => Ok(Some(stored)),
            None => Ok(self.page(of_agent, 1).await?.pop()),
        }
    }

    /// The newest that is no hook.
    async fn newest(&self) -> Result<Option<ProcessId>, EngineError> {
        let hook: Option<ProcessType> = HOOK.parse().ok();
        let mut ask = PageAsk { order: Order::NewestFirst, after: None, most: 1 };
        loop {
            let listing = self.list(&Filter::default(), &ask).await?;
            let meant =
                listing.processes.iter().find(|stored| Some(&stored.process.spec.kind) != hook.as_ref());
            if let Some(stored) = meant {
                return Ok(Some(stored.process.id));
            }
            if listing.next.is_none() {
                return Ok(None);
            }
            (ask.after, ask.most) = (listing.next, LOOK);
        }
    }

    async fn page(&self, filter: Filter, most: u32) -> Result<Vec<Stored>, EngineError> {
        let ask = PageAsk { order: Order::NewestFirst, after: None, most };
        Ok(self.list(&filter, &ask).await?.processes)
    }
}

/// The text as the beginning of a printed id, if it can be one.
fn as_prefix(reference: &str) -> Option<String> {
    let text = reference.strip_prefix("bg-").unwrap_or(reference).to_ascii_lowercase();
    let fits = (SHORTEST_PREFIX..=36).contains(&text.len());
    (fits && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')).then_some(text)
}

fn ambiguous<'a>(reference: &str, matches: impl Iterator<Item = &'a Stored>) -> EngineError {
    let candidates = matches
        .map(|stored| Candidate {
            id: stored.process.id,
            name: stored.process.spec.name.clone(),
            status: stored.process.status(),
        })
        .collect();
    EngineError::Ambiguous { reference: reference.to_owned(), candidates }
}
