//! stub
pub mod commands;
pub mod config;
pub mod error;
pub mod record;
pub mod resp;
pub mod server;
pub mod stats;
pub mod store;
pub mod sync;
pub mod table;
