//! What has to be done for processes that nobody owns.

use super::ledger::{Ledger, Row, count};
use longhaul_domain::{ProcessId, Retention, Seq, Timestamp};
use longhaul_ports::{Lease, StoreError, Stored, Swept};
use std::time::Duration;

/// A row is handed to one engine for so long.
const HANDED_FOR: Duration = Duration::from_secs(5);

impl Ledger {
    pub(super) fn attention(
        &mut self,
        now: Timestamp,
        by: &Lease,
        most: u32,
    ) -> Result<Vec<Stored>, StoreError> {
        self.check(by)?;
        let mut due: Vec<(Timestamp, &mut Row)> = self
            .rows
            .values_mut()
            .filter(|row| row.handed_until.is_none_or(|until| until <= now))
            .filter_map(|row| Some((row.due().filter(|due| *due <= now)?, row)))
            .collect();
        due.sort_by_key(|(due, row)| (*due, row.stored.seq));
        due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(due
            .into_iter()
            .map(|(_, row)| {
                row.handed_until = Some(now.plus(HANDED_FOR));
                row.stored.clone()
            })
            .collect())
    }

    pub(super) fn sweep(&mut self, now: Timestamp, rule: &Retention, most: u32) -> Swept {
        let mut ended: Vec<(Timestamp, Seq, ProcessId)> = self
            .in_order()
            .filter_map(|stored| Some((stored.process.completed_at()?, stored.seq, stored.process.id)))
            .collect();
        ended.sort_unstable();
        let covered: Vec<(Seq, ProcessId)> = (0_u64..)
            .zip(ended.iter().rev())
            .filter(|(newer, (completed_at, ..))| rule.lets_go(now, *completed_at, *newer))
            .map(|(_, (_, seq, id))| (*seq, *id))
            .collect();
        let mut swept = Swept { ids: Vec::new(), more: count(covered.len()) > most };
        for (seq, id) in covered.into_iter().rev().take(usize::try_from(most).unwrap_or(usize::MAX)) {
            self.by_seq.remove(&seq);
            self.rows.remove(&id);
            swept.ids.push(id);
        }
        swept
    }
}
