//! The program that supervises one attempt of a process; see `longhaul_shim`.

fn main() {
    longhaul_shim::main()
}
