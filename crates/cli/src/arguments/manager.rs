//! Arguments of the subcommands that deal with the manager or with the program itself.

use clap::{Args, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// Arguments of `serve`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Stop all processes when the manager ends, instead of leaving them running
    #[arg(long)]
    pub stop_processes: bool,
    /// Store URL: sqlite:PATH, fs:PATH, memory, postgres://… or redis://…
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Name of this node; must be unique in a cluster
    #[arg(long, value_name = "NAME")]
    pub node_id: Option<String>,
    /// Maximum number of running root processes; 0 means no limit
    #[arg(long, value_name = "N")]
    pub max_parallel: Option<u32>,
    /// Also listen on this address, such as 127.0.0.1:7337; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Accept connections from other machines; requires a certificate or --insecure-behind-proxy
    #[arg(long)]
    pub allow_remote: bool,
    /// Certificate chain file in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key file in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Accept connections from other machines without TLS, because a proxy in front of the manager terminates TLS
    #[arg(long)]
    pub insecure_behind_proxy: bool,
    /// Log file [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Stay in the foreground; this is the default
    #[arg(long, conflicts_with = "autostarted")]
    pub foreground: bool,
    /// A client started the manager and waits for it
    #[arg(long, hide = true)]
    pub autostarted: bool,
}

/// Arguments of `doctor`.
#[derive(Clone, Debug, Default, Args)]
pub struct DoctorArgs {
    /// Write a diagnostic file without secrets [default: longhaul-doctor-SECONDS.txt]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub bundle: Option<Option<PathBuf>>,
}

/// Arguments of `token`.
#[derive(Clone, Debug, Default, Args)]
pub struct TokenArgs {
    /// Print the read-only token
    #[arg(long)]
    pub read_only: bool,
    /// Create a new token first; the old token stops working
    #[arg(long)]
    pub rotate: bool,
}

/// Arguments of `init`.
#[derive(Clone, Debug, Default, Args)]
pub struct InitArgs {
    /// Add missing files if the state directory already exists
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// Subcommand.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// Subcommands of `config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print every key and its value
    Show {
        /// Show where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Check all configuration files; exit with 1 if a file is not valid
    Check,
    /// Print the JSON Schema of a configuration file
    Schema,
    /// Print the paths of the configuration files
    Path,
}

/// Arguments of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Shell
    pub shell: Shell,
    /// Complete only flags and subcommands, without asking the manager for ids
    #[arg(long = "static")]
    pub fixed: bool,
}
