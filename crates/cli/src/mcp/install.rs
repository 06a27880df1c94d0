//! Adds the longhaul entry to the configuration of an agent.

use crate::arguments::McpClient;
use crate::failure::CliError;
use desired::{DesiredEntry, EditError, EditedConfig, EntryMember, MergeRule};
use longhaul_view::clean_label;
use place::ConfigFile;
use serde_json::json;
use std::path::PathBuf;

mod desired;
mod json;
mod place;
mod table;

/// Name of the longhaul entry in the configuration of an agent.
const NAME: &str = "longhaul";
/// Number of unchanged lines that are shown before and after a change.
const CONTEXT_LINES: usize = 3;

/// Command line with which an agent starts longhaul as an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerEntry {
    /// Name or path of the program.
    pub(crate) program: String,
    /// Arguments of the program.
    pub(crate) args: Vec<String>,
}

/// Planned change of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigPlan {
    place: ConfigFile,
    after: EditedConfig,
}

/// Directories in which the configuration of an agent may be stored.
#[derive(Clone, Debug)]
pub(crate) struct ConfigPaths {
    /// User's home directory (`HOME`).
    pub(crate) home: PathBuf,
    /// User's configuration directory (`XDG_CONFIG_HOME`).
    pub(crate) config: PathBuf,
    /// Configuration directory of Codex (`CODEX_HOME`), if set.
    pub(crate) codex: Option<PathBuf>,
    /// Configuration directory of Claude Code (`CLAUDE_CONFIG_DIR`), if set.
    pub(crate) claude: Option<PathBuf>,
    /// Project directory. Set only if the entry applies to one project.
    pub(crate) project: Option<PathBuf>,
}

/// Plans the change to an agent's configuration.
///
/// # Errors
/// Fails if the configuration file cannot be read, or if the edit would affect more than the longhaul entry.
pub(crate) fn plan(
    client: McpClient,
    entry: &ServerEntry,
    homes: &ConfigPaths,
) -> Result<ConfigPlan, CliError> {
    let path = file(client, homes);
    let left = |path, why: &dyn ToString| CliError::Unchanged {
        path,
        why: why.to_string(),
        paste: snippet(client, entry),
    };
    let place = ConfigFile::read(path.clone())?.map_err(|odd| left(path, &odd))?;
    match with_entry(client, entry, place.text.as_deref().unwrap_or_default()) {
        Ok(after) => Ok(ConfigPlan { place, after }),
        Err(stuck) => Err(left(place.path, &stuck)),
    }
}

/// Returns the text to insert into the agent's configuration.
pub(crate) fn snippet(client: McpClient, entry: &ServerEntry) -> String {
    with_entry(client, entry, "").map(|edited| edited.text).unwrap_or_default()
}

impl ConfigPlan {
    /// Returns the path of the configuration file.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.place.path
    }

    /// Returns true if the file already contains the entry.
    pub(crate) fn is_done(&self) -> bool {
        self.place.text.as_deref() == Some(self.after.text.as_str())
    }

    /// Returns true if the user has disabled the entry. The change leaves it disabled.
    pub(crate) const fn stays_off(&self) -> bool {
        self.after.is_off
    }

    /// Returns the change as a diff for people: removed, added and neighboring lines.
    pub(crate) fn shown(&self) -> String {
        let old: Vec<&str> = self.place.text.as_deref().unwrap_or_default().lines().collect();
        let new: Vec<&str> = self.after.text.lines().collect();
        let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let rest = old.len().min(new.len()) - same;
        let tail =
            old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
        let mut lines = Vec::new();
        let from = same.saturating_sub(CONTEXT_LINES);
        let line = |sign: char, line: &str| format!("{sign} {}", visible(line));
        lines.extend(old.iter().take(same).skip(from).map(|same| line(' ', same)));
        lines.extend(old.iter().take(old.len() - tail).skip(same).map(|gone| line('-', gone)));
        lines.extend(new.iter().take(new.len() - tail).skip(same).map(|come| line('+', come)));
        lines.extend(new.iter().skip(new.len() - tail).take(CONTEXT_LINES).map(|same| line(' ', same)));
        format!("{}\n", lines.join("\n"))
    }

    /// Applies the change to the file atomically.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or if it was changed after it was read.
    pub(crate) fn apply(&self) -> Result<(), CliError> {
        self.place.replace(&self.after.text)
    }
}

/// Returns the line with control characters escaped, except for tabs.
fn visible(line: &str) -> String {
    line.split('\t').map(clean_label).collect::<Vec<_>>().join("\t")
}

