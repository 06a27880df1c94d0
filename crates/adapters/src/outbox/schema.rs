//! Tables of the outbox file.

/// Application id of SQLite files that are a longhaul outbox: the bytes "LHou".
pub(super) const APPLICATION: u32 = 0x4c48_6f75;

/// Schema version that this program reads and writes.
pub(super) const VERSION: u32 = 2;

/// Tables that every outbox has.
pub(super) const TABLES: [&str; 3] = ["record", "launch_spec", "meta"];

/// Statements that create the tables:
///
/// - `record`: records of this node that the shared store must not lose. `stage`: 0 offered, 1 accepted. `ended_at`:
///   time at which the end of the process was acknowledged, by the clock of this machine. `pending_actions`: one line
///   for each action.
/// - `launch_spec`: specs of these records, in a separate table because specs never change.
/// - `meta`: one row about the shared store. `store`: its address. `note_history`: last known position of its event
///   log. `cursor`: highest event position that was ever known.
pub(super) const SCHEMA: &str = "
CREATE TABLE record (
    id BLOB PRIMARY KEY,
    stage INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    owner_node TEXT,
    owner_epoch INTEGER,
    ended_at INTEGER,
    life TEXT NOT NULL,
    pending_actions TEXT NOT NULL,
    live_stats TEXT
);
CREATE INDEX accepted ON record (seq) WHERE stage = 1;
CREATE TABLE launch_spec (id BLOB PRIMARY KEY, spec TEXT NOT NULL);
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store TEXT NOT NULL,
    incarnation TEXT,
    server TEXT,
    reached INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    policy_version INTEGER,
    policy TEXT,
    draining INTEGER NOT NULL
);
INSERT INTO meta (one, store, reached, cursor, seq, draining) VALUES (1, '', 0, 0, 0, 0);
";
