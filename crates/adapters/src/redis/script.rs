//! The Lua scripts. Each run of a script is one atomic step on the server.

use std::sync::OnceLock;

/// A script in the form that is sent to the server: the common parts, then the lines of the script itself. Each part is
/// a function that is nested in the previous part, because Lua accesses the local variables of the direct parent
/// function faster. The nesting reduced the run time of a script by a tenth.
#[derive(Debug)]
pub(super) struct LuaScript {
    pub(super) source: &'static str,
    /// Hash that the server assigned to the script. Set after the first load.
    hash: OnceLock<String>,
}

macro_rules! script {
    ($($part:literal),+) => {
        LuaScript {
            source: concat!(
                include_str!("lua/headers.lua"),
                "return (function()\n",
                include_str!("lua/updates.lua"),
                "return (function()\n",
                include_str!("lua/queues_of_key.lua"),
                "return (function()\n",
                include_str!("lua/indexes.lua"),
                "return (function()\n",
                $(include_str!(concat!("lua/", $part, ".lua")), "\n",)+
                "end)() end)() end)() end)()",
            ),
            hash: OnceLock::new(),
        }
    };
}

pub(super) static CLAIM_DUE: LuaScript = script!("lost_data_check", "leases", "claim_due");
pub(super) static ANNOUNCE: LuaScript = script!("oom_exempt", "announce");
pub(super) static METADATA: LuaScript = script!("metadata");
pub(super) static WAIT_FOR_UPDATES: LuaScript =
    script!("leases", "quarantine", "oom_exempt", "wait_for_updates");
pub(super) static CLAIM: LuaScript = script!("lost_data_check", "claim");
pub(super) static CLASSES: LuaScript = script!("classes");
pub(super) static COMMIT: LuaScript = script!("oom_exempt", "commit");
pub(super) static DRAIN: LuaScript = script!("oom_exempt", "drain");
pub(super) static END: LuaScript = script!("end");
pub(super) static ENDED: LuaScript = script!("ended");
pub(super) static EVENTS: LuaScript = script!("events");
pub(super) static RECORD_POSITIONS: LuaScript = script!("restored", "record_positions");
pub(super) static FORGET: LuaScript = script!("leases", "oom_exempt", "forget");
pub(super) static ABANDON: LuaScript = script!("oom_exempt", "abandon");
pub(super) static IS_DURABLE: LuaScript = script!("oom_exempt", "is_durable");
pub(super) static KEY: LuaScript = script!("key");
pub(super) static LEAVE: LuaScript = script!("oom_exempt", "leave");
pub(super) static LIST: LuaScript = script!("list");
pub(super) static LOAD: LuaScript = script!("load");
pub(super) static NODES: LuaScript = script!("nodes");
pub(super) static OPEN: LuaScript = script!("open");
pub(super) static POLICY: LuaScript = script!("policy");
pub(super) static QUEUES: LuaScript = script!("queues");
pub(super) static ADVANCE_MARKS: LuaScript = script!("oom_exempt", "advance_marks");
pub(super) static REGISTER: LuaScript = script!("leases", "oom_exempt", "register");
pub(super) static RESTORE: LuaScript = script!("restored", "oom_exempt", "restore");
pub(super) static SUBMIT: LuaScript = script!("lost_data_check", "submit");
pub(super) static PRUNE: LuaScript = script!("prune");
pub(super) static TAIL: LuaScript = script!("tail");
pub(super) static TAIL_OF: LuaScript = script!("tail_of");
pub(super) static IMPORT: LuaScript = script!("import");
pub(super) static IMPORT_METADATA: LuaScript = script!("import_metadata");
pub(super) static IMPORT_EVENTS: LuaScript = script!("import_events");
pub(super) static UPDATE_LIVE_STATS: LuaScript = script!("update_live_stats");
pub(super) static ENQUEUE_ACTION: LuaScript = script!("oom_exempt", "enqueue_action");

/// All scripts. They are loaded when a store is opened, so that a script that the server rejects is detected early.
pub(super) static ALL: &[&LuaScript] = &[
    &ANNOUNCE,
    &CLAIM_DUE,
    &METADATA,
    &WAIT_FOR_UPDATES,
    &CLAIM,
    &CLASSES,
    &COMMIT,
    &DRAIN,
    &END,
    &ENDED,
    &EVENTS,
    &RECORD_POSITIONS,
    &FORGET,
    &ABANDON,
    &IS_DURABLE,
    &KEY,
    &LEAVE,
    &LIST,
    &LOAD,
    &NODES,
    &OPEN,
    &POLICY,
    &QUEUES,
    &ADVANCE_MARKS,
    &REGISTER,
    &RESTORE,
    &SUBMIT,
    &PRUNE,
    &TAIL,
    &TAIL_OF,
    &IMPORT,
    &IMPORT_METADATA,
    &IMPORT_EVENTS,
    &UPDATE_LIVE_STATS,
    &ENQUEUE_ACTION,
];

impl LuaScript {
    /// Returns the hash of the script, or `None` before the first load.
    pub(super) fn hash(&self) -> Option<&str> {
        self.hash.get().map(String::as_str)
    }

    pub(super) fn loaded(&self, hash: String) {
        // An error is ignored: the hash depends only on the source, so a second value is always equal to the first.
        let _ = self.hash.set(hash);
    }
}

/// Arguments of a script. The time precedes them and is not included.
#[derive(Clone, Debug, Default)]
pub(super) struct ScriptArgs(Vec<Vec<u8>>);

impl ScriptArgs {
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.push(bytes.to_vec());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.text(&number.to_string())
    }

    pub(super) fn signed(&mut self, number: i64) -> &mut Self {
        self.text(&number.to_string())
    }

    /// Adds two empty arguments. They make a script skip the comparison with the reported history position.
    pub(super) fn without_seen_position(mut self) -> Self {
        self.text("").text("");
        self
    }

    /// Appends all arguments of another argument list.
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}
