//! Builds the shim as a separate program for the tests of this package.

fn main() {
    longhaul_shim::main()
}
