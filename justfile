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

# Repeats tests, and fails at the first round that is not green.
flaky ROUNDS *ARGS:
    scripts/flaky {{ ROUNDS }} {{ ARGS }}

# Uses a manager with the clients that agents have: SDKs, conformance, generated requests.
clients *ARGS:
    cargo build -p longhaul --bins
    tests/clients/run {{ ARGS }}

# Checks bans, licences and sources of all dependencies.
deny:
    cargo deny --locked check bans licenses sources

# Writes the manual pages into a directory.
man DIR:
    cargo run -p longhaul-cli --example man -- {{ DIR }}

# Measures the product.
bench *ARGS:
    cargo build --release --workspace --bins
    cargo run --release -p longhaul-tests --bin bench -- {{ ARGS }}

# Replays one seed of the simulation with its log.
sim SEED:
    LONGHAUL_SIM_SEED={{ SEED }} cargo test -p longhaul-tests --test simulation -- --exact --nocapture a_seed_can_be_replayed

# Runs so many seeds of the simulation, from one on.
sim-many N FIRST="1":
    LONGHAUL_SIM_FIRST={{ FIRST }} LONGHAUL_SIM_SEEDS={{ N }} cargo test --release -p longhaul-tests --test simulation -- --exact --nocapture every_seed_keeps_every_promise

# Kills managers, supervisors and Redis under five nodes for so many seconds, and checks what came of it.
chaos *ARGS:
    scripts/chaos {{ ARGS }}

# Does everything that can happen at every crash point to the real programs; those whose rule holds a text, if one is given.
crash ONLY="":
    cargo build --workspace --bins
    LONGHAUL_CRASH_SECONDS=all LONGHAUL_CRASH_ONLY='{{ ONLY }}' cargo test -p longhaul-tests --test crash -- --nocapture --test-threads 1

# Kills, fails and cuts short every so manieth system call of manager and supervisors, from one on.
calls STRIDE="1" FIRST="1":
    cargo build --workspace --bins
    LONGHAUL_CALLS_STRIDE={{ STRIDE }} LONGHAUL_CALLS_FIRST={{ FIRST }} cargo test --workspace --test crash -- --nocapture system_call

# Cuts the power so many times in each way under each store, and fills disks; as root, with a loop device.
power CUTS="25":
    cargo build --workspace --bins
    LONGHAUL_CUTS={{ CUTS }} cargo test --workspace --test crash -- --nocapture --ignored

# Keeps two hundred processes alive for so many minutes, kills everything that may be, and looks what is left.
soak *ARGS:
    scripts/soak {{ ARGS }}

# Hands bytes of all sorts to everything that reads bytes of others, for so many seconds each.
fuzz *ARGS:
    scripts/fuzz {{ ARGS }}

# Runs what is too long for each change.
deep: crash calls power zoo (soak "10")

# Kills managers and supervisors of hostile and unreadable programs in every order, with each kind of containment.
zoo:
    LONGHAUL_ZOO_DEEP=1 scripts/test --test zoo -E 'test(whoever_is_killed_first)'

# Lists the tests of each requirement; fails if one has no test or no guard.
requirements *ARGS:
    scripts/requirements {{ ARGS }}

# Checks that each guarantee names tests, and that they are there.
guarantees:
    scripts/guarantees

# Takes out one guard after the other, or those of a group, and expects their tests to fail.
sabotage *ARGS:
    scripts/sabotage {{ ARGS }}

# Changes domain and engine in small ways, and lists the changes that no test of theirs notices.
mutants *ARGS:
    scripts/mutants {{ ARGS }}

# Tells which share of the lines of domain, ports and engine their tests run.
cover *ARGS:
    scripts/cover {{ ARGS }}
