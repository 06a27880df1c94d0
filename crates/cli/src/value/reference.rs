//! Parses the names of processes, queues, nodes and other objects.

use super::BadValue;

/// Parses a reference to a process: an id, a prefix of an id, a name or `@last`.
pub(crate) fn reference(text: &str) -> Result<String, BadValue> {
    if text.trim().is_empty() {
        return Err(BadValue::new("the value is empty; use an id, a unique prefix, a name or @last"));
    }
    Ok(text.to_owned())
}

/// Parses a concurrency key or a key pattern. Refuses an empty text.
pub(crate) fn key(text: &str) -> Result<String, BadValue> {
    if text.trim().is_empty() {
        return Err(BadValue::new("the value is empty; use a key, such as cargo"));
    }
    Ok(text.to_owned())
}

/// Parses a name. Refuses an empty text.
pub(crate) fn word(text: &str) -> Result<String, BadValue> {
    if text.trim().is_empty() {
        return Err(BadValue::new("the value is empty; omit the option instead"));
    }
    Ok(text.to_owned())
}

/// Parses a node label, such as `gpu` or `gpu=a100`.
pub(crate) fn node_label(text: &str) -> Result<String, BadValue> {
    if text.is_empty() || text.starts_with('=') || text.contains(char::is_whitespace) {
        return Err(BadValue::new(
            "the value is not a label; use a label without spaces, such as gpu or gpu=a100",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_names_no_process() {
        assert!(reference("").is_err() && reference(" ").is_err());
        assert!(key("").is_err() && key("\t").is_err());
        assert!(word("").is_err() && word(" ").is_err());
        for none in ["", "=a100", "gpu a100", " gpu"] {
            assert!(node_label(none).is_err(), "{none:?}");
        }
        assert_eq!(node_label("gpu=a100").as_deref(), Ok("gpu=a100"));
        assert_eq!(key("claude-*").as_deref(), Ok("claude-*"));
        assert_eq!(reference("@last").as_deref(), Ok("@last"));
    }
}
