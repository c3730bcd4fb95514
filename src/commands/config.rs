//! CONFIG GET: the settings, one row each.

use super::context::Context;
use super::glob::{self, Case};
use super::row::Outcome;
use crate::config::Config;
use crate::resp::Args;

/// A setting that can be asked for.
struct Setting {
    name: &'static str,
    show: fn(&Config) -> String,
}

/// Every setting. Those that have one possible value as yet are here because clients and tools ask
/// for them before they do anything else.
const SETTINGS: &[Setting] = &[
    Setting { name: "appendonly", show: |_| "no".to_owned() },
    Setting { name: "bind", show: |config| config.address.host.clone() },
    Setting {
        name: "client-query-buffer-limit",
        show: |config| config.client_query_buffer_limit_bytes.to_string(),
    },
    Setting { name: "databases", show: |config| config.databases.to_string() },
    Setting { name: "io-threads", show: |config| config.workers().to_string() },
    Setting { name: "loglevel", show: |config| config.log_level.to_string() },
    Setting { name: "maxclients", show: |config| config.max_clients.to_string() },
    Setting { name: "maxmemory", show: |_| "0".to_owned() },
    Setting { name: "maxmemory-policy", show: |_| "noeviction".to_owned() },
    Setting { name: "port", show: |config| config.address.port.to_string() },
    Setting {
        name: "proto-max-bulk-len",
        show: |config| config.proto_max_bulk_len_bytes.to_string(),
    },
    Setting { name: "save", show: |_| String::new() },
    Setting { name: "timeout", show: |config| config.client_timeout_seconds.to_string() },
];

/// CONFIG GET pattern [pattern ...]: each matching setting once. As in Redis, a setting asked for
/// by its plain name is returned under the name as it was written.
pub(super) fn get<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let found: Vec<_> = (SETTINGS.iter())
        .filter_map(|setting| {
            let mut patterns = args.iter().skip(2);
            let name = setting.name.as_bytes();
            let pattern = patterns.find(|it| glob::matches(it, name, Case::Insensitive))?;
            let is_name = pattern.eq_ignore_ascii_case(name);
            Some((if is_name { pattern } else { name }, setting))
        })
        .collect();
    context.out.map(found.len());
    for (name, setting) in found {
        context.out.bulk(name);
        context.out.bulk((setting.show)(&context.state.config).as_bytes());
    }
    Ok(())
}
