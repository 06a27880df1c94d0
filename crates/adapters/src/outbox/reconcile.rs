//! Comparing what is kept with what the store has, and giving back what it lost.

use super::{Outboxed, row};
use longhaul_domain::ProcessId;
use longhaul_ports::{Footing, History, Lease, Marks, Reconciled, Restored, StoreError, Stored};

/// So many processes are compared in one question.
const COMPARED: usize = 500;
/// So many records are given back in one step, each of which may be large.
const GIVEN: usize = 16;

/// What a comparison came to.
#[derive(Debug, Default)]
struct Compared {
    /// The store has not come as far with them, in the order in which they are given back.
    behind: Vec<(ProcessId, Behind)>,
    /// The store has them further.
    newer: Vec<ProcessId>,
    /// They were let go.
    swept: Vec<ProcessId>,
}

/// How a store is behind with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// It does not know it.
    Missing,
    /// It has it earlier, or as it was given back: what was given counts as far as it had come when it was given.
    Earlier,
}

impl Outboxed {
    pub(super) async fn compare(&self, by: &Lease) -> Result<Reconciled, StoreError> {
        let now = self.clock.now();
        self.keep(|shelf| {
            shelf.is_mine(by);
            shelf.outdated(now)
        });
        let alone = self.look(|shelf| shelf.alone());
        let mut history = self.inner.history().await?;
        let before = self.look(|shelf| shelf.mark().clone());
        let mut went_back = before.history.is_some_and(|earlier| !history.continues(&earlier));
        let compared = self.compare_all(self.look(|shelf| shelf.accepted())).await?;
        let mut lost = self.lost(compared.behind).await?;
        lost.extend(self.settle_doubts(went_back).await?);
        let (version, _) = self.inner.policy().await?;
        let has_old_policy = before.policy.as_ref().is_some_and(|(known, _)| *known > version);
        if went_back || has_old_policy || !lost.is_empty() || history.end < before.end {
            let marks = Marks { end: before.end, seq: before.seq, policy: before.policy };
            self.inner.raise(&marks).await?;
            // That others have to notice what was lost is no news here.
            history = self.inner.history().await?;
        }
        self.keep(|shelf| compared.swept.iter().filter_map(|id| shelf.let_go(id)).collect());
        let given_back = self.give_back(by, &lost).await?;
        // What this node had accepted alone the store never had.
        went_back |= given_back.iter().any(|id| !alone.contains(id));
        self.relearn(&compared.newer).await?;
        self.mind_drain(by, went_back, before.draining).await?;
        self.caught_up(&history).await?;
        Ok(Reconciled { went_back, given_back })
    }

    async fn compare_all(&self, ids: Vec<ProcessId>) -> Result<Compared, StoreError> {
        let mut compared = Compared::default();
        for ids in ids.chunks(COMPARED) {
            let footings = self.inner.footings(ids).await?;
            for (id, footing) in ids.iter().copied().zip(footings) {
                // What was let go of meanwhile is nobody's to compare.
                let known = self.look(|shelf| Some((shelf.revision_of(&id)?, shelf.is_alone(&id))));
                let Some((kept, is_alone)) = known else { continue };
                match footing {
                    Footing::Missing => compared.behind.push((id, Behind::Missing)),
                    Footing::Swept => compared.swept.push(id),
                    Footing::At(there) if there < kept => compared.behind.push((id, Behind::Earlier)),
                    // What was given to it without an answer is its own too.
                    Footing::At(there) if there > kept || is_alone => compared.newer.push(id),
                    Footing::At(_) => {}
                    Footing::Damaged => {
                        tracing::warn!(%id, "what the store has of it is damaged and cannot be compared");
                    }
                }
            }
        }
        Ok(compared)
    }