/// Format of an agent's configuration file, with the key or table that contains the MCP servers.
enum AgentConfigFormat {
    Json { group: &'static str },
    Toml { group: &'static str },
}

fn with_entry(client: McpClient, entry: &ServerEntry, text: &str) -> Result<EditedConfig, EditError> {
    let desired = desired(client, entry);
    match shape(client) {
        AgentConfigFormat::Toml { group } => table::with_entry(text, group, NAME, &desired),
        AgentConfigFormat::Json { group } => json::with_entry(text, group, NAME, &desired),
    }
}

const fn shape(client: McpClient) -> AgentConfigFormat {
    match client {
        McpClient::ClaudeCode | McpClient::Cursor | McpClient::Gemini => {
            AgentConfigFormat::Json { group: "mcpServers" }
        }
        McpClient::Vscode => AgentConfigFormat::Json { group: "servers" },
        McpClient::Opencode => AgentConfigFormat::Json { group: "mcp" },
        McpClient::Codex => AgentConfigFormat::Toml { group: "mcp_servers" },
    }
}

fn file(client: McpClient, homes: &ConfigPaths) -> PathBuf {
    let ConfigPaths { home, config, codex, claude, project } = homes;
    match (client, project) {
        (McpClient::ClaudeCode, None) => claude.as_ref().unwrap_or(home).join(".claude.json"),
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

fn desired(client: McpClient, entry: &ServerEntry) -> DesiredEntry {
    let ServerEntry { program, args } = entry;
    let ours = |key, value| EntryMember { key, value, rule: MergeRule::Ours };
    let kind = |word: &str| EntryMember { key: "type", value: json!(word), rule: MergeRule::Kind };
    let plain = || [ours("command", json!(program)), ours("args", json!(args))];
    DesiredEntry(match client {
        McpClient::ClaudeCode | McpClient::Vscode => [kind("stdio")].into_iter().chain(plain()).collect(),
        McpClient::Opencode => {
            let words: Vec<&String> = std::iter::once(program).chain(args).collect();
            let enabled = EntryMember { key: "enabled", value: json!(true), rule: MergeRule::Offered };
            vec![kind("local"), ours("command", json!(words)), enabled]
        }
        McpClient::Cursor | McpClient::Gemini | McpClient::Codex => plain().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn entry() -> ServerEntry {
        ServerEntry {
            program: "/opt/longhaul".to_owned(),
            args: vec!["mcp".to_owned(), "--read-only".to_owned()],
        }
    }

    fn homes(top: &Path) -> ConfigPaths {
        ConfigPaths {
            home: top.to_owned(),
            config: top.join(".config"),
            codex: None,
            claude: None,
            project: None,
        }
    }

    #[test]
    fn every_client_gets_its_entry_and_the_second_time_there_is_nothing_to_do() {
        let top = tempfile::tempdir().unwrap();
        for project in [None, Some(top.path().join("project"))] {
            let homes = ConfigPaths { project, ..homes(top.path()) };
            for client in McpClient::value_variants() {
                let first = plan(*client, &entry(), &homes).unwrap();
                assert!(!first.is_done());
                first.apply().unwrap();
                let text = fs::read_to_string(first.path()).unwrap();
                assert!(text.contains("/opt/longhaul") && text.contains("--read-only"), "{client:?}: {text}");
                assert_eq!(text, snippet(*client, &entry()));
                let mode = fs::metadata(first.path()).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, place::PRIVATE);
                assert!(plan(*client, &entry(), &homes).unwrap().is_done(), "{client:?}");
            }
        }
    }

    #[test]
    fn every_client_gets_the_error_in_its_format() {
        let reported = |client| snippet(client, &entry());
        assert_eq!(
            reported(McpClient::Codex),
            "[mcp_servers.longhaul]\ncommand = \"/opt/longhaul\"\nargs = [\"mcp\", \"--read-only\"]\n"
        );
        let read = |client| serde_json::from_str::<serde_json::Value>(&reported(client)).unwrap();
        let (program, args) = ("/opt/longhaul", ["mcp", "--read-only"]);
        let plain = json!({ "longhaul": { "command": program, "args": args } });
        let typed = json!({ "longhaul": { "type": "stdio", "command": program, "args": args } });
        assert_eq!(read(McpClient::Gemini), json!({ "mcpServers": plain }));
        assert_eq!(read(McpClient::Cursor), json!({ "mcpServers": plain }));
        assert_eq!(read(McpClient::ClaudeCode), json!({ "mcpServers": typed }));
        assert_eq!(read(McpClient::Vscode), json!({ "servers": typed }));
        let local = json!({ "type": "local", "command": [program, "mcp", "--read-only"], "enabled": true });
        assert_eq!(read(McpClient::Opencode), json!({ "mcp": { "longhaul": local } }));
    }

    #[test]
    fn change_is_shown_with_context_lines() {
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
    fn file_cannot_steer_the_terminal_that_shows_it() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join(".cursor")).unwrap();
        fs::write(top.path().join(".cursor/mcp.json"), "{\n\t\"\u{9b}2J\": 1\n}\n").unwrap();
        let shown = plan(McpClient::Cursor, &entry(), &homes(top.path())).unwrap().shown();
        assert!(!shown.contains('\u{9b}') && shown.contains("- \t\""), "{shown:?}");
    }

    #[test]
    fn file_that_cannot_be_edited_is_left_unchanged_and_the_entry_is_printed() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join(".claude.json");
        let refused = |why: &str| {
            let failure = plan(McpClient::ClaudeCode, &entry(), &homes(top.path())).unwrap_err();
            let report = crate::failure::report(&failure).text(str::to_owned);
            assert!(report.contains(path.to_str().unwrap()) && report.contains(why), "{report}");
            // The user copies the snippet, so the report must contain it unchanged.
            assert!(report.ends_with(&format!("\n{}", snippet(McpClient::ClaudeCode, &entry()))), "{report}");
        };
        fs::write(&path, "// mine\n{}\n").unwrap();
        refused("comments");
        assert_eq!(fs::read_to_string(&path).unwrap(), "// mine\n{}\n");
        fs::write(&path, "{\"mcpServers\": {\"longhaul\": {\"type\": \"http\", \"url\": \"x\"}}}").unwrap();
        refused("another kind");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(top.path().join("gone"), &path).unwrap();
        refused("does not exist");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn agents_are_found_where_they_say() {
        let top = tempfile::tempdir().unwrap();
        let elsewhere = Some(top.path().join("elsewhere"));
        let homes = ConfigPaths { codex: elsewhere.clone(), claude: elsewhere, ..homes(top.path()) };
        let path = |client| plan(client, &entry(), &homes).unwrap().path().to_owned();
        assert!(path(McpClient::Codex).ends_with("elsewhere/config.toml"));
        assert!(path(McpClient::ClaudeCode).ends_with("elsewhere/.claude.json"));
    }
}
