//! Checks that each crate imports only the crates that the table allows.

use crate::workspace::Package;
use std::fmt;

/// One row of the table of allowed imports: a crate, and the crates that it may import.
struct Row {
    package: &'static str,
    ours: Ours,
    foreign: Foreign,
}

/// The workspace crates that a crate may import.
enum Ours {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// The third-party crates that a crate may import.
enum Foreign {
    Only(&'static [&'static str]),
    /// Any third-party crate that [`HOMES`] does not reserve for another crate.
    Free,
    Any,
}

const TABLE: &[Row] = &[
    Row { package: "longhaul-domain", ours: Ours::Only(&[]), foreign: Foreign::Only(&["thiserror", "uuid"]) },
    Row {
        package: "longhaul-view",
        ours: Ours::Only(&["longhaul-domain"]),
        foreign: Foreign::Only(&["anstyle-parse", "memchr", "regex"]),
    },
    Row {
        package: "longhaul-insight",
        ours: Ours::Only(&["longhaul-view"]),
        foreign: Foreign::Only(&["memchr", "quick-xml", "regex", "serde", "serde_json", "thiserror", "toml"]),
    },
    Row {
        package: "longhaul-ports",
        ours: Ours::Only(&["longhaul-domain"]),
        foreign: Foreign::Only(&["async-trait", "futures-core", "thiserror"]),
    },
    Row {
        package: "longhaul-engine",
        ours: Ours::Only(&[
            "longhaul-domain",
            "longhaul-failpoint",
            "longhaul-insight",
            "longhaul-ports",
            "longhaul-view",
        ]),
        foreign: Foreign::Free,
    },
    Row {
        package: "longhaul-wire",
        ours: Ours::Only(&["longhaul-domain"]),
        foreign: Foreign::Only(&["schemars", "serde", "serde_json", "thiserror", "uuid"]),
    },
    Row {
        package: "longhaul-adapters",
        ours: Ours::Only(&[
            "longhaul-domain",
            "longhaul-failpoint",
            "longhaul-ports",
            "longhaul-shim",
            "longhaul-wire",
        ]),
        foreign: Foreign::Free,
    },
    Row {
        package: "longhaul-shim",
        ours: Ours::Only(&["longhaul-failpoint"]),
        foreign: Foreign::Only(&["libc", "rustix"]),
    },
    Row { package: "longhaul-failpoint", ours: Ours::Only(&[]), foreign: Foreign::Only(&[]) },
    Row {
        package: "longhaul-api",
        ours: Ours::Only(&["longhaul-domain", "longhaul-engine", "longhaul-view", "longhaul-wire"]),
        foreign: Foreign::Free,
    },
    Row {
        package: "longhaul-http",
        ours: Ours::Only(&["longhaul-api", "longhaul-domain", "longhaul-engine", "longhaul-wire"]),
        foreign: Foreign::Free,
    },
    Row {
        package: "longhaul-mcp",
        ours: Ours::Only(&["longhaul-api", "longhaul-domain", "longhaul-engine", "longhaul-wire"]),
        foreign: Foreign::Free,
    },
    Row { package: "longhaul-client", ours: Ours::Only(&["longhaul-wire"]), foreign: Foreign::Free },
    Row {
        package: "longhaul-cli",
        ours: Ours::Only(&["longhaul-client", "longhaul-view", "longhaul-wire"]),
        foreign: Foreign::Free,
    },
    Row { package: "longhaul", ours: Ours::AllBut(&["longhaul-testkit"]), foreign: Foreign::Free },
    Row {
        package: "longhaul-testkit",
        ours: Ours::Only(&["longhaul-domain", "longhaul-ports"]),
        foreign: Foreign::Free,
    },
    Row { package: "longhaul-tests", ours: Ours::AllBut(&[]), foreign: Foreign::Any },
];

/// Third-party crates that only some workspace crates may import.
const HOMES: &[(&str, &[&str])] = &[
    ("anyhow", &["longhaul", "longhaul-cli"]),
    ("axum", &["longhaul-http"]),
    ("clap", &["longhaul", "longhaul-cli"]),
    ("clap_complete", &["longhaul", "longhaul-cli"]),
    ("mockall", &["longhaul-testkit"]),
    ("proptest", &["longhaul-testkit"]),
    ("redis", &["longhaul-adapters"]),
    ("rmcp", &["longhaul-mcp"]),
    ("rusqlite", &["longhaul-adapters"]),
    (
        "tokio",
        &[
            "longhaul",
            "longhaul-adapters",
            "longhaul-api",
            "longhaul-cli",
            "longhaul-client",
            "longhaul-engine",
            "longhaul-http",
            "longhaul-mcp",
            "longhaul-testkit",
        ],
    ),
    ("tracing-subscriber", &["longhaul"]),
    ("utoipa", &["longhaul-http"]),
];

