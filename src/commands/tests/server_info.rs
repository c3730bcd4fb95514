//! INFO and CONFIG GET.

use super::Server;

/// The value of a field in an INFO text.
fn field<'t>(text: &'t str, name: &str) -> &'t str {
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
    assert_eq!(field(&info, "tcp_port"), server.state.config.address.port.to_string());
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
fn info_shows_the_sections_asked_for_in_its_own_order() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let titles = |text: &str| -> Vec<String> {
        let titles = text.lines().filter_map(|line| line.strip_prefix("# "));
        titles.map(str::to_owned).collect()
    };
    let some = server.line(&mut connection, "INFO keyspace CPU clients nope cpu");
    assert_eq!(titles(&some), ["Clients", "CPU", "Keyspace"]);
    let all = server.line(&mut connection, "INFO");
    assert_eq!(titles(&all).len(), 9);
    for name in ["default", "ALL", "everything", "cpu all"] {
        let text = server.line(&mut connection, &format!("INFO {name}"));
        assert_eq!(titles(&text), titles(&all), "{name}");
    }
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
