//! The use cases of longhaul over its ports: the only impure loop
