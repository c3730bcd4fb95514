//! Our store in this process, bounded by a number of keys.

use crate::cache::Cache;

/// An empty store with a policy and a bound; none while the store has no such bound.
pub(crate) fn open(_policy: &str, _objects: usize) -> Option<Box<dyn Cache>> {
    None
}
