//! Anchor of steady time in one boot, and its text form in the file `clock`.

use std::fmt::Write as _;
use std::io;

const FORM: &str = "longhaul-clock 1";

/// Milliseconds by which a new high-water mark is ahead of the current time.
pub(super) const MARK_AHEAD_MS: i64 = 10_000;

/// Anchor of steady time in one boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::system) struct ClockAnchor {
    /// Kernel's id of the boot for which the anchor is valid.
    pub(super) boot_id: String,
    /// Milliseconds to add to the boot-time clock to get steady time.
    pub(super) anchor_ms: i64,
    /// High-water mark in milliseconds: all steady times that were returned to callers are earlier.
    pub(super) mark_ms: i64,
}

impl ClockAnchor {
    /// Returns the stored anchor if it belongs to this boot. For a new boot, returns a new anchor under which steady
    /// time is not earlier than the stored high-water mark.
    pub(super) fn begin(kept: Option<Self>, boot_id: &str, wall_ms: i64, boot_ms: i64) -> Self {
        match kept {
            Some(kept) if kept.boot_id == boot_id => kept,
            Some(kept) => Self::at(boot_id, wall_ms.max(kept.mark_ms), boot_ms),
            None => Self::at(boot_id, wall_ms, boot_ms),
        }
    }

    pub(in crate::system) fn encode(&self) -> String {
        let mut text = format!("{FORM}\n");
        let _ = write!(text, "boot={}\nanchor={}\nmark={}\n", self.boot_id, self.anchor_ms, self.mark_ms);
        text
    }

    /// Parses the text of the file. An incomplete text is an error, because a new anchor could make steady time go
    /// back.
    pub(in crate::system) fn decode(text: &str) -> io::Result<Self> {
        let mut lines = text.lines();
        let mut next = |key: &str| match key {
            "" => lines.next(),
            key => lines.next()?.strip_prefix(key),
        };
        let read = || {
            (next("")? == FORM).then_some(())?;
            Some(Self {
                boot_id: next("boot=").filter(|id| !id.is_empty())?.to_owned(),
                anchor_ms: next("anchor=")?.parse().ok()?,
                mark_ms: next("mark=")?.parse().ok()?,
            })
        };
        let mut read = read;
        if !text.ends_with('\n') {
            return Err(damaged());
        }
        read().ok_or_else(damaged)
    }

    /// Creates an anchor for the present. If the wall clock is not set, the boot would be before 1970. In that case
    /// steady time is the time since the boot, because shims do not support negative times.
    fn at(boot_id: &str, wall_ms: i64, boot_ms: i64) -> Self {
        let now_ms = wall_ms.max(boot_ms);
        Self {
            boot_id: boot_id.to_owned(),
            anchor_ms: now_ms.saturating_sub(boot_ms),
            mark_ms: now_ms.saturating_add(MARK_AHEAD_MS),
        }
    }
}

fn damaged() -> io::Error {
    let why = "the file is damaged, or a later version of longhaul wrote it; if no other version wrote the file, \
        remove it";
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_wall_clock_does_not_change_steady_time_within_a_boot() {
        let first = ClockAnchor::begin(None, "a", 1_000_000, 500);
        assert_eq!(first.anchor_ms, 999_500);
        for wall in [0, 5_000_000] {
            assert_eq!(ClockAnchor::begin(Some(first.clone()), "a", wall, 700), first);
        }
    }

    #[test]
    fn steady_time_of_a_new_boot_starts_after_all_returned_times() {
        let first = ClockAnchor::begin(None, "a", 1_000_000, 500);
        let behind = ClockAnchor::begin(Some(first.clone()), "b", 3, 20);
        assert_eq!(behind.anchor_ms + 20, first.mark_ms);
        let ahead = ClockAnchor::begin(Some(first), "b", 2_000_000, 20);
        assert_eq!(ahead.anchor_ms + 20, 2_000_000);
    }

    #[test]
    fn steady_time_never_starts_before_1970() {
        for wall in [-864_000_000, 0, 699] {
            let unset = ClockAnchor::begin(None, "a", wall, 700);
            assert_eq!((unset.anchor_ms, unset.mark_ms), (0, 700 + MARK_AHEAD_MS), "{wall}");
        }
    }

    #[test]
    fn a_file_cut_at_any_byte_is_refused() {
        let anchor = ClockAnchor::begin(None, "a-b", 1_000_000, 500);
        let text = anchor.encode();
        assert_eq!(ClockAnchor::decode(&text).unwrap(), anchor);
        for cut in 0..text.len() {
            assert!(ClockAnchor::decode(&text[..cut]).is_err(), "{cut}");
        }
    }
}
