//! Loom and shuttle tests live in `tests/`; this library is empty.
