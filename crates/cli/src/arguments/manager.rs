//! What may be said about the manager and the program itself.

use clap::{Args, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// What `serve` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Stop all processes when the manager is told to end, instead of leaving them to the next one
    #[arg(long)]
    pub stop_processes: bool,
    /// The store: sqlite:PATH, memory, …
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The name of this node; it must be unique in a cluster
    #[arg(long, value_name = "NAME")]
    pub node_id: Option<String>,
    /// How many roots may run at once; 0 means as many as are asked for
    #[arg(long, value_name = "N")]
    pub max_parallel: Option<u32>,
    /// Listen on this address too, such as 127.0.0.1:7337; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Let other machines connect; wants a certificate, or --insecure-behind-proxy
    #[arg(long)]
    pub allow_remote: bool,
    /// The file of the certificate and its chain, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The file of its key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Listen for other machines without a certificate: a proxy in front of the manager has it
    #[arg(long)]
    pub insecure_behind_proxy: bool,
    /// Write the log to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Stay with the terminal that started it; this is what happens anyway
    #[arg(long, conflicts_with = "autostarted")]
    pub foreground: bool,
    /// A client started it and is waiting for it
    #[arg(long, hide = true)]
    pub autostarted: bool,
}

/// What `doctor` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct DoctorArgs {
    /// Write all that helps to find a fault to one file, without secrets; longhaul-doctor-SECONDS.txt if no name is given
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub bundle: Option<Option<PathBuf>>,
}

/// What `token` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct TokenArgs {
    /// The token that lets its holder read, and change nothing
    #[arg(long)]
    pub read_only: bool,
    /// Make a new one first; the old one is known no more
    #[arg(long)]
    pub rotate: bool,
}

/// What `init` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct InitArgs {
    /// Do it although the directory is there already
    #[arg(long)]
    pub force: bool,
}

/// What `config` takes.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// What to do with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print every key with its value
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Check all files, and exit with 1 if one is wrong
    Check,
    /// Print the JSON Schema of a configuration file
    Schema,
    /// Print the paths of the files that are read
    Path,
}

/// What `completions` takes.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
    /// Complete flags and verbs only, without asking the manager for ids
    #[arg(long = "static")]
    pub fixed: bool,
}
