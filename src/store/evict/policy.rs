//! The policies, which the settings name too.

pub use crate::config::{Policy, Scope, Score};
