//! Converts between outbox records and table rows.

use super::failure::{OutboxError, corrupt};
use longhaul_domain::{
    ActionSeq, Epoch, LiveStats, PendingAction, Policy, PolicyVersion, Process, ProcessId, Revision, Seq,
    Timestamp,
};
use longhaul_ports::{EventCursor, History, Lease, StoredProcess};
use longhaul_wire::record;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::str::FromStr;
use uuid::Uuid;

/// Stage of a launch that is sent to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandoffStage {
    /// The launch was sent or is being sent to the store, and no answer has arrived.
    Offered,
    /// The store has acknowledged the launch, or the launch is local-only.
    Accepted,
}

/// The row to write for one process.
#[derive(Debug)]
pub(super) struct OutboxRow {
    pub(super) stage: HandoffStage,
    /// Record of the process. Its live stats are written only if `writes_live_stats` is true.
    pub(super) stored: StoredProcess,
    pub(super) writes_live_stats: bool,
    /// Time at which the store acknowledged the end of the process. `None` if the process is live.
    pub(super) ended_at: Option<Timestamp>,
    /// True if the launch spec has to be written too.
    pub(super) is_new: bool,
}

/// Columns of a row that can be read without decoding its record.
#[derive(Debug)]
pub(super) struct RowHeader {
    pub(super) id: ProcessId,
    pub(super) stage: HandoffStage,
    pub(super) revision: Revision,
    pub(super) seq: Seq,
    pub(super) owner: Option<Lease>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) pending_actions: Vec<(ActionSeq, PendingAction)>,
}

/// Metadata about the shared store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OutboxMeta {
    /// Address of the store.
    pub(super) address: String,
    /// The history that the store has reported most recently.
    pub(super) history: Option<History>,
    /// Highest event cursor that the store has reported.
    pub(super) end: EventCursor,
    /// Highest sequence number of a submission that the store has reported.
    pub(super) seq: Seq,
    /// The policy in force that the store has reported most recently, with its version.
    pub(super) policy: Option<(PolicyVersion, Policy)>,
    /// True if this node is draining and therefore claims no processes.
    pub(super) draining: bool,
}

const SELECT: &str = "
    SELECT record.seq, revision, owner_node, owner_epoch, spec, life, pending_actions, live_stats
    FROM record JOIN launch_spec USING (id) ";

pub(super) fn put(connection: &Connection, line: &OutboxRow) -> Result<(), OutboxError> {
    let stored = &line.stored;
    let id = stored.process.id.as_uuid().as_bytes();
    if line.is_new {
        let spec = record::encode_spec(&stored.process);
        connection
            .prepare_cached(
                "INSERT INTO launch_spec (id, spec) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET spec = ?2",
            )?
            .execute(params![id, spec])?;
    }
    let live_stats = line.writes_live_stats.then(|| record::encode_live_stats(&stored.live_stats));
    connection
        .prepare_cached(
            "INSERT INTO record (
                id, stage, revision, seq, owner_node, owner_epoch, ended_at, life, pending_actions, live_stats)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            ON CONFLICT DO UPDATE SET stage = ?2, revision = ?3, seq = ?4, owner_node = ?5, owner_epoch = ?6,
                ended_at = ?7, life = ?8, pending_actions = ?9,
                live_stats = coalesce(?10, live_stats)",
        )?
        .execute(params![
            id,
            stage(line.stage),
            int(stored.revision.0),
            int(stored.seq.0),
            stored.owner.as_ref().map(|lease| lease.node.as_str()),
            stored.owner.as_ref().map(|lease| int(lease.epoch.0)),
            line.ended_at.map(|at| at.0),
            record::encode_life(&stored.process),
            encode_pending_actions(&stored.pending_actions),
            live_stats,
        ])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: &ProcessId) -> Result<(), OutboxError> {
    let id = id.as_uuid().as_bytes();
    connection.prepare_cached("DELETE FROM record WHERE id = ?1")?.execute([id])?;
    connection.prepare_cached("DELETE FROM launch_spec WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Reads the columns of all rows that need no decoding.
pub(super) fn headings(connection: &Connection) -> Result<Vec<RowHeader>, OutboxError> {
    let sql =
        "SELECT id, stage, revision, seq, owner_node, owner_epoch, ended_at, pending_actions FROM record";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut headings = Vec::new();
    while let Some(row) = rows.next()? {
        headings.push(RowHeader {
            id: ProcessId::new(Uuid::from_bytes(row.get(0)?)),
            stage: if row.get::<_, i64>(1)? == 0 { HandoffStage::Offered } else { HandoffStage::Accepted },
            revision: Revision(uint(row.get(2)?)),
            seq: Seq(uint(row.get(3)?)),
            owner: owner(row.get(4)?, row.get(5)?)?,
            ended_at: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            pending_actions: decode_pending_actions(&row.get::<_, String>(7)?)?,
        });
    }
    Ok(headings)
}

/// Reads the record of one process.
pub(super) fn by_id(connection: &Connection, id: &ProcessId) -> Result<Option<StoredProcess>, OutboxError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    let mut rows = statement.query([id.as_uuid().as_bytes()])?;
    rows.next()?.map(stored).transpose()
}

/// Passes the accepted records to `take` in the order of their submission, newest or oldest first, until `take` returns
/// false.
pub(super) fn each_accepted(
    connection: &Connection,
    newest_first: bool,
    mut take: impl FnMut(StoredProcess) -> bool,
) -> Result<(), OutboxError> {
    let order = if newest_first { "DESC" } else { "ASC" };
    let sql = format!("{SELECT} WHERE stage = 1 ORDER BY record.seq {order}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !take(stored(row)?) {
            break;
        }
    }
    Ok(())
}

