//! Finds the process that a user refers to.

use crate::cascade::LIVE;
use crate::engine::Engine;
use crate::error::{Candidate, EngineError, ReferenceField};
use longhaul_domain::{AgentId, CommandSpec, ProcessId, ProcessName, SessionId};
use longhaul_ports::{PageRequest, ProcessFilter, SortOrder, StoredProcess};

/// Minimum length of an id prefix that can be looked up.
const MIN_PREFIX_LEN: usize = 4;
/// Maximum number of candidates that an error lists.
const MAX_CANDIDATES: u32 = 10;
/// Start of a reference to the process of an agent.
const AGENT_PREFIX: &str = "agent:";
/// Process type of hooks. `@last` skips hooks, because they are not started by a user.
const HOOK: &str = "custom:hook";

impl Engine {
    /// Returns the id of the process that `reference` means. A reference is one of:
    /// - a full id, or `bg-<id>`
    /// - a unique prefix of an id with at least 4 characters
    /// - a name: the live process with this name, or the newest one if none is live
    /// - `agent:<id>`: the newest live process of this agent, or the newest one if none is live
    /// - `@last`: the newest process that is not a hook
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Ambiguous`] with the matches.
    pub async fn find(&self, reference: &str) -> Result<ProcessId, EngineError> {
        self.find_for(reference, None).await
    }

    /// Finds a process like [`find`](Self::find), for a caller that is bound to a session: a name, a prefix and `@last`
    /// mean processes of that session. A process of another session is found only by its id or a unique prefix of the
    /// id.
    ///
    /// # Errors
    /// As for [`find`](Self::find); [`EngineError::OtherSessions`] if only processes of other sessions have that name.
    pub async fn find_for(
        &self,
        reference: &str,
        session: Option<&SessionId>,
    ) -> Result<ProcessId, EngineError> {
        match self.find_in_memory(reference, session).await {
            // If the store was unreachable, only the processes of this node were searched. The process may belong to
            // another node, so the store is asked one more time.
            Err(EngineError::NotFound { .. }) if self.away_since().is_some() => {
                let ask = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 1 };
                self.core.parts.store.list(&ProcessFilter::default(), &ask).await?;
                self.find_in_memory(reference, session).await
            }
            found => found,
        }
    }

    /// Finds the process that an action changes. Works like [`find_for`](Self::find_for), but reports an error if an
    /// agent has several live processes.
    ///
    /// # Errors
    /// As for [`find_for`](Self::find_for); [`EngineError::Ambiguous`] also if the agent has several live processes.
    pub async fn find_target(
        &self,
        reference: &str,
        session: Option<&SessionId>,
    ) -> Result<ProcessId, EngineError> {
        if let Some(agent) = reference.strip_prefix(AGENT_PREFIX).and_then(|agent| AgentId::new(agent).ok()) {
            let live = ProcessFilter {
                agent: Some(agent),
                statuses: LIVE.to_vec(),
                session: session.cloned(),
                ..ProcessFilter::default()
            };
            let found = self.page(live, MAX_CANDIDATES).await?;
            if found.len() > 1 {
                return Err(self.ambiguous(reference, ReferenceField::Agent, &found));
            }
        }
        self.find_for(reference, session).await
    }

    async fn find_in_memory(
        &self,
        reference: &str,
        session: Option<&SessionId>,
    ) -> Result<ProcessId, EngineError> {
        let not_found = || EngineError::NotFound { reference: reference.to_owned() };
        let own = ProcessFilter { session: session.cloned(), ..ProcessFilter::default() };
        if reference == "@last" {
            return self.newest(&own).await?.ok_or_else(not_found);
        }
        if let Ok(id) = reference.parse::<ProcessId>() {
            return self.process(id).await.map(|stored| stored.process.id);
        }
        if let Some(agent) = reference.strip_prefix(AGENT_PREFIX).and_then(|agent| AgentId::new(agent).ok())
            && let Some(stored) = self.find_by_agent(&agent, &own).await?
        {
            return Ok(stored.process.id);
        }
        if let Some(id) = self.find_by_prefix(reference, &own).await? {
            return Ok(id);
        }
        let name = ProcessName::new(reference).ok();
        if let Some(name) = name.clone()
            && let Some(id) = self.find_by_name(name, &own).await?
        {
            return Ok(id);
        }
        let Some(session) = session else { return Err(not_found()) };
        if let Some(id) = self.find_by_prefix(reference, &ProcessFilter::default()).await? {
            return Ok(id);
        }
        let named = ProcessFilter { name: Some(name.ok_or_else(not_found)?), ..ProcessFilter::default() };
        let others = self.page(named, MAX_CANDIDATES).await?;
        if others.is_empty() {
            return Err(not_found());
        }
        Err(EngineError::OtherSessions {
            reference: reference.to_owned(),
            session: session.clone(),
            candidates: self.candidates(&others),
        })
    }

    async fn find_by_prefix(
        &self,
        reference: &str,
        among: &ProcessFilter,
    ) -> Result<Option<ProcessId>, EngineError> {
        let Some(prefix) = as_prefix(reference) else { return Ok(None) };
        let filter = ProcessFilter { id_prefix: Some(prefix), ..among.clone() };
        match self.page(filter, MAX_CANDIDATES).await?.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only.process.id)),
            several => Err(self.ambiguous(reference, ReferenceField::IdPrefix, several)),
        }
    }

    async fn find_by_name(
        &self,
        name: ProcessName,
        among: &ProcessFilter,
    ) -> Result<Option<ProcessId>, EngineError> {
        let reference = name.to_string();
        let named = ProcessFilter { name: Some(name), ..among.clone() };
        let live = ProcessFilter { statuses: LIVE.to_vec(), ..named.clone() };
        match self.page(live, MAX_CANDIDATES).await?.as_slice() {
            [] => Ok(self.page(named, 1).await?.first().map(|stored| stored.process.id)),
            [only] => Ok(Some(only.process.id)),
            several => Err(self.ambiguous(&reference, ReferenceField::Name, several)),
        }
    }

    /// Returns the process that represents an agent: its newest live process, or its newest process if none is live.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn agent(&self, agent: &AgentId) -> Result<Option<StoredProcess>, EngineError> {
        self.find_by_agent(agent, &ProcessFilter::default()).await
    }

    async fn find_by_agent(
        &self,
        agent: &AgentId,
        among: &ProcessFilter,
    ) -> Result<Option<StoredProcess>, EngineError> {
        let of_agent = ProcessFilter { agent: Some(agent.clone()), ..among.clone() };
        let live = ProcessFilter { statuses: LIVE.to_vec(), ..of_agent.clone() };
        match self.page(live, 1).await?.pop() {
            Some(stored) => Ok(Some(stored)),
            None => Ok(self.page(of_agent, 1).await?.pop()),
        }
    }

    /// Returns the newest process that is not a hook.
    async fn newest(&self, among: &ProcessFilter) -> Result<Option<ProcessId>, EngineError> {
        let others = ProcessFilter { not_kind: HOOK.parse().ok(), ..among.clone() };
        Ok(self.page(others, 1).await?.first().map(|stored| stored.process.id))
    }

    async fn page(&self, filter: ProcessFilter, limit: u32) -> Result<Vec<StoredProcess>, EngineError> {
        let ask = PageRequest { order: SortOrder::NewestFirst, after: None, limit };
        Ok(self.list(&filter, &ask).await?.processes)
    }

    fn ambiguous(&self, reference: &str, by: ReferenceField, matches: &[StoredProcess]) -> EngineError {
        EngineError::Ambiguous { reference: reference.to_owned(), by, candidates: self.candidates(matches) }
    }

    fn candidates(&self, matches: &[StoredProcess]) -> Vec<Candidate> {
        let now = self.now();
        let candidate = |StoredProcess { process, .. }: &StoredProcess| {
            let command = process.spec.command();
            Candidate {
                id: process.id,
                name: process.spec.name.clone(),
                status: process.status(),
                session: process.spec.session.clone(),
                age: now.since(process.queued_at),
                directory: command.map(|command| command.directory.clone()),
                command: command.map(argv).unwrap_or_default(),
            }
        };
        matches.iter().map(candidate).collect()
    }
}

fn argv(command: &CommandSpec) -> Vec<String> {
    std::iter::once(&command.program).chain(&command.args).cloned().collect()
}

/// Returns the text as an id prefix, or `None` if no id can start with this text.
fn as_prefix(reference: &str) -> Option<String> {
    let text = reference.strip_prefix("bg-").unwrap_or(reference).to_ascii_lowercase();
    let fits = (MIN_PREFIX_LEN..=36).contains(&text.len());
    (fits && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')).then_some(text)
}
