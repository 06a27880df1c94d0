//! `longhaul config`.

use crate::config::{self, ConfigError, Flags, Settings, Sources};
use crate::failure::Failure;
use longhaul_cli::ConfigVerb;
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// Does what `config` was asked, and gives what it prints.
pub(crate) fn config_verb(
    verb: &ConfigVerb,
    state_dir: &Path,
    flags: Flags,
    json: bool,
) -> Result<String, Failure> {
    let sources = Sources::of(state_dir, flags);
    match verb {
        ConfigVerb::Show { origin } => {
            let layers = sources.read()?;
            if json {
                return Ok(pretty(&config::show_json(&layers)));
            }
            Ok(config::show(&layers, *origin))
        }
        ConfigVerb::Check => {
            checked(&sources, state_dir)?;
            if json {
                return Ok(pretty(&json!({ "ok": true })));
            }
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

fn checked(sources: &Sources, state_dir: &Path) -> Result<(), ConfigError> {
    Settings::of(&sources.read()?, state_dir).map(drop)
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
