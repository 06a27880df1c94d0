//! Tables of the SQLite store, and the migrations from older versions.

/// Application id of SQLite databases that longhaul writes: the bytes "LHau".
pub(super) const APPLICATION: u32 = 0x4c48_6175;

/// Page size of a new database, in bytes. A commit writes whole pages, so small pages keep commits small. Even smaller
/// pages would make the B-trees deeper.
pub(super) const PAGE: u32 = 2_048;

/// Migrations. Entry N converts schema version N to version N + 1.
pub(super) const STEPS: [&str; 4] = [FIRST, SECOND, THIRD, FOURTH];

/// Schema version that this program writes. It is also the newest version that this program can read.
#[expect(clippy::cast_possible_truncation, reason = "a list of steps is short")]
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// Returns the names of the tables that every database of a schema version contains.
pub(super) const fn tables(version: u32) -> [&'static str; 9] {
    let (live_stats, actions) =
        if version < 4 { ("vitals", "wish") } else { ("live_stats", "pending_action") };
    ["process", "spec", live_stats, "event", actions, "node", "policy", "launch", "label"]
}

/// A commit writes every B-tree that it changes. There are therefore only a few tables and indexes.
///
/// The descriptions below use the present names. The migration `FOURTH` gives these names to the tables and columns.
/// - `slot_state`: 0 waiting, 1 holds a slot, 2 live without a slot, 3 ended.
/// - `key` is empty for a process without a queue. `child` is 0 for a root, else 1.
/// - `root` and `parent` are null for roots.
/// - `due` is set only if a process without an owner may need a decision at that time.
/// - `answers` contains the replies to the latest operations on the process.
/// - `spec` contains a large spec, so that a commit need not write the spec again.
/// - `label` finds old processes by their attributes. Processes after `meta.labelled_seq` are not in it yet.
/// - A sequence number is never used again: the next number is higher than the largest in `process` and than
///   `meta.last_seq`.
const FIRST: &str = "
CREATE TABLE process (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    revision INTEGER NOT NULL,
    standing INTEGER NOT NULL,
    closing INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    owner_node TEXT,
    owner_epoch INTEGER,
    key TEXT NOT NULL,
    class TEXT NOT NULL,
    child INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    due INTEGER,
    root BLOB,
    parent BLOB,
    level INTEGER NOT NULL,
    ancestors BLOB NOT NULL,
    session TEXT,
    project TEXT,
    name TEXT,
    kind TEXT NOT NULL,
    node TEXT,
    agent TEXT,
    queued_at INTEGER NOT NULL,
    completed_at INTEGER,
    wish_no INTEGER NOT NULL DEFAULT 0,
    answers BLOB NOT NULL DEFAULT x'',
    life TEXT NOT NULL,
    spec TEXT
);
CREATE UNIQUE INDEX by_id ON process (id);
CREATE INDEX live ON process (standing, key, class, child, priority DESC, seq, owner_node)
    WHERE standing < 3;
CREATE INDEX live_level ON process (root, level) WHERE root IS NOT NULL AND standing < 3;
CREATE INDEX due ON process (due) WHERE due IS NOT NULL AND owner_node IS NULL;
CREATE INDEX ended ON process (completed_at) WHERE completed_at IS NOT NULL;

CREATE TABLE label (what TEXT, value BLOB, seq INTEGER, PRIMARY KEY (what, value, seq)) WITHOUT ROWID;
CREATE VIEW labels (what, value, seq) AS
    SELECT 'key', key, seq FROM process WHERE key <> ''
    UNION ALL SELECT 'session', session, seq FROM process WHERE session IS NOT NULL
    UNION ALL SELECT 'project', project, seq FROM process WHERE project IS NOT NULL
    UNION ALL SELECT 'name', name, seq FROM process WHERE name IS NOT NULL
    UNION ALL SELECT 'agent', agent, seq FROM process WHERE agent IS NOT NULL
    UNION ALL SELECT 'node', node, seq FROM process WHERE node IS NOT NULL
    UNION ALL SELECT 'kind', kind, seq FROM process
    UNION ALL SELECT 'parent', parent, seq FROM process WHERE parent IS NOT NULL
    UNION ALL SELECT 'root', root, seq FROM process WHERE root IS NOT NULL;
CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), highest INTEGER NOT NULL, filed INTEGER NOT NULL);
INSERT INTO mark (one, highest, filed) VALUES (1, 0, 0);

CREATE TABLE spec (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE vitals (seq INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE event (
    cursor INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    revision INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE wish (seq INTEGER, no INTEGER, body TEXT NOT NULL, PRIMARY KEY (seq, no)) WITHOUT ROWID;
CREATE TABLE node (
    id TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    boot TEXT NOT NULL,
    version TEXT NOT NULL,
    gone INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE policy (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE launch (
    session TEXT, key TEXT, id BLOB NOT NULL, fingerprint INTEGER NOT NULL, PRIMARY KEY (session, key)
) WITHOUT ROWID;
CREATE TABLE served (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE swept (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, fingerprint INTEGER NOT NULL, answers BLOB NOT NULL
);
";

/// Adds indexes for rare records: unsuccessful endings, and descendants by their level.
const SECOND: &str = "
CREATE INDEX unwell ON process (status) WHERE standing = 3 AND status <> 'completed';
DROP VIEW labels;
CREATE VIEW labels (what, value, seq) AS
    SELECT 'key', key, seq FROM process WHERE key <> ''
    UNION ALL SELECT 'session', session, seq FROM process WHERE session IS NOT NULL
    UNION ALL SELECT 'project', project, seq FROM process WHERE project IS NOT NULL
    UNION ALL SELECT 'name', name, seq FROM process WHERE name IS NOT NULL
    UNION ALL SELECT 'agent', agent, seq FROM process WHERE agent IS NOT NULL
    UNION ALL SELECT 'node', node, seq FROM process WHERE node IS NOT NULL
    UNION ALL SELECT 'kind', kind, seq FROM process
    UNION ALL SELECT 'level', level, seq FROM process WHERE level > 0
    UNION ALL SELECT 'parent', parent, seq FROM process WHERE parent IS NOT NULL
    UNION ALL SELECT 'root', root, seq FROM process WHERE root IS NOT NULL;
INSERT INTO label (what, value, seq)
    SELECT 'level', level, seq FROM process, mark WHERE level > 0 AND seq <= filed ORDER BY level, seq;
";

/// Adds the state directory of each node: its identifier and its path.
const THIRD: &str = "
ALTER TABLE node ADD COLUMN home TEXT;
ALTER TABLE node ADD COLUMN place TEXT;
";

/// Renames tables and columns to the terms of the glossary. Indexes and views follow their columns.
const FOURTH: &str = "
ALTER TABLE wish RENAME TO pending_action;
ALTER TABLE vitals RENAME TO live_stats;
ALTER TABLE swept RENAME TO tombstone;
ALTER TABLE mark RENAME TO meta;
ALTER TABLE meta RENAME COLUMN highest TO last_seq;
ALTER TABLE meta RENAME COLUMN filed TO labelled_seq;
ALTER TABLE process RENAME COLUMN standing TO slot_state;
ALTER TABLE process RENAME COLUMN wish_no TO action_seq;
ALTER TABLE node RENAME COLUMN home TO state_dir_id;
ALTER TABLE node RENAME COLUMN place TO state_dir_path;
ALTER TABLE node RENAME COLUMN gone TO has_left;
DROP INDEX unwell;
CREATE INDEX ended_unsuccessful ON process (status) WHERE slot_state = 3 AND status <> 'completed';
";
