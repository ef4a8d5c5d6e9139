//! In place of the glommio engine, in a build without the feature `glommio`: says so, and serves nothing.

use crate::meter::Board;
use crate::plan::{Control, EngineError, Plan, Running};
use crate::service::Service;
use std::sync::Arc;

/// Errors: always; this build has no such engine.
pub fn start<S: Service + 'static>(
    plan: Plan,
    _: Control,
    _: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
) -> Result<Running, EngineError> {
    Err(check(&plan).expect_err("there is no such engine"))
}

/// Errors: always; this build has no such engine.
pub fn check(_: &Plan) -> Result<(), EngineError> {
    Err(EngineError::Plan(
        "this build has no engine glommio: it was made without the feature `glommio`".into(),
    ))
}
