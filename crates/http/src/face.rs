//! What every route works with.

use crate::convert::LaunchDefaults;
use longhaul_engine::Engine;
use longhaul_wire::api::{RetentionView, Version};
use std::sync::Arc;

/// What every route works with. Clones share it.
#[derive(Clone, Debug)]
pub struct Face {
    /// Does the work.
    pub engine: Engine,
    /// Who answers.
    pub about: Arc<Version>,
    /// What a launch gets that asks for nothing else.
    pub defaults: LaunchDefaults,
    /// The rule by which ended records are let go; none keeps them.
    pub retention: Option<RetentionView>,
}
