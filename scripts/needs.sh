# Makes sure that what the checks and tests call is there. Sourced, never run.

# Versions that are known to work; another version that is already installed is taken as it is.
readonly NEXTEST_VERSION=0.9.143
readonly DENY_VERSION=0.20.2
readonly MUTANTS_VERSION=27.1.0
readonly FUZZ_VERSION=0.13.2

# What this machine is called by the compiler: programs are built into a directory of that name.
host_tuple() {
    rustc --version --verbose | sed -n 's/^host: //p'
}

in_ci() {
    [ "${CI:-}" = true ]
}

# need COMMAND PACKAGE: installs Debian's PACKAGE where COMMAND is missing and root's rights can be had without asking.
# Without COMMAND the tests that want it say that they are ignored; in CI nothing may be left out, so that it fails.
need() {
    local command=$1 package=$2
    command -v "$command" >/dev/null && return
    install_package "$package"
    command -v "$command" >/dev/null && return
    echo "$command is missing and could not be installed (Debian: apt-get install $package)" >&2
    if in_ci; then
        return 1
    fi
}

# install_package PACKAGE: tries to install Debian's PACKAGE without asking; whoever calls looks whether that worked.
install_package() {
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        root=(sudo -n)
    fi
    if command -v apt-get >/dev/null && "${root[@]}" true 2>/dev/null; then
        "${root[@]}" apt-get update -qq >&2 || true
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >&2 || true
    fi
}

# need_cargo SUBCOMMAND VERSION: installs a subcommand of cargo from crates.io where it is missing.
# Not optimised, which makes its build several times shorter; and from outside the workspace, whose linker settings are
# not meant for tools.
need_cargo() {
    local subcommand=$1 version=$2
    cargo "$subcommand" --version >/dev/null 2>&1 && return
    echo "installing cargo-$subcommand $version" >&2
    (cd / && cargo install --locked --debug --quiet "cargo-$subcommand@$version") >&2
}
