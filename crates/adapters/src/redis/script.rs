//! The Lua scripts. Each run of a script is one atomic step on the server.

use std::sync::OnceLock;

/// A script as it is sent to the server: the common parts, then its own lines. Each part is a nested function of the
/// previous one, because Lua accesses the locals of the direct parent function faster. The nesting saved a tenth of the
/// run time of a script.
#[derive(Debug)]
pub(super) struct LuaScript {
    pub(super) source: &'static str,
    /// Hash that the server assigned, known after the first load.
    hash: OnceLock<String>,
}

macro_rules! script {
    ($($part:literal),+) => {
        LuaScript {
            source: concat!(
                include_str!("lua/heads.lua"),
                "return (function()\n",
                include_str!("lua/news.lua"),
                "return (function()\n",
                include_str!("lua/waiters.lua"),
                "return (function()\n",
                include_str!("lua/places.lua"),
                "return (function()\n",
                $(include_str!(concat!("lua/", $part, ".lua")), "\n",)+
                "end)() end)() end)() end)()",
            ),
            hash: OnceLock::new(),
        }
    };
}

pub(super) static ATTENTION: LuaScript = script!("taking", "leases", "attention");
pub(super) static ANNOUNCE: LuaScript = script!("even_if_full", "announce");
pub(super) static METADATA: LuaScript = script!("books");
pub(super) static CALLED: LuaScript = script!("leases", "aside", "even_if_full", "called");
pub(super) static CLAIM: LuaScript = script!("taking", "claim");
pub(super) static CLASSES: LuaScript = script!("classes");
pub(super) static COMMIT: LuaScript = script!("even_if_full", "commit");
pub(super) static DRAIN: LuaScript = script!("even_if_full", "drain");
pub(super) static END: LuaScript = script!("end");
pub(super) static ENDED: LuaScript = script!("ended");
pub(super) static EVENTS: LuaScript = script!("events");
pub(super) static FOOTINGS: LuaScript = script!("given", "footings");
pub(super) static FORGET: LuaScript = script!("leases", "even_if_full", "forget");
pub(super) static ABANDON: LuaScript = script!("even_if_full", "give_up");
pub(super) static IS_DURABLE: LuaScript = script!("even_if_full", "kept");
pub(super) static KEY: LuaScript = script!("key");
pub(super) static LEAVE: LuaScript = script!("even_if_full", "leave");
pub(super) static LIST: LuaScript = script!("list");
pub(super) static LOAD: LuaScript = script!("load");
pub(super) static NODES: LuaScript = script!("nodes");
pub(super) static OPEN: LuaScript = script!("open");
pub(super) static POLICY: LuaScript = script!("policy");
pub(super) static QUEUES: LuaScript = script!("queues");
pub(super) static RAISE: LuaScript = script!("even_if_full", "raise");
pub(super) static REGISTER: LuaScript = script!("leases", "even_if_full", "register");
pub(super) static RESTORE: LuaScript = script!("given", "even_if_full", "restore");
pub(super) static SUBMIT: LuaScript = script!("taking", "submit");
pub(super) static PRUNE: LuaScript = script!("sweep");
pub(super) static TAIL: LuaScript = script!("tail");
pub(super) static TAIL_OF: LuaScript = script!("tail_of");
pub(super) static IMPORT: LuaScript = script!("take");
pub(super) static IMPORT_METADATA: LuaScript = script!("take_books");
pub(super) static IMPORT_EVENTS: LuaScript = script!("take_events");
pub(super) static TOUCH: LuaScript = script!("touch");
pub(super) static ENQUEUE_ACTION: LuaScript = script!("even_if_full", "wish");

/// All scripts. They are loaded when a store is opened, so that a script that the server rejects is noticed early.
pub(super) static ALL: &[&LuaScript] = &[
    &ANNOUNCE,
    &ATTENTION,
    &METADATA,
    &CALLED,
    &CLAIM,
    &CLASSES,
    &COMMIT,
    &DRAIN,
    &END,
    &ENDED,
    &EVENTS,
    &FOOTINGS,
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
    &RAISE,
    &REGISTER,
    &RESTORE,
    &SUBMIT,
    &PRUNE,
    &TAIL,
    &TAIL_OF,
    &IMPORT,
    &IMPORT_METADATA,
    &IMPORT_EVENTS,
    &TOUCH,
    &ENQUEUE_ACTION,
];

impl LuaScript {
    /// Returns the hash of the script, or `None` before the first load.
    pub(super) fn hash(&self) -> Option<&str> {
        self.hash.get().map(String::as_str)
    }

    pub(super) fn loaded(&self, hash: String) {
        // The hash depends only on the source, so a second value is always equal.
        let _ = self.hash.set(hash);
    }
}

/// Arguments of a script, after the time.
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

    /// Adds two empty arguments for a script that compares the reported history position, to skip that comparison.
    pub(super) fn told_nothing(mut self) -> Self {
        self.text("").text("");
        self
    }

    /// Appends all arguments of another list.
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}
