//! The tables, and how older ones become these.

/// Says that a SQLite database is a store of ours: "LHau".
pub(super) const APPLICATION: u32 = 0x4c48_6175;

/// Each step leads from its place in this list to the next version.
pub(super) const STEPS: [&str; 1] = [FIRST];

/// The version that is written here, and the newest that is read.
#[expect(clippy::cast_possible_truncation, reason = "a list of steps is short")]
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// Tables that every store of ours has.
pub(super) const TABLES: [&str; 9] =
    ["process", "spec", "vitals", "event", "wish", "op", "node", "policy", "launch"];

/// `standing`: 0 waits, 1 holds a slot, 2 idle, 3 ended. `key` is empty without one. `child` is 1 below a root.
/// `root` and `parent` are null for roots. `due` stands only where a row without owner may want a decision.
const FIRST: &str = "
CREATE TABLE process (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
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
    life TEXT NOT NULL
);
CREATE INDEX waiting ON process (key, class, child, priority DESC, seq) WHERE standing = 0;
CREATE INDEX holding ON process (key, seq) WHERE standing = 1;
CREATE INDEX owned ON process (owner_node, child, seq) WHERE owner_node IS NOT NULL;
CREATE INDEX due ON process (due, seq) WHERE due IS NOT NULL AND owner_node IS NULL;
CREATE INDEX live ON process (seq) WHERE standing < 3;
CREATE INDEX active ON process (seq) WHERE standing BETWEEN 1 AND 2;
CREATE INDEX live_level ON process (root, level) WHERE root IS NOT NULL AND standing < 3;
CREATE INDEX ended ON process (completed_at, seq) WHERE completed_at IS NOT NULL;
CREATE INDEX family ON process (root, seq) WHERE root IS NOT NULL;
CREATE INDEX children ON process (parent, seq) WHERE parent IS NOT NULL;
CREATE INDEX by_key ON process (key, seq) WHERE key <> '';
CREATE INDEX by_session ON process (session, seq) WHERE session IS NOT NULL;
CREATE INDEX by_project ON process (project, seq) WHERE project IS NOT NULL;
CREATE INDEX by_name ON process (name, seq) WHERE name IS NOT NULL;
CREATE INDEX by_agent ON process (agent, seq) WHERE agent IS NOT NULL;
CREATE INDEX by_node ON process (node, seq) WHERE node IS NOT NULL;

CREATE TABLE spec (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE vitals (seq INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE event (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    revision INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE wish (seq INTEGER, no INTEGER, body TEXT NOT NULL, PRIMARY KEY (seq, no)) WITHOUT ROWID;
CREATE TABLE op (seq INTEGER, no INTEGER, op BLOB NOT NULL, answer INTEGER NOT NULL, PRIMARY KEY (seq, no))
    WITHOUT ROWID;
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
CREATE INDEX served_at ON served (at);
CREATE TABLE swept (
    no INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL, fingerprint INTEGER NOT NULL
);
";
