# Shortcuts. Each recipe shows the command to run without just.

# Lists the recipes.
default:
    @just --list --unsorted

# Checks formatting, lints, documentation and dependencies; changes nothing.
check:
    scripts/check

# Formats, and applies the fixes of clippy.
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Runs all tests, or those that the arguments select.
test *ARGS:
    scripts/test {{ ARGS }}

# Repeats tests, and fails at the first round with a failure.
flaky ROUNDS *ARGS:
    scripts/flaky {{ ROUNDS }} {{ ARGS }}

# Tests a manager with the clients that agents use: SDKs, conformance, generated requests.
clients *ARGS:
    cargo build -p longhaul --bins
    tests/clients/run {{ ARGS }}

# Checks bans, licences and sources of all dependencies.
deny:
    cargo deny --locked check bans licenses sources

# Writes the manual pages into a directory.
man DIR:
    cargo run -p longhaul-cli --example man -- {{ DIR }}

# Counts the lines of code of the product, for each crate.
lines *ARGS:
    scripts/lines {{ ARGS }}

# Measures the product.
bench *ARGS:
    cargo build --release --workspace --bins
    cargo run --release -p longhaul-tests --bin bench -- {{ ARGS }}

# Replays one seed of the simulation with its log.
sim SEED:
    LONGHAUL_SIM_SEED={{ SEED }} cargo test -p longhaul-tests --test simulation -- --exact --nocapture a_seed_can_be_replayed

# Runs a number of seeds of the simulation, starting at FIRST.
sim-many N FIRST="1":
    LONGHAUL_SIM_FIRST={{ FIRST }} LONGHAUL_SIM_SEEDS={{ N }} cargo test --release -p longhaul-tests --test simulation -- --exact --nocapture no_seed_breaks_a_promise

# Kills managers, shims and Redis under five nodes for a number of seconds, and checks the results.
chaos *ARGS:
    scripts/chaos {{ ARGS }}

# Injects every fault at every crash point of the real programs; ONLY selects the rules that contain a text.
crash ONLY="":
    cargo build --workspace --bins
    LONGHAUL_CRASH_SECONDS=all LONGHAUL_CRASH_ONLY='{{ ONLY }}' cargo test -p longhaul-tests --test crash -- --nocapture --test-threads 1

# Kills, fails or cuts short every STRIDEth system call of managers and shims, starting at FIRST.
calls STRIDE="1" FIRST="1":
    cargo build --workspace --bins
    LONGHAUL_CALLS_STRIDE={{ STRIDE }} LONGHAUL_CALLS_FIRST={{ FIRST }} cargo test --workspace --test crash -- --nocapture system_call

# Cuts the power CUTS times in each way under each store, and fills disks; needs root and a loop device.
power CUTS="25":
    cargo build --workspace --bins
    LONGHAUL_CUTS={{ CUTS }} cargo test --workspace --test crash -- --nocapture --ignored

# Keeps two hundred processes alive for a number of minutes while programs are killed, and checks for leaks.
soak *ARGS:
    scripts/soak {{ ARGS }}

# Fuzzes every decoder of untrusted bytes, for a number of seconds each.
fuzz *ARGS:
    scripts/fuzz {{ ARGS }}

# Runs the tests that take too long for each change.
deep: crash calls power zoo (soak "10")

# Kills managers and shims of hostile and unreadable programs in every order, with each kind of containment.
zoo:
    LONGHAUL_ZOO_DEEP=1 scripts/test --test zoo -E 'test(every_order_of_kills)'

# Lists the tests of each requirement; fails if one has no test or no guard.
requirements *ARGS:
    scripts/requirements {{ ARGS }}

# Checks that each guarantee names tests that exist.
guarantees:
    scripts/guarantees

# Removes one guard after the other, or those of a group, and checks that their tests fail.
sabotage *ARGS:
    scripts/sabotage {{ ARGS }}

# Makes small changes to domain and engine, and lists the changes that their tests do not notice.
mutants *ARGS:
    scripts/mutants {{ ARGS }}

# Measures the line coverage of domain, ports and engine by their tests.
cover *ARGS:
    scripts/cover {{ ARGS }}
