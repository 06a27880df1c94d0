//! The shim as a program of its own, for this package's tests.

fn main() {
    longhaul_shim::main()
}
