//! Arguments of `node`, and the placement options of a launch.

use crate::completion::nodes;
use crate::value::{node_label, word};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

/// Arguments of `node`.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Subcommand.
    #[command(subcommand)]
    pub verb: NodeVerb,
}

/// Subcommands of `node`.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeVerb {
    /// List the nodes that share the store
    List,
    /// Start no new processes on a node; running processes continue
    Drain(NodeName),
    /// Allow a drained node to start processes again
    Undrain(NodeName),
    /// Remove a node that left or is lost; its running processes become interrupted (asks for confirmation)
    Forget(NodeName),
}

/// Argument that names a node.
#[derive(Clone, Debug, Args)]
pub struct NodeName {
    /// Node
    #[arg(value_name = "ID", value_parser = word, add = ArgValueCandidates::new(nodes))]
    pub id: String,
}

/// Options that restrict the nodes on which a process may run.
#[derive(Clone, Debug, Default, Args)]
pub struct PlacementArgs {
    /// Run the process on this node; requires --clear-env, except on the node of this manager
    #[arg(long, help_heading = "Placement", value_name = "ID", value_parser = word, add = ArgValueCandidates::new(nodes),
          conflicts_with_all = ["node_label", "any_node"])]
    pub node: Option<String>,
    /// Run the process on a node with this label; repeat the option to require several labels; requires -C and
    /// --clear-env
    #[arg(long, help_heading = "Placement", value_name = "KEY[=VALUE]", value_parser = node_label, conflicts_with = "any_node")]
    pub node_label: Vec<String>,
    /// Run the process on any node; requires -C and --clear-env
    #[arg(long, help_heading = "Placement")]
    pub any_node: bool,
}
