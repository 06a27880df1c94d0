//! The scripts, each of which is one atomic step in the server.

use std::sync::OnceLock;

/// A script as the server gets it: what all have in common, and its own lines. Each part is a function inside of the one
/// before: what a function refers to outside of the one that it stands in is found at once, and else along all that is
/// in use there, which made a tenth of what a script took.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) source: &'static str,
    /// What the server calls it, known once it was loaded.
    hash: OnceLock<String>,
}

macro_rules! script {
    ($($part:literal),+) => {
        Script {
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

pub(super) static ATTENTION: Script = script!("taking", "leases", "attention");
pub(super) static ANNOUNCE: Script = script!("even_if_full", "announce");
pub(super) static BOOKS: Script = script!("books");
pub(super) static CALLED: Script = script!("leases", "aside", "even_if_full", "called");
pub(super) static CLAIM: Script = script!("taking", "claim");
pub(super) static CLASSES: Script = script!("classes");
pub(super) static COMMIT: Script = script!("even_if_full", "commit");
pub(super) static DRAIN: Script = script!("even_if_full", "drain");
pub(super) static END: Script = script!("end");
pub(super) static ENDED: Script = script!("ended");
pub(super) static EVENTS: Script = script!("events");
pub(super) static FOOTINGS: Script = script!("given", "footings");
pub(super) static FORGET: Script = script!("leases", "even_if_full", "forget");
pub(super) static GIVE_UP: Script = script!("even_if_full", "give_up");
pub(super) static KEPT: Script = script!("even_if_full", "kept");
pub(super) static KEY: Script = script!("key");
pub(super) static LEAVE: Script = script!("even_if_full", "leave");
pub(super) static LIST: Script = script!("list");
pub(super) static LOAD: Script = script!("load");
pub(super) static NODES: Script = script!("nodes");
pub(super) static OPEN: Script = script!("open");
pub(super) static POLICY: Script = script!("policy");
pub(super) static QUEUES: Script = script!("queues");
pub(super) static RAISE: Script = script!("even_if_full", "raise");
pub(super) static REGISTER: Script = script!("leases", "even_if_full", "register");
pub(super) static RESTORE: Script = script!("given", "even_if_full", "restore");
pub(super) static SUBMIT: Script = script!("taking", "submit");
pub(super) static SWEEP: Script = script!("sweep");
pub(super) static TAIL: Script = script!("tail");
pub(super) static TAIL_OF: Script = script!("tail_of");
pub(super) static TAKE: Script = script!("take");
pub(super) static TAKE_BOOKS: Script = script!("take_books");
pub(super) static TAKE_EVENTS: Script = script!("take_events");
pub(super) static TOUCH: Script = script!("touch");
pub(super) static WISH: Script = script!("even_if_full", "wish");

/// Every script: each is loaded when a store is opened, so that one that the server does not take is noticed there.
pub(super) static ALL: &[&Script] = &[
    &ANNOUNCE,
    &ATTENTION,
    &BOOKS,
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
    &GIVE_UP,
    &KEPT,
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
    &SWEEP,
    &TAIL,
    &TAIL_OF,
    &TAKE,
    &TAKE_BOOKS,
    &TAKE_EVENTS,
    &TOUCH,
    &WISH,
];

impl Script {
    /// What the server calls it; none before it was loaded once.
    pub(super) fn hash(&self) -> Option<&str> {
        self.hash.get().map(String::as_str)
    }

    pub(super) fn loaded(&self, hash: String) {
        // The hash follows from the source, so that the first one is as good as any.
        let _ = self.hash.set(hash);
    }
}

/// What a script is given, after the time.
#[derive(Clone, Debug, Default)]
pub(super) struct Args(Vec<Vec<u8>>);

impl Args {
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

    /// For a script that compares what the caller was told, where that does not matter.
    pub(super) fn told_nothing(mut self) -> Self {
        self.text("").text("");
        self
    }

    /// All of another's after these.
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}
