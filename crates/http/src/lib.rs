//! The HTTP face of longhaul
