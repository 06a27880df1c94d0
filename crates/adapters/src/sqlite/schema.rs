//! The tables, and how older ones become these.

/// Says that a SQLite database is a store of ours: "LHau".
pub(super) const APPLICATION: u32 = 0x4c48_6175;

/// The size of a page of a new database, in bytes. A commit writes every page that it changes whole, so small ones keep
/// it small; the ones below this hold too few records for a tree to stay flat.
pub(super) const PAGE: u32 = 2_048;

/// Each step leads from its place in this list to the next version.
pub(super) const STEPS: [&str; 3] = [FIRST, SECOND, THIRD];

/// The version that is written here, and the newest that is read.
#[expect(clippy::cast_possible_truncation, reason = "a list of steps is short")]
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// Tables that every store of ours has.
pub(super) const TABLES: [&str; 9] =
    ["process", "spec", "vitals", "event", "wish", "node", "policy", "launch", "label"];

/// Every commit writes each tree that it changes, so there are few trees.
///
/// `standing`: 0 waits, 1 holds a slot, 2 idle, 3 ended. `key` is empty without one. `child` is 1 below a root.
/// `root` and `parent` are null for roots. `due` stands only where a row without owner may want a decision. `answers`
/// are what the latest writes were answered. A large `spec` has a table of its own, so that commits need not write it
/// again. `label` finds old processes by what they have in common; those after `mark.filed` are not in it yet. A seq is
/// never used again: it is the largest there is and `mark.highest` that goes on.
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

/// What is rare is found among many: a bad end, and whoever stands below another.
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

/// Which state directory a node works from: its identity, and where it was.
const THIRD: &str = "
ALTER TABLE node ADD COLUMN home TEXT;
ALTER TABLE node ADD COLUMN place TEXT;
";