/// An import that the table does not allow, or a crate that is not in the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    Unlisted { package: String },
    Ours { package: String, import: String },
    Foreign { package: String, import: String },
    Homeless { package: String, import: String, homes: &'static [&'static str] },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted { package } => write!(f, "{package} has no row in the table of imports"),
            Self::Ours { package, import } => write!(f, "{package} must not import our {import}"),
            Self::Foreign { package, import } => {
                write!(f, "{package} imports {import}, which is not in its list of foreign crates")
            }
            Self::Homeless { package, import, homes } => {
                write!(f, "{package} imports {import}, which only {} may import", homes.join(", "))
            }
        }
    }
}

/// Finds every import that the table does not allow.
pub(crate) fn breaches(packages: &[Package]) -> Vec<Breach> {
    packages.iter().flat_map(|package| breaches_of(package, packages)).collect()
}

fn breaches_of(package: &Package, packages: &[Package]) -> Vec<Breach> {
    let Some(row) = TABLE.iter().find(|row| row.package == package.name) else {
        return vec![Breach::Unlisted { package: package.name.clone() }];
    };
    package
        .imports
        .iter()
        .filter_map(|import| {
            if packages.iter().any(|other| other.name == *import) {
                breach_of_ours(row, import)
            } else {
                breach_of_foreign(row, import)
            }
        })
        .collect()
}

fn breach_of_ours(row: &Row, import: &str) -> Option<Breach> {
    let allowed = match row.ours {
        Ours::Only(list) => list.contains(&import),
        Ours::AllBut(list) => !list.contains(&import),
    };
    (!allowed).then(|| Breach::Ours { package: row.package.to_owned(), import: import.to_owned() })
}

fn breach_of_foreign(row: &Row, import: &str) -> Option<Breach> {
    let (package, import_name) = (row.package.to_owned(), import.to_owned());
    match row.foreign {
        Foreign::Any => None,
        Foreign::Only(list) => {
            (!list.contains(&import)).then_some(Breach::Foreign { package, import: import_name })
        }
        Foreign::Free => {
            let (_, homes) = HOMES.iter().find(|(kept, _)| *kept == import)?;
            (!homes.contains(&row.package)).then_some(Breach::Homeless {
                package,
                import: import_name,
                homes,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_rules_with_a_runtime_are_reported() {
        let breach = only_breach("longhaul-domain", "tokio");
        assert_eq!(breach, "longhaul-domain imports tokio, which is not in its list of foreign crates");
    }

    #[test]
    fn client_that_imports_the_engine_is_reported() {
        assert_eq!(
            only_breach("longhaul-cli", "longhaul-engine"),
            "longhaul-cli must not import our longhaul-engine"
        );
    }

    #[test]
    fn kit_in_the_product_is_reported() {
        assert_eq!(
            only_breach("longhaul", "longhaul-testkit"),
            "longhaul must not import our longhaul-testkit"
        );
    }

    #[test]
    fn web_server_outside_its_crate_is_reported() {
        assert_eq!(
            only_breach("longhaul-engine", "axum"),
            "longhaul-engine imports axum, which only longhaul-http may import"
        );
    }

    #[test]
    fn runtime_in_the_shim_and_in_the_wire_is_reported() {
        for package in ["longhaul-shim", "longhaul-wire", "longhaul-view", "longhaul-ports"] {
            assert!(only_breach(package, "tokio").starts_with(&format!("{package} imports tokio")));
        }
    }

    #[test]
    fn crate_without_a_row_is_reported() {
        let breaches = breaches(&[package("longhaul-extra", &[])]);
        assert_eq!(breaches, [Breach::Unlisted { package: "longhaul-extra".to_owned() }]);
    }

    #[test]
    fn imports_that_the_table_allows_are_not_reported() {
        let packages = [
            package("longhaul-domain", &["thiserror", "uuid"]),
            package("longhaul-engine", &["longhaul-domain", "tokio", "tracing"]),
            package("longhaul-testkit", &["longhaul-domain", "proptest"]),
            package("longhaul-tests", &["longhaul-engine", "longhaul-testkit", "axum"]),
        ];
        assert_eq!(breaches(&packages), []);
    }

    #[test]
    fn every_reserved_crate_has_a_row() {
        for home in HOMES.iter().flat_map(|(_, homes)| *homes) {
            assert!(TABLE.iter().any(|row| row.package == *home), "{home}");
        }
    }

    /// Adds one forbidden import to a workspace without breaches, and returns the breach that the check reports.
    fn only_breach(importer: &str, import: &str) -> String {
        let packages: Vec<Package> = TABLE
            .iter()
            .map(|row| {
                if row.package == importer { package(importer, &[import]) } else { package(row.package, &[]) }
            })
            .collect();
        let breaches = breaches(&packages);
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        breaches[0].to_string()
    }

    fn package(name: &str, imports: &[&str]) -> Package {
        let imports = imports.iter().map(|import| (*import).to_owned()).collect();
        Package { name: name.to_owned(), imports, manifest: String::new() }
    }
}
