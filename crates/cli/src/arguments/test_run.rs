//! Arguments of `tests` and `rerun-failed`.

use super::RevisionArgs;
use crate::completion::references;
use crate::value::reference;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  longhaul tests @last                         the failed tests, grouped by cause
  longhaul tests @last --failed                each failure with its trace and captured output
  longhaul tests @last --diff ID2              tests that are new, fixed or still failing since ID2
  longhaul tests @last --junit report.xml      write a JUnit report
  longhaul rerun-failed @last                  run only the failed tests again";

/// Arguments of `tests`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestsArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Show each failure with its trace, compared values and captured output, at most 1,000 without --json
    #[arg(long, conflicts_with_all = ["diff", "junit"])]
    pub failed: bool,
    /// List all tests, one on each line
    #[arg(short, long, conflicts_with_all = ["failed", "diff", "junit"])]
    pub all: bool,
    /// Compare with the results of this earlier process
    #[arg(long, value_name = "ID2", value_parser = reference, conflicts_with_all = ["junit", "attempt"],
          add = ArgValueCandidates::new(references))]
    pub diff: Option<String>,
    /// Write all results as JUnit XML to this file, or to standard output with -
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub junit: Option<PathBuf>,
    /// Show the results of this attempt [default: the latest attempt]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub attempt: Option<u32>,
}

/// Arguments of `rerun-failed`.
#[derive(Clone, Debug, Default, Args)]
pub struct RerunFailedArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Run in the background and print the id
    #[arg(short, long)]
    pub background: bool,
    /// Run the failed tests of this attempt [default: the latest attempt]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub attempt: Option<u32>,
    /// Print the command without running it
    #[arg(long)]
    pub dry_run: bool,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}
