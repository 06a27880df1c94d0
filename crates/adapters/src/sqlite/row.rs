//! Rows of the process table, with the data that belongs to them.

use super::answers::OpReplies;
use super::failure::{StepAbort, corrupt};
use super::label_index;
use crate::placement_class;
use longhaul_domain::{
    ActionSeq, AttemptNo, Epoch, LiveStats, PendingAction, Process, ProcessHeader, ProcessId, Revision, Seq,
    SlotState,
};
use longhaul_ports::{Lease, StoredProcess};
use longhaul_wire::record;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::str::FromStr;
use uuid::Uuid;

/// Maximum size in bytes of a launch spec that is stored in the row itself. A larger spec is stored in a separate
/// table.
const MAX_INLINE_SPEC_BYTES: usize = 1_024;

/// Selects the columns that [`stored`] reads. The caller appends conditions on `p`.
pub(super) const SELECT: &str = "
    SELECT p.seq, p.revision, p.owner_node, p.owner_epoch, p.life, coalesce(p.spec, s.body), l.body,
        p.action_seq > 0 AND EXISTS (SELECT 1 FROM pending_action a WHERE a.seq = p.seq), p.id
    FROM process p
    LEFT JOIN spec s ON p.spec IS NULL AND s.seq = p.seq
    LEFT JOIN live_stats l ON l.seq = p.seq AND l.attempt = p.attempt ";

/// Returns the record with this id.
pub(super) fn by_id(connection: &Connection, id: &ProcessId) -> Result<Option<StoredProcess>, StepAbort> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE p.id = ?1"))?;
    let mut rows = statement.query([id.as_uuid().as_bytes()])?;
    rows.next()?.map(|row| stored(connection, row)).transpose()
}

/// Returns the record with this sequence number of its submission.
pub(super) fn by_seq(connection: &Connection, seq: i64) -> Result<Option<StoredProcess>, StepAbort> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE p.seq = ?1"))?;
    let mut rows = statement.query([seq])?;
    rows.next()?.map(|row| stored(connection, row)).transpose()
}

/// Decodes a row that [`SELECT`] returned.
pub(super) fn stored(connection: &Connection, row: &Row<'_>) -> Result<StoredProcess, StepAbort> {
    let seq: i64 = row.get(0)?;
    let life = row.get_ref(4)?.as_str().map_err(unreadable)?;
    let spec = row.get_ref(5)?.as_str().map_err(unreadable)?;
    let live_stats = row.get_ref(6)?.as_str_or_null().map_err(unreadable)?;
    Ok(StoredProcess {
        process: record::decode(spec, life)?,
        revision: Revision(uint(row.get(1)?)),
        seq: Seq(uint(seq)),
        owner: owner(row.get(2)?, row.get(3)?)?,
        pending_actions: if row.get(7)? { pending_actions(connection, seq)? } else { Vec::new() },
        live_stats: live_stats.map_or(Ok(LiveStats::default()), record::decode_live_stats)?,
    })
}

pub(super) fn owner(node: Option<String>, epoch: Option<i64>) -> Result<Option<Lease>, StepAbort> {
    let (Some(node), Some(epoch)) = (node, epoch) else {
        return Ok(None);
    };
    Ok(Some(Lease { node: name(&node)?, epoch: Epoch(uint(epoch)) }))
}

fn pending_actions(connection: &Connection, seq: i64) -> Result<Vec<(ActionSeq, PendingAction)>, StepAbort> {
    let mut statement =
        connection.prepare_cached("SELECT no, body FROM pending_action WHERE seq = ?1 ORDER BY no")?;
    let mut rows = statement.query([seq])?;
    let mut pending_actions = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        pending_actions.push((ActionSeq(uint(row.get(0)?)), record::decode_pending_action(&body)?));
    }
    Ok(pending_actions)
}

/// Inserts a new process.
pub(super) fn insert(
    connection: &Connection,
    process: &Process,
    spec: &str,
    revision: Revision,
    owner: Option<&Lease>,
) -> Result<Seq, StepAbort> {
    let head = process.head();
    let root = head.ancestors.first().map(|root| *root.as_uuid().as_bytes());
    let parent = head.ancestors.last().map(|parent| *parent.as_uuid().as_bytes());
    let inline = spec.len() <= MAX_INLINE_SPEC_BYTES;
    let seq: i64 = connection
        .prepare_cached(
            "INSERT INTO process (seq, id, revision, slot_state, closing, status, attempt, key, class, child, priority,
                due, root, parent, level, ancestors, session, project, name, kind, node, agent, queued_at,
                completed_at, life, owner_node, owner_epoch, spec)
            VALUES ((SELECT 1 + max(coalesce((SELECT max(seq) FROM process), 0), last_seq) FROM meta), ?1, ?2, ?3, ?4,
                ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                ?23, ?24, ?25, ?26, ?27)
            RETURNING seq",
        )?
        .query_row(params![
            process.id.as_uuid().as_bytes(),
            int(revision.0),
            slot_state(head.slot_state),
            head.closing,
            head.status.as_str(),
            head.attempt.0,
            key(&head),
            placement_class::of_placement(&process.spec.placement),
            !head.ancestors.is_empty(),
            head.priority.value(),
            head.due.map(|due| due.0),
            root,
            parent,
            head.level.0,
            joined(&head.ancestors),
            head.session.as_ref().map(|name| name.as_str()),
            head.project.as_ref().map(|name| name.as_str()),
            head.name.as_ref().map(|name| name.as_str()),
            head.kind.to_string(),
            head.node.as_ref().map(|name| name.as_str()),
            head.agent.as_ref().map(|name| name.as_str()),
            head.queued_at.0,
            head.completed_at.map(|at| at.0),
            record::encode_life(process),
            owner.map(|lease| lease.node.as_str()),
            owner.map(|lease| int(lease.epoch.0)),
            inline.then_some(spec),
        ], |row| row.get(0))?;
    if !inline {
        connection
            .prepare_cached("INSERT INTO spec (seq, body) VALUES (?1, ?2)")?
            .execute(params![seq, spec])?;
    }
    Ok(Seq(uint(seq)))
}

