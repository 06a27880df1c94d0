//! The workspace as plain values: its packages, their imports, their source files.

use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the rules are checked against.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) sources: Vec<Source>,
}

/// One member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Packages that it builds with; those for its tests alone are left out.
    pub(crate) imports: Vec<String>,
    pub(crate) manifest: String,
}

/// One source file, by its path from the root of the workspace.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Workspace {
    /// Asks cargo for the packages and reads the sources of crates and tests.
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the tests stand in no workspace")?;
        let mut files = Vec::new();
        for folder in ["crates", "tests"] {
            find_sources(&root.join(folder), &mut files)?;
        }
        files.sort();
        let sources = files.iter().map(|file| read_source(root, file)).collect::<Result<_, _>>()?;
        Ok(Self { packages: read_packages(root)?, sources })
    }
}

fn read_packages(root: &Path) -> Result<Vec<Package>, Box<dyn Error>> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    elements(&metadata, "packages").map(read_package).collect()
}

fn read_package(package: &Value) -> Result<Package, Box<dyn Error>> {
    let manifest = fs::read_to_string(text(package, "manifest_path")?)?;
    let imports = elements(package, "dependencies")
        .filter(|import| import.get("kind").and_then(Value::as_str) != Some("dev"))
        .map(|import| text(import, "name"))
        .collect::<Result<_, _>>()?;
    Ok(Package { name: text(package, "name")?, imports, manifest })
}

fn elements<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> Result<String, Box<dyn Error>> {
    let text = value.get(key).and_then(Value::as_str);
    Ok(text.ok_or_else(|| format!("cargo metadata has no text {key}"))?.to_owned())
}

fn find_sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn read_source(root: &Path, file: &Path) -> Result<Source, Box<dyn Error>> {
    let path = file.strip_prefix(root)?.to_string_lossy().into_owned();
    Ok(Source { path, text: fs::read_to_string(file)? })
}
