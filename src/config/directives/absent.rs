//! What redis-server has and this server has not: read, checked, kept and shown, without effect.

use super::form::{WRONG_COUNT, integer, one_of};
use super::{Change, Directive, Form, Inert};

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;
const LONG_BYTES: u64 = i64::MAX as u64;
const PORT: i64 = u16::MAX as i64;

// What the operator has to know, where it matters.
const NO_REPLICATION: &str = "there is no replication, this server is the only holder of its data";
const NO_CLUSTER: &str = "this server is no part of a cluster, it holds all keys by itself";
const NO_TLS: &str = "there is no TLS, connections are not encrypted";
const NO_USERS: &str = "there are no users but 'default', whose password is that of 'requirepass'";
const NO_NAMES: &str = "commands keep their names, also those that were to be hidden";
const NO_MODULES: &str = "there are no modules";
const NO_SYSLOG: &str = "messages go to the file of 'logfile' or to standard error";
const NO_CLIENT_EVICTION: &str = "clients are not disconnected for the memory they take together; \
                                  'client-output-buffer-limit' bounds each";

pub(super) const ROWS: &[Directive] = &[
    // Snapshots (RDB).
    inert("save", "", Inert::Forgotten(save_points)),
    inert("dbfilename", "dump.rdb", Inert::Text).change(Change::Protected),
    inert("rdbcompression", "yes", Inert::YesNo),
    inert("rdbchecksum", "yes", Inert::YesNo).change(Change::AtStart),
    inert("rdb-del-sync-files", "no", Inert::YesNo),
    inert("rdb-save-incremental-fsync", "yes", Inert::YesNo),
    inert("stop-writes-on-bgsave-error", "yes", Inert::YesNo),
    inert("sanitize-dump-payload", "no", Inert::Choice(&["no", "yes", "clients"])),
    inert("bgsave_cpulist", "", Inert::Text).change(Change::AtStart),
    // Habits of redis-server's log.
    inert("aof-load-truncated", "yes", Inert::YesNo),
    inert("aof-use-rdb-preamble", "yes", Inert::YesNo),
    inert("aof-timestamp-enabled", "no", Inert::YesNo),
    inert("aof-rewrite-incremental-fsync", "yes", Inert::YesNo),
    inert("aof-disable-auto-gc", "no", Inert::YesNo),
    inert("no-appendfsync-on-rewrite", "no", Inert::YesNo),
    inert("aof_rewrite_cpulist", "", Inert::Text).change(Change::AtStart),
    // Replication.
    dangerous("replicaof", "", Inert::Words(replica_of), NO_REPLICATION)
        .alias("slaveof")
        .change(Change::AtStart),
    inert("masterauth", "", Inert::Text).secret(),
    inert("masteruser", "", Inert::Text).secret(),
    inert("replica-serve-stale-data", "yes", Inert::YesNo).alias("slave-serve-stale-data"),
    inert("replica-read-only", "yes", Inert::YesNo).alias("slave-read-only"),
    inert("replica-lazy-flush", "no", Inert::YesNo).alias("slave-lazy-flush"),
    inert("replica-ignore-maxmemory", "yes", Inert::YesNo).alias("slave-ignore-maxmemory"),
    inert("replica-ignore-disk-write-errors", "no", Inert::YesNo),
    inert("replica-priority", "100", Inert::Integer(0, INT)).alias("slave-priority"),
    inert("replica-announced", "yes", Inert::YesNo),
    inert("replica-announce-ip", "", Inert::Text).alias("slave-announce-ip"),
    inert("replica-announce-port", "0", Inert::Integer(0, PORT)).alias("slave-announce-port"),
    inert("repl-ping-replica-period", "10", Inert::Integer(1, INT)).alias("repl-ping-slave-period"),
    inert("repl-timeout", "60", Inert::Integer(1, INT)),
    inert("repl-backlog-size", "1048576", Inert::Memory(1, LONG_BYTES)),
    inert("repl-backlog-ttl", "3600", Inert::Integer(0, LONG)),
    inert("repl-disable-tcp-nodelay", "no", Inert::YesNo),
    inert("repl-diskless-sync", "yes", Inert::YesNo),
    inert("repl-diskless-sync-delay", "5", Inert::Integer(0, INT)),
    inert("repl-diskless-sync-max-replicas", "0", Inert::Integer(0, INT)),
    inert("repl-diskless-load", "disabled", Inert::Choice(&["disabled", "on-empty-db", "swapdb"])),
    dangerous("min-replicas-to-write", "0", Inert::Integer(0, INT), NO_REPLICATION)
        .alias("min-slaves-to-write"),
    inert("min-replicas-max-lag", "10", Inert::Integer(0, INT)).alias("min-slaves-max-lag"),
    inert(
        "propagation-error-behavior",
        "ignore",
        Inert::Choice(&["ignore", "panic", "panic-on-replicas"]),
    ),
    // Cluster.
    dangerous("cluster-enabled", "no", Inert::YesNo, NO_CLUSTER).change(Change::AtStart),
    inert("cluster-config-file", "nodes.conf", Inert::Text).change(Change::AtStart),
    inert("cluster-node-timeout", "15000", Inert::Integer(0, LONG)),
    inert("cluster-port", "0", Inert::Integer(0, PORT)).change(Change::AtStart),
    inert("cluster-announce-ip", "", Inert::Text),
    inert("cluster-announce-hostname", "", Inert::Text),
    inert("cluster-announce-port", "0", Inert::Integer(0, PORT)),
    inert("cluster-announce-tls-port", "0", Inert::Integer(0, PORT)),
    inert("cluster-announce-bus-port", "0", Inert::Integer(0, PORT)),
    inert("cluster-replica-validity-factor", "10", Inert::Integer(0, INT))
        .alias("cluster-slave-validity-factor"),
    inert("cluster-migration-barrier", "1", Inert::Integer(0, INT)),
    inert("cluster-allow-replica-migration", "yes", Inert::YesNo),
    inert("cluster-require-full-coverage", "yes", Inert::YesNo),
    inert("cluster-replica-no-failover", "no", Inert::YesNo).alias("cluster-slave-no-failover"),
    inert("cluster-allow-reads-when-down", "no", Inert::YesNo),
    inert("cluster-allow-pubsubshard-when-down", "yes", Inert::YesNo),
    inert("cluster-link-sendbuf-limit", "0", Inert::Memory(0, LONG_BYTES)),
    inert(
        "cluster-preferred-endpoint-type",
        "ip",
        Inert::Choice(&["ip", "hostname", "unknown-endpoint"]),
    ),
    // Encryption.
    dangerous("tls-port", "0", Inert::Integer(0, PORT), NO_TLS),
    inert("tls-cluster", "no", Inert::YesNo),
    inert("tls-replication", "no", Inert::YesNo),
    inert("tls-auth-clients", "yes", Inert::Choice(&["no", "yes", "optional"])),
    inert("tls-prefer-server-ciphers", "no", Inert::YesNo),
    inert("tls-session-caching", "yes", Inert::YesNo),
    inert("tls-session-cache-size", "20480", Inert::Integer(0, INT)),
    inert("tls-session-cache-timeout", "300", Inert::Integer(0, INT)),
    inert("tls-cert-file", "", Inert::Text),
    inert("tls-key-file", "", Inert::Text),
    inert("tls-key-file-pass", "", Inert::Text).secret(),
    inert("tls-client-cert-file", "", Inert::Text),
    inert("tls-client-key-file", "", Inert::Text),
    inert("tls-client-key-file-pass", "", Inert::Text).secret(),
    inert("tls-dh-params-file", "", Inert::Text),
    inert("tls-ca-cert-file", "", Inert::Text),
    inert("tls-ca-cert-dir", "", Inert::Text),
    inert("tls-protocols", "", Inert::Text),
    inert("tls-ciphers", "", Inert::Text),
    inert("tls-ciphersuites", "", Inert::Text),
    // Users, modules, other names for commands.
    dangerous("aclfile", "", Inert::Text, NO_USERS).change(Change::AtStart),
    inert("acllog-max-len", "128", Inert::Integer(0, LONG)),
    inert("acl-pubsub-default", "resetchannels", Inert::Choice(&["allchannels", "resetchannels"])),
    file_only("user", 1, usize::MAX, NO_USERS).secret(),
    file_only("rename-command", 2, 2, NO_NAMES),
    file_only("loadmodule", 1, usize::MAX, NO_MODULES),
    inert("enable-module-command", "no", Inert::Choice(&["no", "yes", "local"]))
        .change(Change::AtStart),
    // How redis-server keeps other types of values.
    inert("hash-max-listpack-entries", "512", Inert::Integer(0, LONG))
        .alias("hash-max-ziplist-entries"),
    inert("hash-max-listpack-value", "64", Inert::Memory(0, LONG_BYTES))
        .alias("hash-max-ziplist-value"),
    inert("list-max-listpack-size", "-2", Inert::Integer(-INT - 1, INT))
        .alias("list-max-ziplist-size"),
    inert("list-compress-depth", "0", Inert::Integer(0, INT)),
    inert("set-max-intset-entries", "512", Inert::Integer(0, LONG)),
    inert("zset-max-listpack-entries", "128", Inert::Integer(0, LONG))
        .alias("zset-max-ziplist-entries"),
    inert("zset-max-listpack-value", "64", Inert::Memory(0, LONG_BYTES))
        .alias("zset-max-ziplist-value"),
    inert("hll-sparse-max-bytes", "3000", Inert::Memory(0, LONG_BYTES)),
    inert("stream-node-max-bytes", "4096", Inert::Memory(0, LONG_BYTES)),
    inert("stream-node-max-entries", "100", Inert::Integer(0, LONG)),
    // Its upkeep of memory and processors.
    dangerous("maxmemory-clients", "0", Inert::MemoryOrPercent, NO_CLIENT_EVICTION),
    inert("lazyfree-lazy-eviction", "no", Inert::YesNo),
    inert("lazyfree-lazy-expire", "no", Inert::YesNo),
    inert("lazyfree-lazy-server-del", "no", Inert::YesNo),
    inert("lazyfree-lazy-user-del", "no", Inert::YesNo),
    inert("lazyfree-lazy-user-flush", "no", Inert::YesNo),
    inert("activerehashing", "yes", Inert::YesNo),
    inert("dynamic-hz", "yes", Inert::YesNo),
    inert("activedefrag", "no", Inert::YesNo),
    inert("active-defrag-ignore-bytes", "104857600", Inert::Memory(1, LONG_BYTES)),
    inert("active-defrag-threshold-lower", "10", Inert::Integer(0, 1000)),
    inert("active-defrag-threshold-upper", "100", Inert::Integer(0, 1000)),
    inert("active-defrag-cycle-min", "1", Inert::Integer(1, 99)),
    inert("active-defrag-cycle-max", "25", Inert::Integer(1, 99)),
    inert("active-defrag-max-scan-fields", "1000", Inert::Integer(1, LONG)),
    inert("jemalloc-bg-thread", "yes", Inert::YesNo),
    inert("disable-thp", "yes", Inert::YesNo).change(Change::AtStart),
    inert("io-threads-do-reads", "no", Inert::YesNo).change(Change::AtStart),
    inert("server_cpulist", "", Inert::Text).change(Change::AtStart),
    inert("bio_cpulist", "", Inert::Text).change(Change::AtStart),
    inert("oom-score-adj", "no", Inert::Choice(&["no", "yes", "relative", "absolute"])),
    inert("oom-score-adj-values", "0 200 800", Inert::Words(oom_scores)),
    // The process, its messages, its end.
    dangerous("syslog-enabled", "no", Inert::YesNo, NO_SYSLOG).change(Change::AtStart),
    inert("syslog-ident", "redis", Inert::Text).change(Change::AtStart),
    inert("syslog-facility", "local0", Inert::Choice(FACILITIES)).change(Change::AtStart),
    inert("always-show-logo", "no", Inert::YesNo).change(Change::AtStart),
    inert("set-proc-title", "yes", Inert::YesNo).change(Change::AtStart),
    inert("proc-title-template", "{title} {listen-addr} {server-mode}", Inert::Text),
    inert("crash-log-enabled", "yes", Inert::YesNo),
    inert("crash-memcheck-enabled", "yes", Inert::YesNo),
    inert("shutdown-timeout", "10", Inert::Integer(0, INT)),
    inert("shutdown-on-sigint", "default", Inert::Words(shutdown_flags)),
    inert("shutdown-on-sigterm", "default", Inert::Words(shutdown_flags)),
    inert("ignore-warnings", "", Inert::Text),
    inert("bind-source-addr", "", Inert::Text),
    inert("socket-mark-id", "0", Inert::Integer(0, u32::MAX as i64)).change(Change::AtStart),
    inert("busy-reply-threshold", "5000", Inert::Integer(0, LONG)).alias("lua-time-limit"),
    inert("tracking-table-max-keys", "1000000", Inert::Integer(0, LONG)),
];

