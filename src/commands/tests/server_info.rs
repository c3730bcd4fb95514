//! INFO and CONFIG GET.

use super::Server;

/// The value of a field in an INFO text.
pub(super) fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let line = (text.lines()).find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no field {name} in {text}"))
}

#[test]
fn info_has_the_fields_that_clients_read() {
    let mut server = Server::new();
    let mut connection = server.connect();
    server.line(&mut connection, "SET a 1\r\nGET a\r\nGET b\r\nSELECT 3\r\nMSET x 1 y 2");
    let info = server.line(&mut connection, "INFO");
    assert_eq!(field(&info, "redis_version"), "7.0.15");
    assert_eq!(field(&info, "ferrum_version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(field(&info, "redis_mode"), "standalone");
    assert_eq!(field(&info, "arch_bits"), usize::BITS.to_string());
    assert_eq!(field(&info, "process_id"), std::process::id().to_string());
    assert_eq!(field(&info, "run_id").len(), 40);
    assert_eq!(field(&info, "tcp_port"), server.state.config.port.to_string());
    assert_eq!(field(&info, "maxclients"), "10000");
    assert_eq!(field(&info, "loading"), "0");
    assert_eq!(field(&info, "total_commands_processed"), "5");
    assert_eq!(field(&info, "keyspace_hits"), "1");
    assert_eq!(field(&info, "keyspace_misses"), "1");
    assert_eq!(field(&info, "role"), "master");
    assert_eq!(field(&info, "connected_slaves"), "0");
    assert_ne!(field(&info, "master_replid"), field(&info, "run_id"));
    assert_eq!(field(&info, "cluster_enabled"), "0");
    assert_eq!(field(&info, "db0"), "keys=1,expires=0,avg_ttl=0");
    assert_eq!(field(&info, "db3"), "keys=2,expires=0,avg_ttl=0");
    for numeric in ["used_memory", "used_memory_rss", "uptime_in_seconds", "connected_clients"] {
        assert!(field(&info, numeric).parse::<u64>().is_ok(), "{numeric}");
    }
    for decimal in ["used_cpu_sys", "used_cpu_user", "mem_fragmentation_ratio"] {
        assert!(field(&info, decimal).parse::<f64>().is_ok(), "{decimal}");
    }
}

#[test]
fn info_memory_has_the_fields_of_redis_in_their_order() {
    // What redis-server 7.0.15 shows.
    const FIELDS: &str = "used_memory used_memory_human used_memory_rss used_memory_rss_human \
        used_memory_peak used_memory_peak_human used_memory_peak_perc used_memory_overhead \
        used_memory_startup used_memory_dataset used_memory_dataset_perc allocator_allocated \
        allocator_active allocator_resident total_system_memory total_system_memory_human \
        used_memory_lua used_memory_vm_eval used_memory_lua_human used_memory_scripts_eval \
        number_of_cached_scripts number_of_functions number_of_libraries \
        used_memory_vm_functions used_memory_vm_total used_memory_vm_total_human \
        used_memory_functions used_memory_scripts used_memory_scripts_human maxmemory \
        maxmemory_human maxmemory_policy allocator_frag_ratio allocator_frag_bytes \
        allocator_rss_ratio allocator_rss_bytes rss_overhead_ratio rss_overhead_bytes \
        mem_fragmentation_ratio mem_fragmentation_bytes mem_not_counted_for_evict \
        mem_replication_backlog mem_total_replication_buffers mem_clients_slaves \
        mem_clients_normal mem_cluster_links mem_aof_buffer mem_allocator \
        active_defrag_running lazyfree_pending_objects lazyfreed_objects";
    let mut server = Server::new();
    let mut connection = server.connect();
    server.line(&mut connection, "SET a 1");
    let info = server.line(&mut connection, "INFO memory");
    let names: Vec<_> = info.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let expected: Vec<_> = FIELDS.split_whitespace().collect();
    assert_eq!(names[..expected.len()], expected[..]);
    let ours = |name: &&str| name.starts_with("mem_") || name.starts_with("ahe_");
    assert!(names[expected.len()..].iter().all(ours), "{names:?}");
    assert!(names.contains(&"ahe_alpha"));
    let used: u64 = field(&info, "used_memory").parse().expect("a number");
    // The pointers to the segments of one table and its two striped totals.
    assert!(used > 3 * (8 << 10), "{used} bytes");
}

#[test]
fn memory_tells_what_it_is_used_for() {
    let mut server = Server::new();
    let mut connection = server.connect();
    server.line(&mut connection, "SET a 1\r\nSELECT 3\r\nSET b 1");
    let stats = server.line(&mut connection, "MEMORY STATS");
    assert!(stats.starts_with("*58\r\n$14\r\npeak.allocated\r\n:"), "{stats}");
    let databases = ["$4\r\ndb.0\r\n*6\r\n$23\r\noverhead.hashtable.main\r\n:", "$4\r\ndb.3\r\n*6"];
    assert!(databases.iter().all(|database| stats.contains(database)), "{stats}");
    assert!(stats.contains("\r\nkeys.count\r\n:2\r\n"), "{stats}");
    let stats = server.line(&mut connection, "HELLO 3\r\nMEMORY STATS\r\nMEMORY USAGE none");
    assert!(stats.contains("%29\r\n") && stats.contains("peak.percentage\r\n,"), "{stats}");
    assert!(stats.ends_with("\r\n_\r\n"), "{stats}");
    assert_eq!(server.line(&mut connection, "MEMORY PURGE"), "+OK\r\n");
    let report = server.line(&mut connection, "MEMORY MALLOC-STATS");
    assert!(report.contains("jemalloc statistics"), "{report}");
    let text = server.line(&mut connection, "MEMORY DOCTOR");
    assert!(text.contains("memory"), "{text}");
    let help = server.line(&mut connection, "MEMORY HELP");
    assert!(help.contains("USAGE <key> [SAMPLES <count>]"), "{help}");
}

#[test]
fn info_shows_the_sections_asked_for_in_its_own_order() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let titles = |text: &str| -> Vec<String> {
        let titles = text.lines().filter_map(|line| line.strip_prefix("# "));
        titles.map(str::to_owned).collect()
    };
    let some = server.line(&mut connection, "INFO keyspace CPU clients nope cpu");
    assert_eq!(titles(&some), ["Clients", "CPU", "Keyspace"]);
    let default = server.line(&mut connection, "INFO");
    assert_eq!(titles(&default).len(), 12);
    let all = server.line(&mut connection, "INFO all");
    assert_eq!(titles(&all).len(), 14);
    for (name, same) in
        [("default", &default), ("ALL", &all), ("everything", &all), ("cpu all", &all)]
    {
        let text = server.line(&mut connection, &format!("INFO {name}"));
        assert_eq!(titles(&text), titles(same), "{name}");
    }
    assert_eq!(server.line(&mut connection, "INFO nope"), "$0\r\n\r\n");
    let header = format!("${}\r\n", some.len() - "$123\r\n\r\n".len());
    assert!(some.starts_with(&header), "{some}");
    assert!(some.contains("\r\n\r\n# CPU\r\n"), "a blank line between sections");
}

#[test]
fn settings_are_found_by_pattern() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let all = server.line(&mut connection, "CONFIG GET *");
    for name in ["save", "appendonly", "port", "bind", "maxclients", "io-threads", "loglevel"] {
        assert!(all.contains(&format!("\r\n{name}\r\n")), "{name}");
    }
    assert_eq!(
        server.line(&mut connection, "CONFIG GET save appendonly"),
        "*4\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$4\r\nsave\r\n$0\r\n\r\n"
    );
    assert_eq!(
        server
            .line(&mut connection, "HELLO 2\r\nCONFIG GET maxm*mory MAXMEMORY *-policy")
            .rsplit_once("modules\r\n*0\r\n")
            .expect("after HELLO")
            .1,
        "*4\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n"
    );
}

#[test]
fn maintenance_can_run_at_any_time() {
    let mut server = Server::new();
    let mut connection = server.connect();
    for _ in 0..100 {
        server.line(&mut connection, "SET a 1\r\nDEL a");
        server.engine.idle();
    }
    assert_eq!(server.line(&mut connection, "DBSIZE"), ":0\r\n");
}

#[test]
fn connections_are_numbered_from_one() {
    let server = Server::new();
    assert_eq!(server.state.next_client_id(), 1);
    assert_eq!(server.state.next_client_id(), 2);
}
