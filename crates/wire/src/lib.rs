//! The serialised shapes of longhaul: what clients see and what stores keep
