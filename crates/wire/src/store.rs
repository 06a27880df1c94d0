//! The URL of a store, as the configuration names it and as a manager reports it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Default file name of the SQLite database, inside the state directory.
const DATABASE: &str = "longhaul.db";
/// Default name of the directory of a file store, inside the state directory.
const DIRECTORY: &str = "store";
/// URL schemes of the stores that are built into longhaul. Some of them are not part of every build.
const BUILTIN_SCHEMES: &[&str] = &[
    "memory",
    "sqlite",
    "fs",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "redis+unix",
    "valkey",
    "valkeys",
    "valkey+unix",
    "redis+sentinel",
    "redis+cluster",
    "rediss+cluster",
];

/// The kind and location of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In-memory store, which is lost when the manager exits.
    Memory,
    /// Store in a SQLite database at this path.
    Sqlite(PathBuf),
    /// Store in a directory of JSON files at this path.
    Fs(PathBuf),
    /// Shared store, or store of a kind that the program added, with its complete URL.
    Other(String),
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Fs(path) => write!(f, "fs:{}", path.display()),
            Self::Other(url) => f.write_str(&without_password(url)),
        }
    }
}

impl StoreChoice {
    /// Returns the default store of a state directory.
    #[must_use]
    pub fn in_state_dir(state_dir: &Path) -> Self {
        Self::Sqlite(state_dir.join(DATABASE))
    }

    /// Parses the URL of a local store. Relative paths start at `state_dir`. Returns `None` for all other URLs.
    #[must_use]
    pub fn of(url: &str, state_dir: &Path) -> Option<Self> {
        match url.split_once(':') {
            Some(("sqlite", path)) => Some(Self::Sqlite(below(state_dir, path, DATABASE))),
            Some(("fs", path)) => Some(Self::Fs(below(state_dir, path, DIRECTORY))),
            Some(("memory", "")) => Some(Self::Memory),
            None if url == "memory" => Some(Self::Memory),
            Some(_) | None => None,
        }
    }
}

fn below(state_dir: &Path, path: &str, otherwise: &str) -> PathBuf {
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    state_dir.join(if path.is_empty() { otherwise } else { path })
}

/// Returns true if the URL scheme is built into longhaul. For a built-in scheme, it is known which parts of the URL
/// contain secrets.
#[must_use]
pub fn is_builtin_scheme(scheme: &str) -> bool {
    BUILTIN_SCHEMES.contains(&scheme)
}

/// Returns the URL of a store without its secrets.
///
/// In the URL of a shared store, the text between `//` and `@` and the query parameters whose names contain `pass` are
/// replaced, because they may contain a password. The URL of a store that a program added may contain a secret anywhere, so only its
/// scheme is shown.
#[must_use]
pub fn without_password(url: &str) -> String {
    match url.split_once(':') {
        Some(("memory" | "sqlite" | "fs", _)) | None => return url.to_owned(),
        Some((scheme, rest)) if !is_builtin_scheme(scheme) || !rest.starts_with("//") => {
            return format!("{scheme}:…");
        }
        Some(_) => {}
    }
    let shown = match (url.find("//"), url.rfind('@')) {
        (Some(begin), Some(end)) if begin < end => {
            let (head, tail) = (url.get(..begin).unwrap_or_default(), url.get(end..).unwrap_or_default());
            format!("{head}//…{tail}")
        }
        _ => url.to_owned(),
    };
    // The URL of a Unix socket can contain a password only in its query string.
    let Some((place, query)) = shown.split_once('?') else {
        return shown;
    };
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}=…"),
        Some(_) | None => part.to_owned(),
    });
    format!("{place}?{}", parts.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("memory", "memory"),
            ("sqlite:///srv/me@work.db", "sqlite:///srv/me@work.db"),
            ("redis://me:hunter2@host/1?namespace=ci", "redis://…@host/1?namespace=ci"),
            ("redis+unix:///s?pass=hunter2&db=1", "redis+unix:///s?pass=…&db=1"),
            ("redis:me:hunter2@host", "redis:…"),
            ("postgres:host=x user=me password=hunter2", "postgres:…"),
            ("postgres://me:hunter2@host/base?password=hunter2", "postgres://…@host/base?password=…"),
            ("etcd://me:hunter2@host", "etcd:…"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
