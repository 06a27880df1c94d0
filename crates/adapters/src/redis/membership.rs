use super::RedisStore;
use super::codec::{ids, push_lease};
use super::failure::{about, corrupt};
use super::node::{RegisteredRow, push_home, read_home};
use super::process::NO_OP;
use super::reply::ScriptReply;
use super::script::{ANNOUNCE, DRAIN, FORGET, LEAVE, NODES, REGISTER, ScriptArgs, WAIT_FOR_UPDATES};
use super::token::token;
use async_trait::async_trait;
use longhaul_domain::{Epoch, NodeId, PolicyVersion, Timestamp};
use longhaul_ports::{
    ForgetOutcome, KnownNode, Lease, Membership, NodeAdvertisement, NodeDescriptor, NodeHome, NodeUpdates,
    StoreError, StoreRejection,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Advice for a node whose record is damaged.
const AT_REGISTRATION: &str = "the entry is written again when the node registers again";

/// For each node, the number of updates that it has received. It ensures that no update is lost if a wait is abandoned.
#[derive(Debug, Default)]
pub(super) struct ConsumedUpdates(Mutex<BTreeMap<NodeId, u64>>);

impl ConsumedUpdates {
    fn by(&self, node: &NodeId) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    fn took(&self, node: &NodeId, count: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node.clone(), count);
    }
}

/// The kinds of requests by which a node receives updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeQuery {
    /// A lease renewal, which is always answered.
    Beat,
    /// A request for new updates, which is answered only if there are new updates.
    Call,
}

#[async_trait]
impl Membership for RedisStore {
    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let mut args = ScriptArgs::default();
        let mark = token();
        args.text(me.id.as_str()).text(&me.boot).text(&me.version).text(&self.lasts()).bytes(&mark);
        push_home(&mut args, me);
        args.text(&self.grace()).text(&self.node_settings);
        let mut reply = self.link.write(&REGISTER, NO_OP, args.clone()).await?;
        let mut word = reply.word()?;
        if word == "empty" {
            self.create_namespace().await?;
            reply = self.link.write(&REGISTER, NO_OP, args).await?;
            word = reply.word()?;
        }
        match word.as_str() {
            "ok" => {
                let epoch = Epoch(reply.number()?);
                // Reject the epoch of another registration: with that epoch, the node would later consider itself
                // replaced.
                if reply.bytes()? != mark {
                    return Err(reply.strange("a registration returned the token of another registration"));
                }
                self.report_settings_mismatch(&mut reply)?;
                Ok(Lease { node: me.id.clone(), epoch })
            }
            "taken" => {
                let home = other_home(&mut reply)?;
                let heard = Duration::from_millis(reply.number()?);
                Err(StoreError::Refused(StoreRejection::NameTaken { node: me.id.clone(), home, heard }))
            }
            "held" => {
                let home = other_home(&mut reply)?;
                let open = reply.number()?;
                let free_in = reply.optional_signed()?.map(|free| Duration::from_millis(free.unsigned_abs()));
                Err(StoreError::Refused(StoreRejection::NameHeld {
                    node: me.id.clone(),
                    home,
                    open,
                    free_in,
                }))
            }
            other => Err(reply.strange(format!("the script `register` returned {other:?}"))),
        }
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let answered = self.calls(by, NodeQuery::Beat).await?;
        answered.map(|(calls, _)| calls).ok_or_else(|| corrupt("a lease renewal returned no answer"))
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let mut waiter = self.notifications.waiter();
        loop {
            waiter.open();
            if let Some(calls) = self.news(by).await? {
                return Ok(calls);
            }
            waiter.notified().await;
        }
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        let mut args = ScriptArgs::default();
        push_lease(&mut args, by);
        self.link.write(&LEAVE, NO_OP, args).await.map(drop)
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        let known = self.members().await?.into_iter();
        Ok(known.filter(|node| !node.has_left()).map(|node| node.facts).collect())
    }

    fn leases_expire(&self) -> bool {
        self.leases.is_some()
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        let mut args = ScriptArgs::default();
        let labels: Vec<&str> = offer.labels.iter().map(|label| label.as_str()).collect();
        push_lease(&mut args, by)
            .text(&labels.join("\n"))
            .text(offer.address.as_deref().unwrap_or_default())
            .text(&offer.roots.map(|roots| roots.to_string()).unwrap_or_default());
        let mut reply = self.link.write(&ANNOUNCE, NO_OP, args).await?;
        match reply.word()?.as_str() {
            "ok" => Ok(()),
            "fenced" => Err(StoreError::fenced(by)),
            other => Err(reply.strange(format!("the script `announce` returned {other:?}"))),
        }
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        let grace = self.leases.map(|leases| leases.grace);
        Ok(self.members().await?.into_iter().map(|node| node.known(grace)).collect())
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        let mut args = ScriptArgs::default();
        args.text(node.as_str()).text(if drain { "1" } else { "" });
        Ok(self.link.write(&DRAIN, NO_OP, args).await?.word()? == "ok")
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        let mut args = ScriptArgs::default();
        args.text(node.as_str()).text(&self.grace());
        match self.link.write(&FORGET, NO_OP, args).await?.word()?.as_str() {
            "ok" => Ok(ForgetOutcome::Forgotten),
            "alive" => Ok(ForgetOutcome::Alive),
            _ => Ok(ForgetOutcome::Unknown),
        }
    }
}

