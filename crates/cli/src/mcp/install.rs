//! The entry of longhaul in the configuration of an agent.

use crate::arguments::McpClient;
use crate::failure::Failure;
use crate::mcp::edit;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The name of the entry.
const NAME: &str = "longhaul";
/// So many lines around a change are shown.
const AROUND: usize = 3;
/// The permissions of a file that is made: what agents keep beside it may be secret.
const PRIVATE: u32 = 0o600;

/// What an agent is to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The program.
    pub(crate) program: String,
    /// Its arguments.
    pub(crate) args: Vec<String>,
}

/// A change to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is in it; none if it is not there.
    before: Option<String>,
    /// What is to be in it.
    after: String,
}

/// Where files are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Homes {
    /// The directory of the user.
    pub(crate) home: PathBuf,
    /// Where their configuration is.
    pub(crate) config: PathBuf,
    /// Where Codex keeps its own, if that is said.
    pub(crate) codex: Option<PathBuf>,
    /// The directory of the project, if only that is meant.
    pub(crate) project: Option<PathBuf>,
}

/// Works out the change to the configuration of an agent.
///
/// # Errors
/// The file cannot be read, or cannot be changed without changing more than the entry.
pub(crate) fn plan(client: McpClient, entry: &Entry, homes: &Homes) -> Result<Plan, Failure> {
    let path = file(client, homes);
    // Where it is a link, what it leads to is changed.
    let path = path.canonicalize().unwrap_or(path);
    let before = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(Failure::file("read", &path, source)),
    };
    let text = before.as_deref().unwrap_or_default();
    let after = match shape(client) {
        Shape::Toml { group } => edit::toml(text, group, NAME, &table(entry)),
        Shape::Json { group } => edit::json(text, group, NAME, &value(client, entry)),
    };
    let after = after.ok_or_else(|| Failure::Usage {
        what: format!("{} cannot be changed without changing more of it", path.display()),
        why: Some("it has comments, is written in another way than expected, or is broken".to_owned()),
        help: format!("add this to it yourself:\n{}", snippet(client, entry)),
    })?;
    Ok(Plan { path, before, after })
}

/// What belongs into the configuration of an agent.
pub(crate) fn snippet(client: McpClient, entry: &Entry) -> String {
    let text = match shape(client) {
        Shape::Toml { group } => edit::toml("", group, NAME, &table(entry)),
        Shape::Json { group } => edit::json("", group, NAME, &value(client, entry)),
    };
    text.unwrap_or_default()
}

impl Plan {
    /// Whether there is nothing to do.
    pub(crate) fn is_done(&self) -> bool {
        self.before.as_deref() == Some(self.after.as_str())
    }

    /// The change as people read it: what goes, what comes, and what stands around it.
    pub(crate) fn shown(&self) -> String {
        let old: Vec<&str> = self.before.as_deref().unwrap_or_default().lines().collect();
        let new: Vec<&str> = self.after.lines().collect();
        let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let rest = old.len().min(new.len()) - same;
        let tail =
            old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
        let mut lines = Vec::new();
        let from = same.saturating_sub(AROUND);
        lines.extend(old.iter().take(same).skip(from).map(|line| format!("  {line}")));
        lines.extend(old.iter().take(old.len() - tail).skip(same).map(|line| format!("- {line}")));
        lines.extend(new.iter().take(new.len() - tail).skip(same).map(|line| format!("+ {line}")));
        lines.extend(new.iter().skip(new.len() - tail).take(AROUND).map(|line| format!("  {line}")));
        format!("{}\n", lines.join("\n"))
    }

    /// Makes the change: all of it or nothing.
    ///
    /// # Errors
    /// The file cannot be written, or changed meanwhile.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        let wrong = |source| Failure::file("write", &self.path, source);
        let now = match fs::read_to_string(&self.path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(wrong(source)),
        };
        if now != self.before {
            return Err(Failure::Unfinished {
                what: format!("{} changed meanwhile", self.path.display()),
                why: None,
                help: "do it again, and end the agent first if it writes that file itself".to_owned(),
            });
        }
        self.write().map_err(wrong)
    }

    fn write(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let mode = fs::metadata(&self.path).map_or(PRIVATE, |found| found.permissions().mode() & 0o777);
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = directory.join(format!(".{name}.longhaul-{}", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.write_all(self.after.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)?;
            File::open(directory)?.sync_all()
        })();
        if written.is_err() {
            // What is left of it helps nobody.
            let _ = fs::remove_file(&fresh);
        }
        written
    }
}

