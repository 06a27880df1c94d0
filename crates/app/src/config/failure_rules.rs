//! The user's rules for finding the first error in the output of a failed command.

use longhaul_insight::failure::RuleSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Maximum size of the file with the rules, in bytes.
const MAX_RULES_LEN: u64 = 1024 * 1024;

/// The rules that the configuration key `failure.rules` names.
///
/// A manager can run processes without these rules. If the file with the rules cannot be used, the manager therefore
/// starts with the built-in rules and reports the fault.
#[derive(Clone, Debug, Default)]
pub enum FailureRules {
    /// The key names no file, so only the built-in rules apply.
    #[default]
    BuiltIn,
    /// The rules of the file, followed by the built-in rules.
    Own(Arc<RuleSet>),
    /// The file cannot be used, so only the built-in rules apply.
    Unusable(RulesFault),
}

/// The reason why the file with the rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesFault {
    /// Path of the file.
    pub path: PathBuf,
    /// The reason.
    pub why: String,
}

impl FailureRules {
    /// Reads the rules from a file. If `path` is `None`, only the built-in rules apply.
    pub(super) fn read(path: Option<PathBuf>) -> Self {
        let Some(path) = path else { return Self::BuiltIn };
        match read(&path) {
            Ok(rules) => Self::Own(Arc::new(rules)),
            Err(why) => Self::Unusable(RulesFault { path, why }),
        }
    }

    /// Returns the rules of the file, or `None` if only the built-in rules apply.
    #[must_use]
    pub fn own(&self) -> Option<&Arc<RuleSet>> {
        match self {
            Self::Own(rules) => Some(rules),
            Self::BuiltIn | Self::Unusable(_) => None,
        }
    }

    /// Returns the reason why the file cannot be used. Returns `None` if the file can be used, or if the key names no
    /// file.
    #[must_use]
    pub const fn fault(&self) -> Option<&RulesFault> {
        match self {
            Self::Unusable(fault) => Some(fault),
            Self::BuiltIn | Self::Own(_) => None,
        }
    }
}

impl RulesFault {
    /// Advice for the user.
    pub(crate) const HELP: &str =
        "correct the file or remove the key, then restart the manager; docs/tour.md shows a rule";
}

impl fmt::Display for RulesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failure.rules: {} cannot be used: {}", self.path.display(), self.why)
    }
}

fn read(path: &Path) -> Result<RuleSet, String> {
    // Accept only a regular file, because reading a device or a pipe might never end.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > MAX_RULES_LEN {
        return Err("the file is not a regular file of at most 1 MiB".to_owned());
    }
    let rules = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    RuleSet::parse(&rules).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_cannot_be_used_is_a_fault_and_leaves_the_built_in_rules() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("rules.toml");
        let read = |rules: &str| {
            std::fs::write(&path, rules).unwrap();
            FailureRules::read(Some(path.clone()))
        };
        let rule = "[[rule]]\nname = \"own\"\nkind = \"own\"\npattern = \"OWN: (?P<message>.+)\"\n";
        assert!(read(rule).own().is_some());
        let broken = read("[[rule]]\nname = \"own\"\n");
        assert!(broken.own().is_none());
        let told = broken.fault().unwrap().to_string();
        assert!(told.contains("failure.rules") && told.contains("rules.toml"), "{told}");
        std::fs::remove_file(&path).unwrap();
        let missing = FailureRules::read(Some(path));
        assert!(missing.fault().unwrap().to_string().contains("No such file"), "{missing:?}");
        let device = FailureRules::read(Some(PathBuf::from("/dev/zero")));
        assert!(device.fault().unwrap().why.contains("not a regular file"));
        let none = FailureRules::read(None);
        assert!(none.own().is_none() && none.fault().is_none());
    }
}
