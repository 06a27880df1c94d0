//! Records that a namespace lost and is given again.

use super::RedisStore;
use super::codec::{push_lease, refusal};
use super::failure::corrupt;
use super::membership::fenced;
use super::migrate::taken;
use super::process::NO_OP;
use super::script::{Args, FOOTINGS, RAISE, RESTORE};
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Revision};
use longhaul_ports::{Footing, History, Lease, Marks, Restore, Restored, StoreError, Stored};

/// So many bytes are sent in one step, so that nobody waits long for the server.
const LARGEST: usize = 256 * 1024;
/// So many are looked at in one step.
const LOOKED_AT: usize = 1_000;

#[async_trait]
impl Restore for RedisStore {
    async fn history(&self) -> Result<History, StoreError> {
        self.link.history().await
    }

    async fn footings(&self, ids: &[ProcessId]) -> Result<Vec<Footing>, StoreError> {
        let mut footings = Vec::with_capacity(ids.len());
        for some in ids.chunks(LOOKED_AT) {
            let mut args = Args::default();
            for id in some {
                args.bytes(id.as_uuid().as_bytes());
            }
            let mut reply = self.link.read(&FOOTINGS, args).await?;
            for _ in some {
                footings.push(footing(&reply.word()?)?);
            }
        }
        Ok(footings)
    }

    async fn raise(&self, marks: &Marks) -> Result<(), StoreError> {
        let args = || {
            let mut args = Args::default();
            args.number(marks.end.0).number(marks.seq.0);
            args
        };
        if self.link.write(&RAISE, NO_OP, args()).await?.word()? == "empty" {
            self.found_anew().await?;
            self.link.write(&RAISE, NO_OP, args()).await?;
        }
        match &marks.policy {
            Some((version, policy)) => self.raise_policy(*version, policy).await,
            None => Ok(()),
        }
    }

    async fn restore(&self, by: &Lease, kept: &[Stored]) -> Result<Vec<Restored>, StoreError> {
        let mut restored = Vec::with_capacity(kept.len());
        let (mut together, mut bytes) = (self.from(by), 0_usize);
        for stored in kept {
            let piece = taken(stored);
            bytes += piece.iter().map(<[u8]>::len).sum::<usize>();
            let epoch = stored.owner.as_ref().map_or(0, |owner| owner.epoch.0);
            together
                .number(epoch)
                .number(u64::try_from(piece.iter().count()).unwrap_or(u64::MAX))
                .append(piece);
            if bytes > LARGEST {
                let full = std::mem::replace(&mut together, self.from(by));
                self.give_back(by, full, &mut restored).await?;
                bytes = 0;
            }
        }
        self.give_back(by, together, &mut restored).await?;
        Ok(restored)
    }
}

impl RedisStore {
    fn from(&self, by: &Lease) -> Args {
        let mut args = Args::default();
        let until_lost = self.leases.map(|leases| leases.lease.saturating_add(leases.grace));
        push_lease(&mut args, by)
            .text(&self.lasts())
            .text(&until_lost.map(|until| until.as_millis().to_string()).unwrap_or_default());
        args
    }

    async fn give_back(
        &self,
        by: &Lease,
        args: Args,
        restored: &mut Vec<Restored>,
    ) -> Result<(), StoreError> {
        let mut reply = self.link.write(&RESTORE, NO_OP, args).await?;
        match reply.word()?.as_str() {
            "ok" => {}
            "fenced" => return Err(fenced(by)),
            word => return Err(refusal(word, &mut reply)),
        }
        while !reply.is_empty() {
            let what = reply.word()?;
            let at = Revision(reply.number()?);
            restored.push(match what.as_str() {
                "given" => Restored::Given(at),
                "known" => Restored::Known(at),
                "swept" => Restored::Swept,
                other => return Err(reply.strange(format!("what was given back was answered {other:?}"))),
            });
        }
        Ok(())
    }
}

fn footing(word: &str) -> Result<Footing, StoreError> {
    match word {
        "" => Ok(Footing::Missing),
        "-" => Ok(Footing::Swept),
        "!" => Ok(Footing::Damaged),
        rev => {
            rev.parse().map(|rev| Footing::At(Revision(rev))).map_err(|_| corrupt("a revision is no number"))
        }
    }
}
