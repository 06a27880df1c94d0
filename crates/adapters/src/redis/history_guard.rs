//! How far the namespace had come, by which a server is known that was emptied, restored or replaced.
//!
//! Each new connection is asked for it before anything else. If the namespace stands before what was heard of it, what
//! others did since is not known there: their work looks as if it waited, or as if they were gone. Nothing that may be
//! theirs is taken there until the answer to a sign of life told of it; whoever gives them knows to wait then until
//! all had the time to give back what is theirs.

use longhaul_ports::{EventCursor, History};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was heard of how far the namespace has come.
#[derive(Debug, Default)]
pub(super) struct HistoryGuard(Mutex<HistoryState>);

#[derive(Debug, Default)]
struct HistoryState {
    /// The furthest of what the server of the latest connection said; its server is what that calls itself.
    furthest: Option<History>,
    /// So many connections led to a namespace that had lost something.
    losses: u64,
    /// So many of them were told of.
    told: u64,
    /// How far it had come by the latest answer to a sign of life.
    told_last: Option<(String, EventCursor)>,
}

/// Why nothing is taken from a namespace that lost something.
#[derive(Debug, thiserror::Error)]
#[error("the store has lost data: no process starts until all nodes had time to restore their records")]
pub(super) struct StoreRegressed;

impl HistoryGuard {
    /// A new connection leads to a namespace that has come so far.
    pub(super) fn meets(&self, here: History) {
        let mut heard = self.heard();
        // Where nothing was founded yet there was nothing to lose.
        let is_lost = |before: &History| {
            before.incarnation.is_some() && (!here.continues(before) || here.server != before.server)
        };
        if heard.furthest.as_ref().is_some_and(is_lost) {
            heard.losses += 1;
        }
        heard.furthest = Some(here);
    }

    /// The namespace has come so far by the answer to a question.
    pub(super) fn hears(&self, incarnation: Option<String>, end: EventCursor) -> History {
        self.heard().takes_in(incarnation, end)
    }

    /// The same; whoever asked learns from it what was lost.
    pub(super) fn tells(&self, incarnation: Option<String>, end: EventCursor) -> History {
        let mut heard = self.heard();
        heard.told = heard.losses;
        heard.told_last = incarnation.clone().map(|incarnation| (incarnation, end));
        heard.takes_in(incarnation, end)
    }

    /// The mark of the founding and the place after the newest event by the latest answer to a sign of life; none before
    /// the first one.
    pub(super) fn told_last(&self) -> Option<(String, EventCursor)> {
        self.heard().told_last.clone()
    }

    /// Whether something was lost that nobody was told of yet.
    pub(super) fn is_unconfirmed(&self) -> bool {
        let heard = self.heard();
        heard.told < heard.losses
    }

    fn heard(&self) -> MutexGuard<'_, HistoryState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HistoryState {
    fn takes_in(&mut self, incarnation: Option<String>, end: EventCursor) -> History {
        let server = self.furthest.as_ref().map(|before| before.server.clone()).unwrap_or_default();
        let before = self.furthest.take().filter(|before| before.incarnation == incarnation);
        // Answers may overtake each other.
        let furthest = before.map_or(end, |before| before.end.max(end));
        self.furthest =
            Some(History { incarnation: incarnation.clone(), server: server.clone(), end: furthest });
        History { incarnation, server: format!("{server}/{}", self.losses), end }
    }
}

/// Writes the mark of the founding as text.
pub(super) fn spelled(mark: Vec<u8>) -> String {
    mark.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the mark that [`spelled`] wrote.
pub(super) fn unspelled(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(incarnation: &str, server: &str, end: u64) -> History {
        History {
            incarnation: Some(incarnation.to_owned()),
            server: server.to_owned(),
            end: EventCursor(end),
        }
    }

    #[test]
    fn what_a_connection_lost_is_untold_until_it_is_told() {
        for (here, is_lost) in [
            (at("a", "", 7), false),
            (at("a", "", 9), false),
            (at("a", "", 6), true),
            (at("b", "", 9), true),
            (at("a", "other", 9), true),
            (History { incarnation: None, ..at("", "", 0) }, true),
        ] {
            let past = HistoryGuard::default();
            past.meets(at("a", "", 3));
            let before = past.tells(Some("a".to_owned()), EventCursor(7));
            past.meets(here.clone());
            assert_eq!(past.is_unconfirmed(), is_lost, "{here:?}");
            let heard = past.hears(here.incarnation.clone(), EventCursor(100));
            assert_eq!(past.is_unconfirmed(), is_lost, "only who gives signs of life has to know");
            assert_eq!(past.tells(here.incarnation, EventCursor(100)).server, heard.server);
            assert_eq!((past.is_unconfirmed(), heard.server != before.server), (false, is_lost));
        }
    }

    #[test]
    fn a_namespace_that_was_not_founded_yet_loses_nothing() {
        let past = HistoryGuard::default();
        past.meets(History { incarnation: None, ..at("", "", 0) });
        past.meets(at("a", "other", 0));
        assert!(!past.is_unconfirmed());
    }

    #[test]
    fn an_answer_that_was_overtaken_takes_nothing_back() {
        let past = HistoryGuard::default();
        past.meets(at("a", "", 3));
        past.hears(Some("a".to_owned()), EventCursor(7));
        past.hears(Some("a".to_owned()), EventCursor(5));
        past.meets(at("a", "", 6));
        assert!(past.is_unconfirmed());
    }
}
