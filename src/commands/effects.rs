//! What is done when settings change: from the new values to the words and places where the rest of
//! the server looks.

use super::context::Context;
use crate::config::Config;
use crate::store::Settings as Eviction;

/// What brings some settings into force.
pub(super) struct Effect {
    /// The directives.
    names: &'static [&'static str],
    /// Brings their new values into force, or says why they cannot be. Called again with the old
    /// ones when another setting of the same CONFIG SET cannot be brought into force.
    apply: fn(&Context<'_>, &Config) -> Result<(), String>,
}

/// All effects. A directive that may change, has an effect and is in none of these is read from
/// `ServerState::settings` whenever it is needed, or belongs to the sockets (module `listening`).
const EFFECTS: &[Effect] = &[
    Effect {
        names: &["loglevel"],
        apply: |_, config| {
            log::set_max_level(config.log_level.filter());
            Ok(())
        },
    },
    Effect {
        names: &[
            "hz",
            "active-expire-effort",
            "timeout",
            "tcp-keepalive",
            "protected-mode",
            "client-query-buffer-limit",
            "proto-max-bulk-len",
            "slowlog-log-slower-than",
            "slowlog-max-len",
            "latency-monitor-threshold",
            "latency-tracking",
        ],
        apply: |context, config| {
            context.state.tunables.follow(config);
            Ok(())
        },
    },
    Effect {
        names: &["maxclients"],
        apply: |context, config| context.state.set_max_clients(config.max_clients),
    },
    Effect {
        names: &["requirepass"],
        apply: |context, config| {
            context.state.access.set_password(&config.require_pass.0);
            Ok(())
        },
    },
    Effect {
        names: &["client-output-buffer-limit"],
        apply: |context, config| {
            let limits = &context.state.tunables.client_output_buffer_limits;
            limits.set(&config.client_output_buffer_limits);
            Ok(())
        },
    },
    Effect {
        names: &["notify-keyspace-events"],
        apply: |context, config| {
            context.state.set_notify_keyspace_events(config.notify_keyspace_events);
            Ok(())
        },
    },
    Effect { names: &["maxmemory"], apply: set_max_memory },
    Effect {
        names: &[
            "maxmemory-policy",
            "maxmemory-samples",
            "maxmemory-eviction-tenacity",
            "lfu-log-factor",
            "lfu-decay-time",
        ],
        apply: |context, config| {
            let eviction = eviction(context);
            eviction.set_policy(config.max_memory_policy);
            eviction.set_samples(config.max_memory_samples);
            eviction.set_tenacity(config.max_memory_eviction_tenacity);
            eviction.set_lfu_log_factor(config.lfu_log_factor);
            eviction.set_lfu_decay_minutes(config.lfu_decay_time_minutes);
            Ok(())
        },
    },
    Effect {
        names: &["appendfsync"],
        apply: |context, config| {
            context.state.set_append_fsync(config.append_fsync);
            Ok(())
        },
    },
    Effect {
        names: &["auto-aof-rewrite-percentage", "auto-aof-rewrite-min-size"],
        apply: |context, config| {
            let persistence = &context.state.persistence;
            persistence.set_rewrite_percentage(config.auto_aof_rewrite_percentage.into());
            persistence.set_rewrite_min_size_bytes(config.auto_aof_rewrite_min_size_bytes);
            Ok(())
        },
    },
    // The last one: what fails before leaves the log alone.
    Effect {
        names: &["appendonly"],
        apply: |context, config| context.state.persistence.turn(config.append_only),
    },
];

/// Brings the settings of these names into force, all of them or, when one cannot be, none.
///
/// # Errors
/// The name of that one, and why.
pub(super) fn bring_into_force(
    context: &Context<'_>,
    names: &[&'static str],
    old: &Config,
    new: &Config,
) -> Result<(), (&'static str, String)> {
    let concerned = |effect: &&Effect| effect.names.iter().any(|name| names.contains(name));
    let mut done: Vec<&Effect> = Vec::new();
    for effect in EFFECTS.iter().filter(concerned) {
        if let Err(reason) = (effect.apply)(context, new) {
            for effect in done {
                // What was in force before can be brought into force again; if not, the error to
                // report is the first one.
                let _ = (effect.apply)(context, old);
            }
            let name = names.iter().find(|name| effect.names.contains(name));
            return Err((name.unwrap_or(&""), reason));
        }
        done.push(effect);
    }
    Ok(())
}

fn eviction<'s>(context: &Context<'s>) -> &'s Eviction {
    context.state.keyspace.eviction().settings()
}

/// Sets `maxmemory`, and says in Redis's words if it is less than the data takes already.
fn set_max_memory(context: &Context<'_>, config: &Config) -> Result<(), String> {
    let bytes = config.max_memory_bytes;
    let settings = eviction(context);
    let is_new = settings.max_bytes() != bytes;
    settings.set_max_bytes(bytes);
    let used_bytes = match is_new && bytes > 0 {
        true => context.state.keyspace.report(&context.session).used_bytes,
        false => 0,
    };
    if bytes < used_bytes {
        log::warn!(
            "WARNING: the new maxmemory value set via CONFIG SET ({bytes}) is smaller than the \
             current memory usage ({used_bytes}). This will result in key eviction and/or the \
             inability to accept new write commands depending on the maxmemory-policy."
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::EFFECTS;
    use crate::config::directives::{self, Change};

    /// Settings that are read from `ServerState::settings`.
    const READ_WHEN_NEEDED: [&str; 1] = ["latency-tracking-info-percentiles"];

    /// Settings that come into force with sockets (module `listening`).
    const WITH_SOCKETS: [&str; 2] = ["bind", "port"];

    #[test]
    fn every_setting_that_may_change_has_one_effect() {
        for row in directives::all().filter(|row| row.has_effect()) {
            let effects = EFFECTS.iter().filter(|effect| effect.names.contains(&row.name)).count();
            let others = [&READ_WHEN_NEEDED[..], &WITH_SOCKETS].concat();
            let expected = row.change == Change::AnyTime && !others.contains(&row.name);
            assert_eq!(effects, usize::from(expected), "{}", row.name);
        }
        let names = EFFECTS.iter().flat_map(|effect| effect.names);
        assert!(names.into_iter().all(|name| directives::find(name.as_bytes()).is_some()));
    }
}
