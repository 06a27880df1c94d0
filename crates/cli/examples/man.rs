//! Writes the manual pages of `longhaul`: one page for each subcommand.
//!
//! ```text
//! cargo run -p longhaul-cli --example man -- DIR
//! ```

use clap::CommandFactory;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let dir =
        std::env::args_os().nth(1).map(PathBuf::from).ok_or("the directory for the pages is missing")?;
    std::fs::create_dir_all(&dir)?;
    clap_mangen::generate_to(longhaul_cli::Cli::command(), &dir)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let command = longhaul_cli::Cli::command();
        clap_mangen::generate_to(command.clone(), dir.path()).unwrap();
        for verb in command.get_subcommands() {
            let name = format!("longhaul-{}", verb.get_name());
            let page = std::fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
            assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        }
    }
}
