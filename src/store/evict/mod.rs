//! Eviction: what goes when memory is full.

pub mod ahe;
