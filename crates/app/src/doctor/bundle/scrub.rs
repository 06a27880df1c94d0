//! Removes secrets from a text.

/// Text that replaces a secret.
const GONE: &str = "***";
/// Minimum length in bytes of a known secret. A shorter secret is not searched for, because it would match in too many
/// places.
const MIN_SECRET_LEN: usize = 8;
/// Words that mark a name as the name of a secret if the name contains one of them.
const TELLING: [&str; 9] = [
    "token",
    "secret",
    "password",
    "passwd",
    "pass",
    "credential",
    "authorization",
    "api_key",
    "private_key",
];

/// Removes secrets from a text: known secrets, and parts that are likely to be secrets.
#[derive(Default)]
pub(super) struct Scrub {
    known: Vec<String>,
}

impl Scrub {
    /// Adds each line of a text to the known secrets. Short lines are ignored.
    pub(super) fn add_secrets(&mut self, text: &str) {
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= MIN_SECRET_LEN);
        self.known.extend(lines.map(str::to_owned));
    }

    /// Returns the text with all secrets replaced.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            clean.push_str(&self.of_line(line));
        }
        clean
    }

    fn of_line(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in &self.known {
            line = line.replace(secret, GONE);
        }
        without_values(&without_addresses(&line))
    }
}

/// Removes the user, password, path and query from `http` and `https` URLs. Removes the user and password from other
/// URLs.
fn without_addresses(line: &str) -> String {
    let mut clean = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at.saturating_add(3));
        clean.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'`<>,;)".contains(c)).unwrap_or(after.len());
        let (address, behind) = after.split_at(end);
        let (authority, path) = address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => clean.extend([GONE, "@", host]),
            None => clean.push_str(authority),
        }
        let of_the_web = before.ends_with("http://") || before.ends_with("https://");
        match path {
            "" | "/" => clean.push_str(path),
            _ if of_the_web => clean.extend(["/", GONE]),
            _ => clean.push_str(path),
        }
        rest = behind;
    }
    clean.push_str(rest);
    clean
}

/// Removes the values that follow names of secrets. A value extends to the end of its word, its quotes or its line.
fn without_values(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut clean = String::new();
    let mut from = 0;
    while let Some((begin, end)) = value_after(&lower, line, from) {
        clean.push_str(line.get(from..begin).unwrap_or_default());
        clean.push_str(GONE);
        from = end;
    }
    clean.push_str(line.get(from..).unwrap_or_default());
    clean
}

/// Returns the start and end offset of the next value that follows the name of a secret. Returns `None` if no further
/// name of a secret is followed by a value.
fn value_after(lower: &str, line: &str, from: usize) -> Option<(usize, usize)> {
    let mut search = from;
    loop {
        let rest = lower.get(search..)?;
        let (at, name) = TELLING
            .iter()
            .filter_map(|name| Some((rest.find(name)?, name)))
            .min_by_key(|(at, name)| (*at, usize::MAX - name.len()))?;
        let behind_name = search.checked_add(at)?.checked_add(name.len())?;
        let tail = line.get(behind_name..)?;
        // The name of a secret may have a suffix. Between the name and the value there may be quotes, spaces and a
        // separator.
        let word =
            tail.find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))).unwrap_or(tail.len());
        let after_word = tail.get(word..)?;
        let tied = after_word.trim_start_matches(['"', '\'', ' ']);
        let is_tied = tied.starts_with(['=', ':'])
            || (after_word.starts_with(' ') && is_flag(lower, search.checked_add(at)?));
        if !is_tied {
            search = behind_name;
            continue;
        }
        let value = tied.trim_start_matches(['=', ':', ' ']);
        let begin = line.len().checked_sub(value.len())?;
        let length = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = value.get(1..)?;
                inner.find(quote).map_or(value.trim_end().len(), |end| end.saturating_add(2))
            }
            // The value of an authorization header has a scheme such as Bearer before the secret, so the rest of the
            // line is removed.
            Some(_) if name == &"authorization" => value.trim_end_matches('\n').len(),
            Some(_) | None => {
                value.find(|c: char| c.is_whitespace() || "&,;}\"'".contains(c)).unwrap_or(value.len())
            }
        };
        return Some((begin, begin.checked_add(length)?));
    }
}

/// Returns true if the name at this offset is part of a command-line flag. The value of a flag is the next word.
fn is_flag(lower: &str, at: usize) -> bool {
    let before = lower.get(..at).unwrap_or_default();
    let word = before.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
    word.starts_with("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_a_secret_is_removed() {
        let clean = |line: &str| Scrub::default().apply(line);
        for (line, kept) in [
            ("store redis://user:hunter2@host/0?namespace=team", "store redis://***@host/0?namespace=team"),
            ("to \"https://hooks.example/T0/hunter2\" at 3", "to \"https://hooks.example/***\" at 3"),
            ("https://example.com/", "https://example.com/"),
            ("DB_PASSWORD=hunter2 next=1", "DB_PASSWORD=*** next=1"),
            ("{\"api_key\": \"hunter2\", \"n\": 1}", "{\"api_key\": ***, \"n\": 1}"),
            ("deploy --token hunter2 now", "deploy --token *** now"),
            ("deploy --auth-token=hunter2 now", "deploy --auth-token=*** now"),
            ("Authorization: Bearer hunter2\n", "Authorization: ***\n"),
            ("webhooks.ci.secret = 'hunter 2'", "webhooks.ci.secret = ***"),
            ("redis://h/0?pass=hunter2&lease=7", "redis://h/0?pass=***&lease=7"),
        ] {
            assert_eq!(clean(line), kept);
        }
    }

    #[test]
    fn text_without_secrets_is_kept() {
        for line in ["no token was given", "the secret of success", "3 passed", "a: 1, b = 2\nc", ""] {
            assert_eq!(Scrub::default().apply(line), line);
        }
    }

    #[test]
    fn known_secret_is_removed_everywhere() {
        let mut scrub = Scrub::default();
        scrub.add_secrets("0123456789abcdef\nab\n");
        assert_eq!(scrub.apply("x=0123456789abcdef, ab"), "x=***, ab");
    }

    #[test]
    fn any_text_is_taken_without_a_panic() {
        for text in ["pass=", "token:\u{2028}ü", "ä://ö@", "SECRET='", "--pass \u{130}token=ß", "://"] {
            let _ = Scrub::default().apply(text);
        }
    }
}
