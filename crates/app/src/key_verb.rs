//! `longhaul store key`.

use crate::compose::ComposeError;
use crate::compose::trust::{KeyFileError, KeyId, key_file};
use crate::config::Settings;
use crate::failure::Failure;
use serde_json::json;

/// What to do with the keys before they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Stay,
    /// A new one takes the place of the one that signs, which is trusted on.
    Rotate,
    /// The one that is trusted besides is let go of.
    Retire,
}

impl Turn {
    pub(crate) const fn of(rotate: bool, retire: bool) -> Self {
        match (rotate, retire) {
            (true, _) => Self::Rotate,
            (false, true) => Self::Retire,
            (false, false) => Self::Stay,
        }
    }
}

/// Gives what is printed: the ids of the keys and where they are, and nothing of the keys themselves.
pub(crate) fn key_verb(settings: &Settings, turn: Turn, as_json: bool) -> Result<String, Failure> {
    let failed = |source: KeyFileError| ComposeError::ClusterKey { source };
    let file = key_file(settings)?;
    let keys = match turn {
        Turn::Stay => file.keys(),
        Turn::Rotate => file.rotate(),
        Turn::Retire => file.retire(),
    };
    let keys = keys.map_err(failed)?;
    let (signing, path) = (keys.signing(), file.path().display());
    if as_json {
        let answer = json!({
            "schema": "longhaul/cluster-key/v1",
            "signing": signing.as_str(),
            "trusted": keys.trusted().map(KeyId::as_str),
            "path": file.path().to_string_lossy(),
        });
        return Ok(format!("{answer:#}\n"));
    }
    let trusted = keys.trusted().map_or_else(String::new, |key| format!("{key} is trusted besides\n"));
    let next = match turn {
        Turn::Stay => "",
        Turn::Rotate => {
            "next: copy the file to every node, with mode 0600; then start the managers anew, one after the other: from then\n\
             on they sign with the new key. When nothing waits that the old one sealed: longhaul store key --retire\n"
        }
        Turn::Retire => "next: copy the file to every node, and start the managers anew\n",
    };
    Ok(format!("{signing} signs\n{trusted}{path}\n{next}"))
}