pub(super) fn mark(connection: &Connection) -> Result<OutboxMeta, OutboxError> {
    let sql =
        "SELECT store, incarnation, server, reached, cursor, seq, policy_version, policy, draining FROM meta";
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_row([], |row| {
        let server: Option<String> = row.get(2)?;
        let (incarnation, reached) = (row.get(1)?, EventCursor(uint(row.get(3)?)));
        let policy: (Option<i64>, Option<String>) = (row.get(6)?, row.get(7)?);
        let mark = OutboxMeta {
            address: row.get(0)?,
            history: server.map(|server| History { incarnation, server, end: reached }),
            end: EventCursor(uint(row.get(4)?)),
            seq: Seq(uint(row.get(5)?)),
            policy: None,
            draining: row.get(8)?,
        };
        Ok((mark, policy))
    });
    let Some((mark, policy)) = found.optional()? else {
        return Err(OutboxError::Answer(corrupt("the outbox does not name its store")));
    };
    let policy = match policy {
        (Some(version), Some(body)) => Some((PolicyVersion(uint(version)), record::decode_policy(&body)?)),
        (Some(_) | None, _) => None,
    };
    Ok(OutboxMeta { policy, ..mark })
}

pub(super) fn put_meta(connection: &Connection, mark: &OutboxMeta) -> Result<(), OutboxError> {
    connection
        .prepare_cached(
            "UPDATE meta SET store = ?1, incarnation = ?2, server = ?3, reached = ?4, cursor = ?5, seq = ?6,
                policy_version = ?7, policy = ?8, draining = ?9",
        )?
        .execute(params![
            mark.address,
            mark.history.as_ref().and_then(|history| history.incarnation.as_deref()),
            mark.history.as_ref().map(|history| history.server.as_str()),
            mark.history.as_ref().map_or(0, |history| int(history.end.0)),
            int(mark.end.0),
            int(mark.seq.0),
            mark.policy.as_ref().map(|(version, _)| int(version.0)),
            mark.policy.as_ref().map(|(_, policy)| record::encode_policy(policy)),
            mark.draining,
        ])?;
    Ok(())
}

fn stored(row: &Row<'_>) -> Result<StoredProcess, OutboxError> {
    let (spec, life): (String, String) = (row.get(4)?, row.get(5)?);
    let process: Process = record::decode(&spec, &life)?;
    let live_stats: Option<String> = row.get(7)?;
    Ok(StoredProcess {
        process,
        revision: Revision(uint(row.get(1)?)),
        seq: Seq(uint(row.get(0)?)),
        owner: owner(row.get(2)?, row.get(3)?)?,
        pending_actions: decode_pending_actions(&row.get::<_, String>(6)?)?,
        live_stats: live_stats.map_or(Ok(LiveStats::default()), |text| record::decode_live_stats(&text))?,
    })
}

fn owner(node: Option<String>, epoch: Option<i64>) -> Result<Option<Lease>, OutboxError> {
    let (Some(node), Some(epoch)) = (node, epoch) else {
        return Ok(None);
    };
    Ok(Some(Lease { node: name(&node)?, epoch: Epoch(uint(epoch)) }))
}

/// Encodes each pending action as one line that starts with the number of the action. An encoded action contains no
/// line break.
fn encode_pending_actions(pending_actions: &[(ActionSeq, PendingAction)]) -> String {
    pending_actions
        .iter()
        .map(|(no, action)| format!("{} {}\n", no.0, record::encode_pending_action(action)))
        .collect()
}

fn decode_pending_actions(text: &str) -> Result<Vec<(ActionSeq, PendingAction)>, OutboxError> {
    let action = |line: &str| {
        let (no, action) = line.split_once(' ').ok_or_else(|| unreadable("a pending action"))?;
        let no = no.parse().map_err(|_| unreadable("the number of a pending action"))?;
        Ok((ActionSeq(no), record::decode_pending_action(action)?))
    };
    text.lines().map(action).collect()
}

fn name<T: FromStr>(text: &str) -> Result<T, OutboxError> {
    text.parse().map_err(|_| unreadable("a name"))
}

fn unreadable(what: &str) -> OutboxError {
    OutboxError::Answer(corrupt(format!("the outbox contains {what} that cannot be read")))
}

const fn stage(stage: HandoffStage) -> i64 {
    match stage {
        HandoffStage::Offered => 0,
        HandoffStage::Accepted => 1,
    }
}

/// Converts a counter to a column value. Counters never reach the maximum of `i64`.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
