//! The command line of longhaul: a client of a running manager