    /// Of those that the store is behind with, the ones that are not there as this node knows them.
    async fn lost(&self, behind: Vec<(ProcessId, Behind)>) -> Result<Vec<ProcessId>, StoreError> {
        let mut lost = Vec::with_capacity(behind.len());
        for behind in behind.chunks(COMPARED) {
            let ids: Vec<ProcessId> = behind.iter().map(|(id, _)| *id).collect();
            let earlier = behind.iter().any(|(_, how)| *how == Behind::Earlier);
            let there = if earlier {
                self.inner.load_each(&ids).await?
            } else {
                ids.iter().map(|_| Ok(None)).collect()
            };
            let kept = self.kept(&ids).await?;
            for (there, kept) in there.into_iter().zip(kept) {
                // What is damaged there is left alone.
                let (Ok(there), Some(kept)) = (there, kept) else { continue };
                let is_there = there
                    .as_ref()
                    .is_some_and(|there| there.revision >= kept.revision && there.process == kept.process);
                if !is_there {
                    lost.push(kept.process.id);
                }
            }
        }
        Ok(lost)
    }

    /// Finds out about launches without an answer. One that a store has lost which was heard of before is given back, since
    /// whoever asked for it may have been told that it was accepted; one that never came there is not.
    async fn settle_doubts(&self, went_back: bool) -> Result<Vec<ProcessId>, StoreError> {
        let mut lost = Vec::new();
        for ids in self.look(|shelf| shelf.doubtful()).chunks(COMPARED) {
            for (id, footing) in ids.iter().copied().zip(self.inner.footings(ids).await?) {
                match footing {
                    Footing::At(_) => self.relearn(&[id]).await?,
                    Footing::Damaged => {}
                    Footing::Missing if went_back => lost.push(id),
                    Footing::Missing | Footing::Swept => {
                        self.keep(|shelf| {
                            let gone = if shelf.is_doubtful(&id) { shelf.let_go(&id) } else { None };
                            gone.into_iter().collect()
                        });
                    }
                }
            }
        }
        Ok(lost)
    }

    async fn give_back(&self, by: &Lease, lost: &[ProcessId]) -> Result<Vec<ProcessId>, StoreError> {
        let mut given_back = Vec::new();
        for ids in lost.chunks(GIVEN) {
            let _turn = self.giving.lock().await;
            let kept: Vec<Stored> = self.kept(ids).await?.into_iter().flatten().collect();
            let answers = self.inner.restore(by, &kept).await?;
            let mut again = Vec::new();
            for (kept, answer) in kept.iter().zip(answers) {
                let id = kept.process.id;
                match answer {
                    Restored::Given(_) => {
                        given_back.push(id);
                        again.push(id);
                    }
                    Restored::Known(_) => again.push(id),
                    Restored::Swept => self.keep(|shelf| shelf.let_go(&id).into_iter().collect()),
                }
            }
            self.relearn(&again).await?;
        }
        Ok(given_back)
    }

    /// Takes over what the store has, whatever was known before.
    async fn relearn(&self, ids: &[ProcessId]) -> Result<(), StoreError> {
        for ids in ids.chunks(COMPARED) {
            let there = self.inner.load_each(ids).await?;
            let now = self.clock.now();
            self.keep(|shelf| {
                there.iter().flatten().flatten().flat_map(|stored| shelf.corrected(now, stored)).collect()
            });
        }
        Ok(())
    }

    /// Whether this node drains was said once and has to hold until somebody says otherwise.
    async fn mind_drain(&self, by: &Lease, went_back: bool, was_draining: bool) -> Result<(), StoreError> {
        let known = self.inner.known_nodes().await?;
        let Some(me) = known.into_iter().find(|node| node.facts.id == by.node) else { return Ok(()) };
        if went_back && was_draining != me.draining {
            self.inner.drain(&by.node, was_draining).await?;
            return Ok(());
        }
        self.look(|shelf| shelf.note_mark(&self.keeper, |mark| mark.draining = me.draining));
        Ok(())
    }

    /// From here on the store is measured by how far it has come now.
    async fn caught_up(&self, compared: &History) -> Result<(), StoreError> {
        let history = self.inner.history().await?;
        if history.continues(compared) {
            self.look(|shelf| {
                shelf.note_mark(&self.keeper, |mark| {
                    mark.end = mark.end.max(history.end);
                    mark.history = Some(history);
                });
            });
        }
        Ok(())
    }

    pub(super) async fn kept(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        let ids = ids.to_vec();
        self.keeper.ask(move |connection| ids.iter().map(|id| row::by_id(connection, id)).collect()).await
    }
}
