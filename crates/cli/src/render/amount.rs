//! Formats durations and sizes for table cells.

/// Formats a duration in milliseconds with at most its two largest units, such as `2h 5m`.
pub(crate) fn length(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{millis}ms"),
        1..10 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..600 => two(minutes, "m", seconds % 60, "s"),
        600..3600 => format!("{minutes}m"),
        3600..86_400 => two(hours, "h", minutes % 60, "m"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// Formats the run time of an ended process, such as `after 5s`. `completed_at_precision` says how exact the end time
/// is. With `latest`, the process may have ended earlier. With `given_up`, the end time is unknown and the function
/// returns `None`.
pub(crate) fn after(millis: Option<u64>, completed_at_precision: Option<&str>) -> Option<String> {
    let length = length(millis?);
    match completed_at_precision {
        Some("latest") => Some(format!("after at most {length}")),
        Some("given_up") => None,
        _ => Some(format!("after {length}")),
    }
}

/// Formats a duration in milliseconds with its largest unit only.
pub(crate) fn rough(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Formats a size in bytes.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => {
            let tenths = count % size * 10 / size;
            let whole = count / size;
            if whole >= 10 || tenths == 0 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{tenths} {unit}")
            }
        }
        None => format!("{count} bytes"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit} {small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_234, "1.2s"),
            (48_900, "48s"),
            (60_000, "1m"),
            (125_000, "2m 5s"),
            (900_000, "15m"),
            (3_900_000, "1h 5m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(length(millis), text);
        }
        assert_eq!(
            (rough(59_000), rough(182_000), rough(7_200_000)),
            ("59s".into(), "3m".into(), "2h".into())
        );
    }

    #[test]
    fn an_unobserved_end_may_have_been_earlier() {
        for (is, text) in [
            (None, Some("after 2m 5s")),
            (Some("latest"), Some("after at most 2m 5s")),
            (Some("given_up"), None),
        ] {
            assert_eq!(after(Some(125_000), is).as_deref(), text);
        }
        assert_eq!(after(None, None), None);
    }

    #[test]
    fn amounts_are_short() {
        for (count, text) in [
            (0, "0 bytes"),
            (1_536, "1.5 KiB"),
            (12 << 20, "12 MiB"),
            (1 << 30, "1 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
