//! Orders for owners.

use super::bells::News;
use super::failure::Halt;
use super::ledger::Ledger;
use super::row;
use longhaul_domain::{OpId, ProcessId, Wish, WishNo};
use longhaul_ports::{Refusal, StoreError, most_wishes};
use longhaul_wire::record;
use rusqlite::params;

impl Ledger {
    pub(super) fn wish(&mut self, id: &ProcessId, op: OpId, wish: &Wish) -> Result<WishNo, Halt> {
        let Some(mut before) = row::before(&self.connection, id)? else {
            let answer = self.answered_before_the_sweep(id, op)?;
            return Ok(WishNo(row::uint(answer.ok_or(StoreError::Missing { id: *id })?)));
        };
        if let Some(no) = before.answers.to(op) {
            return Ok(WishNo(row::uint(no)));
        }
        let open: u32 = self
            .sql("SELECT count(*) FROM wish WHERE seq = ?1")?
            .query_row([before.seq], |row| row.get(0))?;
        if open >= most_wishes(wish) {
            return Err(Refusal::TooManyWishes.into());
        }
        let (no, queued_at): (i64, i64) = self
            .sql("SELECT wish_no + 1, queued_at FROM process WHERE seq = ?1")?
            .query_row([before.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        before.answers.remember(op, no);
        self.sql("UPDATE process SET wish_no = ?2, answers = ?3 WHERE seq = ?1")?.execute(params![
            before.seq,
            no,
            before.answers.bytes()
        ])?;
        self.sql("INSERT INTO wish (seq, no, body) VALUES (?1, ?2, ?3)")?.execute(params![
            before.seq,
            no,
            record::encode_wish(wish)
        ])?;
        match before.owner {
            Some(owner) => self.tell(News::For(owner.node)),
            None => self.tell_if_first_due(queued_at)?,
        }
        Ok(WishNo(row::uint(no)))
    }
}