/// Columns of a row that are needed to check a change.
#[derive(Debug)]
pub(super) struct CurrentRow {
    pub(super) seq: i64,
    pub(super) revision: Revision,
    pub(super) owner: Option<Lease>,
    pub(super) attempt: AttemptNo,
    pub(super) node: Option<String>,
    pub(super) due: Option<i64>,
    pub(super) slot_state: i64,
    pub(super) priority: i64,
    /// True if an action was ever queued for the process.
    pub(super) has_pending_actions: bool,
    pub(super) answers: OpReplies,
}

pub(super) fn before(connection: &Connection, id: &ProcessId) -> Result<Option<CurrentRow>, StepAbort> {
    let found = connection
        .prepare_cached(
            "SELECT seq, revision, owner_node, owner_epoch, attempt, node, due, slot_state, answers, priority,
                action_seq > 0
            FROM process WHERE id = ?1",
        )?
        .query_row([id.as_uuid().as_bytes()], |row| {
            let owner = (row.get(2)?, row.get(3)?);
            let before = CurrentRow {
                seq: row.get(0)?,
                revision: Revision(uint(row.get(1)?)),
                owner: None,
                attempt: AttemptNo(row.get(4)?),
                node: row.get(5)?,
                due: row.get(6)?,
                slot_state: row.get(7)?,
                answers: OpReplies::new(row.get(8)?),
                priority: row.get(9)?,
                has_pending_actions: row.get(10)?,
            };
            Ok((before, owner))
        })
        .optional()?;
    let Some((before, (node, epoch))) = found else {
        return Ok(None);
    };
    Ok(Some(CurrentRow { owner: owner(node, epoch)?, ..before }))
}

/// Writes the changed columns and the reply. Updates an index only if one of its columns has changed.
pub(super) fn update(
    connection: &Connection,
    before: &CurrentRow,
    process: &Process,
    revision: Revision,
    owner: Option<&Lease>,
) -> Result<(), StepAbort> {
    let head = process.head();
    let life = record::encode_life(process);
    let node = head.node.as_ref().map(|node| node.as_str());
    label_index::moved(connection, before.seq, before.node.as_deref(), node)?;
    let unmoved = before.slot_state == slot_state(head.slot_state)
        && before.priority == i64::from(head.priority.value())
        && before.due == head.due.map(|due| due.0)
        && before.owner.as_ref() == owner;
    if unmoved {
        connection
            .prepare_cached(
                "UPDATE process SET revision = ?2, closing = ?3, status = ?4, attempt = ?5, life = ?6, node = ?7,
                    answers = ?8
                WHERE seq = ?1",
            )?
            .execute(params![
                before.seq,
                int(revision.0),
                head.closing,
                head.status.as_str(),
                head.attempt.0,
                life,
                node,
                before.answers.bytes(),
            ])?;
        return Ok(());
    }
    connection
        .prepare_cached(
            "UPDATE process SET revision = ?2, closing = ?3, status = ?4, attempt = ?5, life = ?6, slot_state = ?7,
                due = ?8, node = ?9, owner_node = ?10, owner_epoch = ?11, completed_at = ?12, answers = ?13,
                priority = ?14
            WHERE seq = ?1",
        )?
        .execute(params![
            before.seq,
            int(revision.0),
            head.closing,
            head.status.as_str(),
            head.attempt.0,
            life,
            slot_state(head.slot_state),
            head.due.map(|due| due.0),
            node,
            owner.map(|lease| lease.node.as_str()),
            owner.map(|lease| int(lease.epoch.0)),
            head.completed_at.map(|at| at.0),
            before.answers.bytes(),
            head.priority.value(),
        ])?;
    Ok(())
}

/// Returns the column value of a slot state.
pub(super) const fn slot_state(slot_state: SlotState) -> i64 {
    match slot_state {
        SlotState::Waiting => 0,
        SlotState::Holding => 1,
        SlotState::Idle => 2,
        SlotState::Ended => 3,
    }
}

pub(super) fn key(head: &ProcessHeader) -> &str {
    head.key.as_ref().map_or("", |key| key.as_str())
}

pub(super) fn ids(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<ProcessId>, StepAbort> {
    let mut statement = connection.prepare_cached(sql)?;
    let ids = statement.query_map(params, |row| row.get(0).map(id))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn id(bytes: [u8; 16]) -> ProcessId {
    ProcessId::new(Uuid::from_bytes(bytes))
}

pub(super) fn joined(ids: &[ProcessId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_uuid().as_bytes()).collect()
}

/// Converts a counter to a column value. Counters never reach the maximum of `i64`.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn name<T: FromStr>(text: &str) -> Result<T, StepAbort> {
    text.parse().map_err(|_| StepAbort::Answer(corrupt("a column does not contain a valid name")))
}

pub(super) fn unreadable(error: rusqlite::types::FromSqlError) -> StepAbort {
    StepAbort::Answer(corrupt(error.to_string()))
}
