# Ensures that the programs that checks and tests call are installed. This file is sourced by other scripts.

# Versions that are known to work; other installed versions are used as they are.
readonly NEXTEST_VERSION=0.9.143
readonly DENY_VERSION=0.20.2
readonly MUTANTS_VERSION=27.1.0
readonly FUZZ_VERSION=0.13.2

# Prints the host target of the compiler, which is also the name of the build directory.
host_tuple() {
    rustc --version --verbose | sed -n 's/^host: //p'
}

in_ci() {
    [ "${CI:-}" = true ]
}

# need COMMAND PACKAGE: installs the Debian package PACKAGE if COMMAND is missing and root rights are available
# without a password. Tests that need a missing COMMAND are reported as ignored; in CI a missing COMMAND is a failure.
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

# install_package PACKAGE: tries to install a Debian package without asking. The caller must check the result.
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

# need_cargo SUBCOMMAND VERSION: installs a missing subcommand of cargo from crates.io. The build is not optimised,
# which makes it several times faster. It runs outside the workspace, whose linker settings are not meant for tools.
need_cargo() {
    local subcommand=$1 version=$2
    cargo "$subcommand" --version >/dev/null 2>&1 && return
    echo "installing cargo-$subcommand $version" >&2
    (cd / && cargo install --locked --debug --quiet "cargo-$subcommand@$version") >&2
}
