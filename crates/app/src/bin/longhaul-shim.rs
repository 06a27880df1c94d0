//! Entry point of the program `longhaul-shim`, which supervises one attempt of a process. The crate `longhaul_shim`
//! contains the implementation.

fn main() {
    longhaul_shim::main()
}
