# Shorthand; every recipe says what to run without just.

# Lists the recipes.
default:
    @just --list --unsorted

# Checks formatting, lints, documentation and dependencies; changes nothing.
check:
    scripts/check

# Formats, and applies what clippy can fix by itself.
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Runs all tests, or those that the arguments select.
test *ARGS:
    scripts/test {{ ARGS }}

# Checks bans, licences and sources of all dependencies.
deny:
    cargo deny --locked check bans licenses sources

# Measures the product.
bench *ARGS:
    cargo build --release --workspace --bins
    cargo run --release -p longhaul-tests --bin bench -- {{ ARGS }}
