//! Formats sessions as a table.

use super::grid::{Align, grid};
use super::moment::RenderTime;
use super::table::TableFormat;
use longhaul_view::clean_label;
use longhaul_wire::api::SessionListing;

const HEADS: [(&str, Align); 4] =
    [("SESSION", Align::Left), ("LIVE", Align::Right), ("ENDED", Align::Right), ("LAST LAUNCH", Align::Left)];

/// Formats the list of sessions.
pub(crate) fn sessions(listing: &SessionListing, look: TableFormat, now: RenderTime) -> String {
    let rows = listing.sessions.iter().map(|session| {
        let at = &session.last_queued_at;
        vec![
            clean_label(&session.session_id).into_owned(),
            session.live.to_string(),
            session.ended.to_string(),
            if look.face.terminal { now.ago(at) } else { clean_label(at).into_owned() },
        ]
    });
    grid(&HEADS, &rows.collect::<Vec<_>>(), look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleStream;
    use longhaul_wire::api::SessionView;

    #[test]
    fn table_of_sessions_shows_the_numbers_of_processes() {
        let session = |id: &str, live, at: &str| SessionView {
            session_id: id.to_owned(),
            live,
            ended: 12,
            last_queued_at: at.to_owned(),
        };
        let listing = SessionListing {
            sessions: vec![
                session("alice", 2, "2026-11-21T01:49:55.000Z"),
                session("bob\u{1b}[2J", 0, "2026-11-21T01:40:00.000Z"),
            ],
            ..SessionListing::default()
        };
        let look = |terminal| TableFormat {
            face: ConsoleStream { terminal, colour: false },
            wide: false,
            unicode: true,
            width: 120,
        };
        let now = RenderTime::parse("2026-11-21T01:50:00.000Z", true);
        let table = sessions(&listing, look(true), now);
        assert!(
            table.contains("alice") && table.contains("5s ago") && !table.contains('\u{1b}'),
            "{table:?}"
        );
        let plain = sessions(&listing, look(false), now);
        assert!(plain.contains("alice\t2\t12\t2026-11-21T01:49:55.000Z\n"), "{plain:?}");
    }
}
