//! Detects data loss in the namespace: a server that was emptied, restored from an old dump, or replaced.
//!
//! Every new connection first reads the history position of the namespace. If that position is older than the newest
//! position that was read before, recent writes of other nodes are missing. The running work of these nodes may then
//! look pending, and their leases may look expired. Until a lease renewal has reported the loss, this node takes over
//! no processes that may belong to other nodes. The engine then waits until every node has had time to restore its
//! records.

use longhaul_ports::{EventCursor, History};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest history position that this node has received from the namespace.
#[derive(Debug, Default)]
pub(super) struct HistoryGuard(Mutex<HistoryState>);

#[derive(Debug, Default)]
struct HistoryState {
    /// Newest history position that the server of the latest connection has reported, with the run id of that server.
    furthest: Option<History>,
    /// Number of times that a new connection detected a loss of data in the namespace.
    losses: u64,
    /// Number of detected losses that lease renewals have reported.
    reported: u64,
    /// Incarnation and event cursor of the latest lease renewal.
    last_report: Option<(String, EventCursor)>,
}

/// Error for a claim from a namespace that has lost data.
#[derive(Debug, thiserror::Error)]
#[error("the store has lost data: no process starts until all nodes have had time to restore their records")]
pub(super) struct StoreRegressed;

impl HistoryGuard {
    /// Compares the history position that a new connection has read with the newest one, and records a loss.
    pub(super) fn meets(&self, here: History) {
        let mut state = self.state();
        // If the namespace did not exist before, no data can be lost.
        let is_lost = |before: &History| {
            before.incarnation.is_some() && (!here.continues(before) || here.server != before.server)
        };
        if state.furthest.as_ref().is_some_and(is_lost) {
            state.losses += 1;
        }
        state.furthest = Some(here);
    }

    /// Records the history position from the answer to a request.
    pub(super) fn note_answer(&self, incarnation: Option<String>, end: EventCursor) -> History {
        self.state().takes_in(incarnation, end)
    }

    /// Records the history position from a lease renewal. The renewal also reports all earlier losses to the caller.
    pub(super) fn note_renewal(&self, incarnation: Option<String>, end: EventCursor) -> History {
        let mut state = self.state();
        state.reported = state.losses;
        state.last_report = incarnation.clone().map(|incarnation| (incarnation, end));
        state.takes_in(incarnation, end)
    }

    /// Returns the incarnation and the cursor after the newest event from the latest lease renewal. Returns `None`
    /// before the first renewal.
    pub(super) fn last_report(&self) -> Option<(String, EventCursor)> {
        self.state().last_report.clone()
    }

    /// Returns true if a lease renewal has yet to report a data loss.
    pub(super) fn is_unconfirmed(&self) -> bool {
        let state = self.state();
        state.reported < state.losses
    }

    fn state(&self) -> MutexGuard<'_, HistoryState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HistoryState {
    fn takes_in(&mut self, incarnation: Option<String>, end: EventCursor) -> History {
        let server = self.furthest.as_ref().map(|before| before.server.clone()).unwrap_or_default();
        let before = self.furthest.take().filter(|before| before.incarnation == incarnation);
        // Keep the later position, because answers may arrive out of order.
        let furthest = before.map_or(end, |before| before.end.max(end));
        self.furthest =
            Some(History { incarnation: incarnation.clone(), server: server.clone(), end: furthest });
        History { incarnation, server: format!("{server}/{}", self.losses), end }
    }
}

/// Encodes an incarnation id as hexadecimal text.
pub(super) fn spelled(mark: Vec<u8>) -> String {
    mark.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes the text that [`spelled`] wrote.
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
    fn a_loss_found_by_a_connection_stays_open_until_it_is_reported() {
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
            let before = past.note_renewal(Some("a".to_owned()), EventCursor(7));
            past.meets(here.clone());
            assert_eq!(past.is_unconfirmed(), is_lost, "{here:?}");
            let heard = past.note_answer(here.incarnation.clone(), EventCursor(100));
            assert_eq!(past.is_unconfirmed(), is_lost, "only a lease renewal reports the loss");
            assert_eq!(past.note_renewal(here.incarnation, EventCursor(100)).server, heard.server);
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
        past.note_answer(Some("a".to_owned()), EventCursor(7));
        past.note_answer(Some("a".to_owned()), EventCursor(5));
        past.meets(at("a", "", 6));
        assert!(past.is_unconfirmed());
    }
}
