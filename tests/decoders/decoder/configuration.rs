//! Decodes a configuration file, and the settings that result from it.

use super::{Verdict, scratch};
use longhaul::config::{ConfigSources, Layers, ManagerConfig, show, show_json};
use std::path::{Path, PathBuf};

pub(super) fn take(bytes: &[u8]) -> Verdict {
    scratch::with(|directory| {
        let file = directory.join("config.toml");
        std::fs::write(&file, bytes).map_err(|error| error.to_string())?;
        let (one, other) = (read(&file), read(&file));
        let texts = |layers: &Layers| (show(layers, true), show_json(layers).to_string());
        assert_eq!(one.as_ref().map(texts), other.as_ref().map(texts), "two decodings differ");
        let layers = one?;
        ManagerConfig::of(&layers, Path::new("/nonexistent/state"))
            .map(drop)
            .map_err(|error| error.to_string())
    })
}

fn read(file: &Path) -> Result<Layers, String> {
    let sources = ConfigSources { user_file: Some(PathBuf::from(file)), ..ConfigSources::default() };
    sources.read().map_err(|error| error.to_string())
}
