//! stub
#[cfg(not(any(loom, shuttle)))]
pub mod commands;
#[cfg(not(any(loom, shuttle)))]
pub mod config;
#[cfg(not(any(loom, shuttle)))]
pub mod error;
pub mod record;
#[cfg(not(any(loom, shuttle)))]
pub mod resp;
#[cfg(not(any(loom, shuttle)))]
pub mod server;
#[cfg(not(any(loom, shuttle)))]
pub mod stats;
pub mod store;
pub mod sync;
pub mod table;