/// How an agent writes its configuration down.
enum Shape {
    Json { group: &'static str },
    Toml { group: &'static str },
}

const fn shape(client: McpClient) -> Shape {
    match client {
        McpClient::ClaudeCode | McpClient::Cursor | McpClient::Gemini => Shape::Json { group: "mcpServers" },
        McpClient::Vscode => Shape::Json { group: "servers" },
        McpClient::Opencode => Shape::Json { group: "mcp" },
        McpClient::Codex => Shape::Toml { group: "mcp_servers" },
    }
}

fn file(client: McpClient, homes: &Homes) -> PathBuf {
    let Homes { home, config, codex, project } = homes;
    match (client, project) {
        (McpClient::ClaudeCode, None) => home.join(".claude.json"),
        (McpClient::ClaudeCode, Some(project)) => project.join(".mcp.json"),
        (McpClient::Codex, None) => codex.clone().unwrap_or_else(|| home.join(".codex")).join("config.toml"),
        (McpClient::Codex, Some(project)) => project.join(".codex/config.toml"),
        (McpClient::Cursor, None) => home.join(".cursor/mcp.json"),
        (McpClient::Cursor, Some(project)) => project.join(".cursor/mcp.json"),
        (McpClient::Vscode, None) => config.join("Code/User/mcp.json"),
        (McpClient::Vscode, Some(project)) => project.join(".vscode/mcp.json"),
        (McpClient::Gemini, None) => home.join(".gemini/settings.json"),
        (McpClient::Gemini, Some(project)) => project.join(".gemini/settings.json"),
        (McpClient::Opencode, project) => {
            let directory = project.clone().unwrap_or_else(|| config.join("opencode"));
            let commented = directory.join("opencode.jsonc");
            if commented.exists() { commented } else { directory.join("opencode.json") }
        }
    }
}

fn value(client: McpClient, entry: &Entry) -> Value {
    let Entry { program, args } = entry;
    match client {
        McpClient::ClaudeCode | McpClient::Vscode => {
            json!({ "type": "stdio", "command": program, "args": args })
        }
        McpClient::Opencode => {
            let words: Vec<&String> = std::iter::once(program).chain(args).collect();
            json!({ "type": "local", "command": words, "enabled": true })
        }
        McpClient::Cursor | McpClient::Gemini | McpClient::Codex => {
            json!({ "command": program, "args": args })
        }
    }
}

fn table(entry: &Entry) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("command".to_owned(), entry.program.clone().into());
    table.insert("args".to_owned(), entry.args.clone().into());
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn entry() -> Entry {
        Entry { program: "/opt/longhaul".to_owned(), args: vec!["mcp".to_owned(), "--read-only".to_owned()] }
    }

    fn homes(top: &Path) -> Homes {
        Homes { home: top.to_owned(), config: top.join(".config"), codex: None, project: None }
    }

    #[test]
    fn every_client_gets_its_entry_and_the_second_time_there_is_nothing_to_do() {
        let top = tempfile::tempdir().unwrap();
        for project in [None, Some(top.path().join("project"))] {
            let homes = Homes { project, ..homes(top.path()) };
            for client in McpClient::value_variants() {
                let first = plan(*client, &entry(), &homes).unwrap();
                assert!(!first.is_done());
                first.make().unwrap();
                let text = fs::read_to_string(&first.path).unwrap();
                assert!(text.contains("/opt/longhaul") && text.contains("--read-only"), "{client:?}: {text}");
                assert_eq!(text, snippet(*client, &entry()));
                let mode = fs::metadata(&first.path).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, PRIVATE);
                assert!(plan(*client, &entry(), &homes).unwrap().is_done(), "{client:?}");
                let names = fs::read_dir(first.path.parent().unwrap()).unwrap();
                let left = names
                    .map(|name| name.unwrap().file_name())
                    .filter(|name| name.to_string_lossy().contains(".longhaul-"));
                assert_eq!(left.count(), 0);
            }
        }
    }

    #[test]
    fn change_is_shown_with_what_stands_around_it() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join(".gemini/settings.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "{\n  \"a\": 1,\n  \"mcpServers\": {\n    \"x\": {}\n  }\n}\n").unwrap();
        let shown = plan(McpClient::Gemini, &entry(), &homes(top.path())).unwrap().shown();
        assert!(shown.contains("-     \"x\": {}\n+     \"x\": {},\n+     \"longhaul\": {\n"), "{shown}");
        assert!(
            shown.starts_with("  {\n    \"a\": 1,\n") && shown.ends_with("+     }\n    }\n  }\n"),
            "{shown}"
        );
    }

    #[test]
    fn file_that_cannot_be_changed_is_left_alone_and_the_entry_is_told() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join(".claude.json");
        fs::write(&path, "// mine\n{}\n").unwrap();
        let Failure::Usage { help, .. } =
            plan(McpClient::ClaudeCode, &entry(), &homes(top.path())).unwrap_err()
        else {
            panic!("another failure")
        };
        assert!(help.contains("\"mcpServers\"") && help.contains("/opt/longhaul"), "{help}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "// mine\n{}\n");
    }

    #[test]
    fn file_that_changes_meanwhile_is_left_alone() {
        let top = tempfile::tempdir().unwrap();
        let plan = plan(McpClient::Cursor, &entry(), &homes(top.path())).unwrap();
        fs::create_dir_all(plan.path.parent().unwrap()).unwrap();
        fs::write(&plan.path, "{\"new\": 1}").unwrap();
        assert!(matches!(plan.make(), Err(Failure::Unfinished { .. })));
        assert_eq!(fs::read_to_string(&plan.path).unwrap(), "{\"new\": 1}");
    }

    #[test]
    fn link_stays_a_link_and_permissions_stay() {
        let top = tempfile::tempdir().unwrap();
        let real = top.path().join("dotfiles.json");
        fs::write(&real, "{}").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        let link = top.path().join(".claude.json");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        plan(McpClient::ClaudeCode, &entry(), &homes(top.path())).unwrap().make().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("longhaul"));
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn codex_is_found_where_it_says() {
        let top = tempfile::tempdir().unwrap();
        let homes = Homes { codex: Some(top.path().join("elsewhere")), ..homes(top.path()) };
        let plan = plan(McpClient::Codex, &entry(), &homes).unwrap();
        assert!(plan.path.ends_with("elsewhere/config.toml"));
    }
}
