//! Arguments of `artifacts`.

use crate::completion::references;
use crate::value::reference;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  longhaul run --artifact 'reports/**/*.xml' --artifact target/site -- ./build
  longhaul artifacts @last                             list the kept files
  longhaul artifacts @last --get reports/unit.xml      print a file
  longhaul artifacts @last --get app.log --to app.log  write a file
  longhaul artifacts @last --to DIR                    write all files below a directory";

/// Arguments of `artifacts`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct ArtifactsArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Use the artifacts of this attempt [default: the latest attempt]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub attempt: Option<u32>,
    /// Print the content of this artifact
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub get: Option<String>,
    /// With --get: write the artifact to this file; without --get: write all artifacts to this directory
    #[arg(long, value_name = "FILE|DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub to: Option<PathBuf>,
}
