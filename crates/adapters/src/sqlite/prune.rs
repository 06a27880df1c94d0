//! Deletes old records.

use super::answers::OpReplies;
use super::failure::StepAbort;
use super::label_index;
use super::row;
use super::submit::fingerprint;
use super::write_connection::WriteConnection;
use longhaul_domain::{ProcessId, Retention, Timestamp};
use longhaul_ports::{PrunedBatch, StoreError};
use rusqlite::params;

/// Maximum number of tombstones to keep. A tombstone prevents a repeated launch from starting a pruned process again.
const MAX_TOMBSTONES: i64 = 100_000;
/// Maximum number of replies that are stored for a pruned process, so that a repeated operation gets the same reply.
const MAX_PRUNED_REPLIES: usize = 4;
/// If this number of events was logged since a key was last served, the key counts as never served.
const MAX_UNSERVED_EVENTS: i64 = 40_000;

impl WriteConnection {
    pub(super) fn prune(&mut self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StepAbort> {
        let mut pruned = PrunedBatch::default();
        for (seq, id) in self.covered(rule, limit.saturating_add(1))? {
            if row::count(pruned.ids.len()) >= limit {
                pruned.more = true;
                break;
            }
            self.forget(seq, id)?;
            pruned.ids.push(id);
        }
        self.sql("DELETE FROM tombstone WHERE no <= (SELECT max(no) FROM tombstone) - ?1")?
            .execute([MAX_TOMBSTONES])?;
        let forgotten = self
            .sql("DELETE FROM served WHERE at <= (SELECT max(at) FROM served) - ?1")?
            .execute([MAX_UNSERVED_EVENTS])?;
        if forgotten > 0 {
            self.lines.forget();
        }
        pruned.total = self
            .sql("SELECT coalesce(max(no), 0) FROM tombstone")?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(row::uint)?;
        Ok(pruned)
    }

    /// Returns the oldest ended records that the retention rule allows to delete.
    fn covered(&self, rule: &Retention, limit: u32) -> Result<Vec<(i64, ProcessId)>, StepAbort> {
        let now = self.now();
        let ended: i64 = self
            .sql("SELECT count(*) FROM process WHERE completed_at IS NOT NULL")?
            .query_row([], |row| row.get(0))?;
        let mut newer = row::uint(ended);
        let mut statement = self.sql(
            "SELECT seq, id, completed_at,
                due IS NOT NULL OR (
                    action_seq > 0 AND EXISTS (SELECT 1 FROM pending_action a WHERE a.seq = process.seq)
                )
            FROM process WHERE completed_at IS NOT NULL ORDER BY completed_at, seq",
        )?;
        let mut rows = statement.query([])?;
        let mut covered = Vec::new();
        while let Some(row) = rows.next()?.filter(|_| row::count(covered.len()) < limit) {
            newer = newer.saturating_sub(1);
            if !rule.is_due_for_pruning(now, Timestamp(row.get(2)?), newer) {
                break;
            }
            // Keep a process that has pending actions or unfinished work.
            if !row.get::<_, bool>(3)? {
                covered.push((row.get(0)?, row::id(row.get(1)?)));
            }
        }
        Ok(covered)
    }

    fn forget(&self, seq: i64, id: ProcessId) -> Result<(), StepAbort> {
        let stored = row::by_seq(&self.connection, seq)?.ok_or(StoreError::Missing { id })?;
        let answers: Vec<u8> =
            self.sql("SELECT answers FROM process WHERE seq = ?1")?.query_row([seq], |row| row.get(0))?;
        let mut answers = OpReplies::new(answers);
        answers.keep(MAX_PRUNED_REPLIES);
        label_index::remove_labels(&self.connection, seq)?;
        // Ensure that the sequence number is never used again, in whatever order records are deleted.
        self.sql("UPDATE meta SET last_seq = ?1 WHERE last_seq < ?1")?.execute([seq])?;
        for sql in [
            "DELETE FROM process WHERE seq = ?1",
            "DELETE FROM spec WHERE seq = ?1",
            "DELETE FROM live_stats WHERE seq = ?1",
            "DELETE FROM pending_action WHERE seq = ?1",
        ] {
            self.sql(sql)?.execute([seq])?;
        }
        // Write the tombstone last. It fits into the space that the deletions have freed, so that even a full store can
        // be pruned.
        self.sql("INSERT OR REPLACE INTO tombstone (id, fingerprint, answers) VALUES (?1, ?2, ?3)")?
            .execute(params![id.as_uuid().as_bytes(), fingerprint(&stored.process.spec), answers.bytes()])?;
        Ok(())
    }
}