impl RedisStore {
    /// Returns updates that this node has not received yet. If there are none, immediately returns `None`.
    ///
    /// # Errors
    /// Returns the same errors as [`Membership::wait_for_updates`].
    pub async fn news(&self, by: &Lease) -> Result<Option<NodeUpdates>, StoreError> {
        if self.link.is_behind() {
            // Only the renewal of the lease detects a data loss, and the node must learn of it.
            return self.renew_lease(by).await.map(Some);
        }
        let Some((calls, count)) = self.calls(by, NodeQuery::Call).await? else { return Ok(None) };
        self.taken_in.took(&by.node, count);
        Ok(Some(calls))
    }

    /// Logs which nodes have settings that differ from the settings of this node.
    fn report_settings_mismatch(&self, others: &mut ScriptReply) -> Result<(), StoreError> {
        while !others.is_empty() {
            let (node, theirs) = (others.word()?, others.word()?);
            tracing::warn!(
                ours = self.node_settings,
                theirs,
                "node {node} uses other URL parameters than this node: use the same durability, lease and \
                grace in the URL of the store on all nodes"
            );
        }
        Ok(())
    }

    /// Returns the duration of a lease in milliseconds; empty if leases never expire.
    pub(super) fn lasts(&self) -> String {
        self.leases.map(|leases| leases.lease.as_millis().to_string()).unwrap_or_default()
    }

    fn grace(&self) -> String {
        self.leases.map(|leases| leases.grace.as_millis().to_string()).unwrap_or_default()
    }

    pub(super) fn push_times<'a>(&self, args: &'a mut ScriptArgs) -> &'a mut ScriptArgs {
        args.text(&self.lasts()).text(&self.grace())
    }

    /// Returns the updates for a node and their count. Returns `None` if the request asked only for new updates and
    /// there are none.
    async fn calls(&self, by: &Lease, question: NodeQuery) -> Result<Option<(NodeUpdates, u64)>, StoreError> {
        let mut args = ScriptArgs::default();
        self.push_times(push_lease(&mut args, by));
        let seen = self.taken_in.by(&by.node).map(|count| count.to_string()).unwrap_or_default();
        match question {
            NodeQuery::Beat => args.text("renew").text(""),
            NodeQuery::Call => args.text("wait").text(&seen),
        };
        let mut reply = self.link.read(&WAIT_FOR_UPDATES, args).await?;
        match reply.word()?.as_str() {
            "parked" if question == NodeQuery::Call => Ok(None),
            "fenced" => Err(StoreError::fenced(by)),
            "ok" => {
                let now = Timestamp(reply.signed()?);
                let lease_until = reply.optional_signed()?.map(Timestamp);
                let due = reply.optional_signed()?.map(Timestamp);
                let policy = PolicyVersion(reply.number()?);
                let count = reply.number()?;
                let pending_actions = ids(reply.list()?)?;
                let history = Some(self.link.tell(&mut reply)?).filter(|_| self.leases_expire());
                Ok(Some((NodeUpdates { now, lease_until, pending_actions, due, policy, history }, count)))
            }
            other => Err(reply.strange(format!("the script `wait_for_updates` returned {other:?}"))),
        }
    }

    /// Returns every registered node, ordered by name.
    pub(super) async fn members(&self) -> Result<Vec<RegisteredRow>, StoreError> {
        let mut reply = self.link.read(&NODES, ScriptArgs::default()).await?;
        let now = Timestamp(reply.signed()?);
        let mut members = Vec::with_capacity(reply.len());
        while !reply.is_empty() {
            let mut row = reply.list()?;
            let node = row.word()?;
            match RegisteredRow::read(now, &node, &mut row) {
                Ok(member) => members.push(member),
                Err(error) => self.named.name(&about(format_args!("node {node:?}"), AT_REGISTRATION, error)),
            }
        }
        members.sort_by(|a, b| a.facts.id.cmp(&b.facts.id));
        Ok(members)
    }
}

/// After a refused registration, decodes the other state directory that owns the node name.
fn other_home(reply: &mut ScriptReply) -> Result<Box<NodeHome>, StoreError> {
    read_home(reply)?
        .map(Box::new)
        .ok_or_else(|| reply.strange("a registration was refused without naming the other state directory"))
}