const FACILITIES: &[&str] =
    &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];

const fn inert(name: &'static str, default: &'static str, kind: Inert) -> Directive {
    dangerous(name, default, kind, "")
}

const fn dangerous(
    name: &'static str,
    default: &'static str,
    kind: Inert,
    danger: &'static str,
) -> Directive {
    Directive::new(name, Form::Inert { default, kind, danger })
}

const fn file_only(
    name: &'static str,
    least: usize,
    most: usize,
    danger: &'static str,
) -> Directive {
    Directive::new(name, Form::FileOnly { least, most, danger }).change(Change::AtStart)
}

/// Pairs of seconds and changes; or one empty word.
fn save_points(words: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    if words == [Vec::new()] {
        return Ok(Vec::new());
    }
    let is_good =
        |pair: &[Vec<u8>]| integer(&pair[0], 1, INT).is_ok() && integer(&pair[1], 0, INT).is_ok();
    match words.len().is_multiple_of(2) && words.chunks_exact(2).all(is_good) {
        true => Ok(words.join(&b' ')),
        false => Err("Invalid save parameters".to_owned()),
    }
}

/// A host and a port; `no one` and nothing are no host.
fn replica_of(words: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    match words {
        [empty] if empty.is_empty() => Ok(Vec::new()),
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => {
            Ok(Vec::new())
        }
        [_, port] if integer(port, 0, PORT).is_ok() => Ok(words.join(&b' ')),
        [_, _] => Err("Invalid master port".to_owned()),
        _ => Err(WRONG_COUNT.to_owned()),
    }
}

