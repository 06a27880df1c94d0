//! What stores keep.
