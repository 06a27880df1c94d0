//! The command `longhaul config`.

use crate::config::{self, ConfigSources, Flags, ManagerConfig};
use crate::failure::ProgramError;
use crate::stores::Stores;
use longhaul_cli::ConfigVerb;
use longhaul_client::PROJECT_FILE;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Executes a `longhaul config` command and returns the text to print.
pub(crate) fn config_verb(
    verb: &ConfigVerb,
    state_dir: &Path,
    flags: Flags,
    stores: &Stores,
    json: bool,
) -> Result<String, ProgramError> {
    let sources = ConfigSources::of(state_dir, flags);
    match verb {
        ConfigVerb::Show { origin } => {
            let layers = sources.read()?;
            if json {
                return Ok(pretty(&with_warnings(config::show_json(&layers), &warnings(&sources))));
            }
            warn(&warnings(&sources));
            Ok(config::show(&layers, *origin))
        }
        ConfigVerb::Check => {
            let settings = ManagerConfig::knowing(&sources.read()?, state_dir, stores)?;
            let warnings: Vec<_> =
                warnings(&sources).into_iter().chain(settings.outgoing.warnings()).collect();
            if json {
                return Ok(pretty(&with_warnings(json!({ "ok": true }), &warnings)));
            }
            warn(&warnings);
            Ok("the configuration is valid\n".to_owned())
        }
        ConfigVerb::Schema => Ok(pretty(&config::schema())),
        ConfigVerb::Path => {
            let paths = || sources.user_file.iter().chain(&sources.project_files);
            if json {
                let files: Vec<_> = paths()
                    .map(|path| json!({ "path": path.to_string_lossy(), "exists": path.exists() }))
                    .collect();
                return Ok(pretty(&with_warnings(json!({ "files": files }), &warnings(&sources))));
            }
            let mut out = String::new();
            for path in paths() {
                let missing = if path.exists() { "" } else { "  (does not exist)" };
                // Writing to a string cannot fail.
                let _ = writeln!(out, "{}{missing}", path.display());
            }
            warn(&warnings(&sources));
            Ok(out)
        }
    }
}

/// Writes warnings to stderr.
fn warn(warnings: &[String]) {
    for warning in warnings {
        // If writing to stderr fails, there is no other place for the warning.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}

fn with_warnings(mut document: serde_json::Value, warnings: &[String]) -> serde_json::Value {
    if let Some(fields) = document.as_object_mut().filter(|_| !warnings.is_empty()) {
        fields.insert("warnings".to_owned(), json!(warnings));
    }
    document
}

fn warnings(sources: &ConfigSources) -> Vec<String> {
    let strays = config::strays(&sources.environment).into_iter().map(|stray| stray.to_string());
    let unread = std::env::current_dir().ok().and_then(|here| unread_file(&here, sources)).map(|file| {
        format!(
            "{} is not read, because its project uses a shared state directory; run `longhaul init` to give the \
             project its own state directory",
            file.display()
        )
    });
    strays.chain(unread).collect()
}

/// Returns the configuration file of the project that contains the directory `here`, if the manager does not read this
/// file. Returns `None` if the manager reads the file or the file does not exist.
fn unread_file(here: &Path, sources: &ConfigSources) -> Option<PathBuf> {
    let file = here.ancestors().map(|place| place.join(PROJECT_FILE)).find(|file| file.exists())?;
    let is_read = |read: &PathBuf| read.canonicalize().ok() == file.canonicalize().ok();
    (!sources.project_files.iter().any(is_read)).then_some(file)
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_a_project_without_a_state_directory_of_its_own_is_known_to_be_unread() {
        let top = tempfile::tempdir().unwrap();
        let inner = top.path().join("src");
        std::fs::create_dir(&inner).unwrap();
        let file = top.path().join("longhaul.toml");
        let of_user = ConfigSources::of(Path::new("/home/me/.local/state/longhaul"), Flags::default());
        assert_eq!(unread_file(&inner, &of_user), None);
        std::fs::write(&file, "foo = 1\n").unwrap();
        assert_eq!(unread_file(&inner, &of_user), Some(file));
        let own = ConfigSources::of(&top.path().join(".longhaul"), Flags::default());
        assert_eq!(unread_file(&inner, &own), None);
    }
}
