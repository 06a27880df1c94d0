//! The workspace as plain values: its packages, their imports, their source files.

use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The data that the workspace rules check.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) sources: Vec<Source>,
    /// The Markdown pages in the root folder and in `docs`.
    pub(crate) pages: Vec<Source>,
    /// The files in `scripts`, and the justfile.
    pub(crate) scripts: Vec<Source>,
    /// The text of ARCHITECTURE.md.
    pub(crate) architecture: String,
    /// The paths of all files and folders in the root folder and in crates, tests, docs and fuzz, relative to the root.
    pub(crate) paths: Vec<String>,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Names of the packages that the package depends on, without dev-dependencies.
    pub(crate) imports: Vec<String>,
    pub(crate) manifest: String,
}

/// One source file, with its path relative to the root of the workspace.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Workspace {
    /// Reads the list of packages from cargo, and reads the source files, pages and scripts.
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the tests are not in a workspace")?;
        let mut found = Vec::new();
        for folder in ["crates", "tests", "docs", "fuzz"] {
            find_below(root.join(folder), &mut found)?;
        }
        found.sort();
        let mut paths = found.iter().map(|path| from_root(root, path)).collect::<Result<Vec<_>, _>>()?;
        let of_rust =
            |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "rs") && path.is_file();
        let inside =
            |path: &&PathBuf| ["crates", "tests"].iter().any(|folder| path.starts_with(root.join(folder)));
        let sources = found
            .iter()
            .filter(inside)
            .filter(of_rust)
            .map(|file| read_source(root, file))
            .collect::<Result<_, _>>()?;
        let at_root =
            fs::read_dir(root)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
        for path in &at_root {
            paths.push(from_root(root, path)?);
        }
        let in_docs = found.iter().filter(|path| path.starts_with(root.join("docs"))).cloned();
        let pages = at_root
            .into_iter()
            .chain(in_docs)
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .map(|file| read_source(root, &file))
            .collect::<Result<_, _>>()?;
        let mut scripts = vec![root.join("justfile")];
        find_below(root.join("scripts"), &mut scripts)?;
        let scripts = scripts
            .iter()
            .filter(|path| path.is_file())
            .map(|file| read_source(root, file))
            .collect::<Result<_, _>>()?;
        let architecture = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
        Ok(Self { packages: read_packages(root)?, sources, pages, scripts, architecture, paths })
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

fn find_below(path: PathBuf, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        for entry in fs::read_dir(&path)? {
            let below = entry?.path();
            if below.file_name().is_none_or(|name| name != "target" && name != "node_modules") {
                find_below(below, found)?;
            }
        }
    }
    found.push(path);
    Ok(())
}

fn from_root(root: &Path, path: &Path) -> Result<String, Box<dyn Error>> {
    Ok(path.strip_prefix(root)?.to_string_lossy().into_owned())
}

fn read_source(root: &Path, file: &Path) -> Result<Source, Box<dyn Error>> {
    Ok(Source { path: from_root(root, file)?, text: fs::read_to_string(file)? })
}
