//! Arguments of `report`.

use crate::completion::references;
use crate::value::reference;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// Arguments of `report`.
#[derive(Clone, Debug, Default, Args)]
pub struct ReportArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Print Markdown, for example for a pull request
    #[arg(long, conflicts_with_all = ["output", "json"])]
    pub markdown: bool,
}
