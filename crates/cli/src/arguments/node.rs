//! What may be said about nodes.

use crate::completion::nodes;
use crate::value::{node_label, word};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

/// What `node` takes.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: NodeVerb,
}

/// What to do with a node.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeVerb {
    /// Let it start nothing more; what it runs goes on
    Drain(NodeName),
    /// Let it start work again
    Undrain(NodeName),
    /// Let go of one that left or is lost; what still runs there is called interrupted, and asked about before
    Forget(NodeName),
}

/// Which node is meant.
#[derive(Clone, Debug, Args)]
pub struct NodeName {
    /// The node
    #[arg(value_name = "ID", value_parser = word, add = ArgValueCandidates::new(nodes))]
    pub id: String,
}

/// Where a launch may run.
#[derive(Clone, Debug, Default, Args)]
pub struct PlacementArgs {
    /// On this node, which has to have joined; with --clear-env unless that is the manager's own
    #[arg(long, help_heading = "Where it runs", value_name = "ID", value_parser = word, add = ArgValueCandidates::new(nodes),
          conflicts_with_all = ["node_label", "any_node"])]
    pub node: Option<String>,
    /// On any node with this label as it is spelled there, or with all of several; with -C and --clear-env
    #[arg(long, help_heading = "Where it runs", value_name = "KEY[=VALUE]", value_parser = node_label, conflicts_with = "any_node")]
    pub node_label: Vec<String>,
    /// On any node; with -C and --clear-env
    #[arg(long, help_heading = "Where it runs")]
    pub any_node: bool,
}
