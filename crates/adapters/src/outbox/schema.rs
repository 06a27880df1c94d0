//! The tables of the file.

/// Says that a SQLite database is an outbox of ours: "LHou".
pub(super) const APPLICATION: u32 = 0x4c48_6f75;

/// The version that is written here, and the newest that is read.
pub(super) const VERSION: u32 = 1;

/// Tables that every outbox of ours has.
pub(super) const TABLES: [&str; 3] = ["kept", "asked", "mark"];

/// `stage`: 0 offered, 1 accepted. `ended_at` is when the end was acknowledged, by the clock of this machine. `pending_actions` has a
/// line for each. `reached` is where the log ended when the store was heard last, `cursor` the furthest that it ever did. What was asked for has a table of its own, so that what changes is written without it.
pub(super) const SCHEMA: &str = "
CREATE TABLE kept (
    id BLOB PRIMARY KEY,
    stage INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    owner_node TEXT,
    owner_epoch INTEGER,
    ended_at INTEGER,
    life TEXT NOT NULL,
    wishes TEXT NOT NULL,
    vitals TEXT
);
CREATE INDEX accepted ON kept (seq) WHERE stage = 1;
CREATE TABLE asked (id BLOB PRIMARY KEY, spec TEXT NOT NULL);
CREATE TABLE mark (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    place TEXT NOT NULL,
    founding TEXT,
    server TEXT,
    reached INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    policy_version INTEGER,
    policy TEXT,
    draining INTEGER NOT NULL
);
INSERT INTO mark (one, place, reached, cursor, seq, draining) VALUES (1, '', 0, 0, 0, 0);
";