/// One score for each kind of process that redis-server has.
fn oom_scores(words: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    if words.len() != 3 {
        return Err(WRONG_COUNT.to_owned());
    }
    match words.iter().all(|word| integer(word, -2000, 2000).is_ok()) {
        true => Ok(words.join(&b' ')),
        false => {
            Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".to_owned())
        }
    }
}

/// Words that say how to stop, each once and in the order in which Redis shows them.
fn shutdown_flags(words: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    const DEFAULT: &str = "default";
    const FLAGS: [&str; 4] = ["save", "nosave", "now", "force"];
    let is = |word: &[u8], name: &str| name.as_bytes().eq_ignore_ascii_case(word);
    let is_known = |word: &Vec<u8>| is(word, DEFAULT) || FLAGS.iter().any(|flag| is(word, flag));
    if words.is_empty() || !words.iter().all(is_known) {
        return Err(one_of(&[&[DEFAULT], &FLAGS[..]].concat().join(", ")));
    }
    let is_given = |flag: &&str| words.iter().any(|word| is(word, flag));
    let given: Vec<_> = FLAGS.into_iter().filter(is_given).collect();
    match given.as_slice() {
        [] => Ok(DEFAULT.into()),
        ["save", "nosave", ..] => {
            Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned())
        }
        given => Ok(given.join(" ").into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn how_to_stop_is_shown_as_redis_shows_it() {
        for (given, shown) in
            [("default NOW", "now"), ("force NoSave force", "nosave force"), ("Default", "default")]
        {
            assert_eq!(shutdown_flags(&words(given)), Ok(shown.into()), "{given}");
        }
        assert!(shutdown_flags(&words("nosave save")).unwrap_err().ends_with("simultaneously"));
        assert!(shutdown_flags(&words("later")).is_err() && shutdown_flags(&[]).is_err());
    }

    #[test]
    fn no_one_is_no_host() {
        assert_eq!(replica_of(&words("NO one")), Ok(Vec::new()));
        assert_eq!(replica_of(&words("1.2.3.4 5")), Ok("1.2.3.4 5".into()));
        assert!(replica_of(&words("no two")).is_err());
    }
}
