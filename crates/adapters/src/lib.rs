//! Driven adapters of longhaul, one module and one feature each
