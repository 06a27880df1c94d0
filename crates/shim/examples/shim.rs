//! The shim as an executable, for the tests of this package.

fn main() {
    longhaul_shim::main()
}
