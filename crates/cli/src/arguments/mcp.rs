//! Arguments of `mcp`.

use crate::value::word;
use clap::{Args, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  longhaul mcp install claude-code      show the change to its configuration, ask, and apply it
  longhaul mcp install codex --print    print the entry for the configuration
  longhaul mcp instructions >> AGENTS.md
  longhaul mcp tools                    list the tools
  longhaul mcp                          serve one client on standard input and output";

/// Arguments of `mcp`.
#[derive(Clone, Debug, Default, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct McpArgs {
    /// Permissions of the client.
    #[command(flatten)]
    pub scope: McpScope,
    /// Subcommand of `mcp`. `None` means that this program serves an agent over MCP.
    #[command(subcommand)]
    pub verb: Option<McpVerb>,
}

/// Permissions of an MCP client.
#[derive(Clone, Debug, Default, Args)]
pub struct McpScope {
    /// Session of all processes that the agent starts
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub session: Option<String>,
    /// Offer only tools that change nothing
    #[arg(long)]
    pub read_only: bool,
}

/// Subcommands of `mcp`.
#[derive(Clone, Debug, Subcommand)]
pub enum McpVerb {
    /// Add longhaul to the configuration of an agent
    Install(McpInstallArgs),
    /// Print text for the instructions file of an agent
    Instructions,
    /// List the MCP tools
    Tools(McpToolsArgs),
}

/// Arguments of `mcp install`.
#[derive(Clone, Debug, Args)]
pub struct McpInstallArgs {
    /// Agent
    #[arg(value_enum, value_name = "CLIENT")]
    pub client: McpClient,
    /// Print the configuration entry without changing a file
    #[arg(long)]
    pub print: bool,
    /// Configure only the project in this directory
    #[arg(long)]
    pub local: bool,
    /// Permissions of the client.
    #[command(flatten)]
    pub scope: McpScope,
}

/// Arguments of `mcp tools`.
#[derive(Clone, Debug, Default, Args)]
pub struct McpToolsArgs {
    /// Permissions of the client.
    #[command(flatten)]
    pub scope: McpScope,
}

/// An agent whose configuration longhaul can edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum McpClient {
    /// Claude Code
    ClaudeCode,
    /// Codex
    Codex,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
    /// Gemini CLI
    Gemini,
    /// opencode
    Opencode,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Verb, read};

    fn parsed(line: &str) -> Result<McpArgs, clap::Error> {
        let words = ["longhaul"].into_iter().chain(line.split(' ')).map(Into::into);
        let Verb::Mcp(args) = read(words)?.command else { panic!("another verb") };
        Ok(args)
    }

    #[test]
    fn without_a_verb_a_client_is_served() {
        let args = parsed("mcp --session s --read-only").unwrap();
        assert!(args.verb.is_none() && args.scope.read_only);
        assert_eq!(args.scope.session.as_deref(), Some("s"));
    }

    #[test]
    fn every_client_has_its_name() {
        for (name, client) in [
            ("claude-code", McpClient::ClaudeCode),
            ("codex", McpClient::Codex),
            ("cursor", McpClient::Cursor),
            ("vscode", McpClient::Vscode),
            ("gemini", McpClient::Gemini),
            ("opencode", McpClient::Opencode),
        ] {
            let Some(McpVerb::Install(args)) = parsed(&format!("mcp install {name} --print")).unwrap().verb
            else {
                panic!("another verb");
            };
            assert!(args.client == client && args.print);
        }
        assert!(parsed("mcp install emacs").is_err());
        assert!(parsed("mcp --read-only tools").is_err());
    }
}
