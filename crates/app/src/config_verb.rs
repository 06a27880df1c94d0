//! `longhaul config`.

use crate::config::{self, ConfigError, Flags, Settings, Sources};
use crate::failure::Failure;
use crate::stores::Stores;
use longhaul_cli::ConfigVerb;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

/// Does what `config` was asked, and gives what it prints.
pub(crate) fn config_verb(
    verb: &ConfigVerb,
    state_dir: &Path,
    flags: Flags,
    stores: &Stores,
    json: bool,
) -> Result<String, Failure> {
    let sources = Sources::of(state_dir, flags);
    match verb {
        ConfigVerb::Show { origin } => {
            let layers = sources.read()?;
            if json {
                return Ok(pretty(&with_warnings(config::show_json(&layers), &sources)));
            }
            warn(&sources);
            Ok(config::show(&layers, *origin))
        }
        ConfigVerb::Check => {
            checked(&sources, state_dir, stores)?;
            if json {
                return Ok(pretty(&with_warnings(json!({ "ok": true }), &sources)));
            }
            warn(&sources);
            Ok("every file is in order\n".to_owned())
        }
        ConfigVerb::Schema => Ok(pretty(&config::schema())),
        ConfigVerb::Path => {
            let paths = || sources.user_file.iter().chain(&sources.project_files);
            if json {
                let files: Vec<_> = paths()
                    .map(|path| json!({ "path": path.to_string_lossy(), "exists": path.exists() }))
                    .collect();
                return Ok(pretty(&json!({ "files": files })));
            }
            let mut out = String::new();
            for path in paths() {
                let missing = if path.exists() { "" } else { "  (not there)" };
                // Writing into a text cannot fail.
                let _ = writeln!(out, "{}{missing}", path.display());
            }
            Ok(out)
        }
    }
}

fn checked(sources: &Sources, state_dir: &Path, stores: &Stores) -> Result<(), ConfigError> {
    Settings::knowing(&sources.read()?, state_dir, stores).map(drop)
}

/// Tells standard error what is strange but no error.
fn warn(sources: &Sources) {
    for stray in config::strays(&sources.environment) {
        // Without a standard error there is nobody to warn.
        let _ = writeln!(io::stderr(), "warning: {stray}");
    }
}

fn with_warnings(mut document: serde_json::Value, sources: &Sources) -> serde_json::Value {
    let strays = config::strays(&sources.environment);
    if let Some(fields) = document.as_object_mut().filter(|_| !strays.is_empty()) {
        let warnings: Vec<String> = strays.iter().map(ToString::to_string).collect();
        fields.insert("warnings".to_owned(), json!(warnings));
    }
    document
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
