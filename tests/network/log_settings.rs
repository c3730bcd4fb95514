//! The settings of the log, at run time too, and what INFO tells of it.

use super::harness::{LogFile, Model, Server, strings_in, wait_until};

/// The value that CONFIG GET gives for a name.
fn config(server: &Server, name: &str) -> String {
    let reply = server.connect().call(&["CONFIG", "GET", name]);
    let strings = strings_in(&reply);
    assert_eq!(strings.len(), 2, "{name}: {}", reply.escape_ascii());
    String::from_utf8(strings[1].clone()).expect("text")
}

#[test]
fn the_settings_of_the_log_can_be_read_and_changed() {
    let log = LogFile::new();
    let server = Server::with(&log.flags("everysec"));
    let mut client = server.connect();
    assert_eq!(config(&server, "appendonly"), "yes");
    assert_eq!(config(&server, "appendfsync"), "everysec");
    assert_eq!(config(&server, "auto-aof-rewrite-percentage"), "100");
    assert_eq!(config(&server, "auto-aof-rewrite-min-size"), "67108864");
    for policy in ["always", "no", "everysec", "always"] {
        assert_eq!(client.ask(&format!("CONFIG SET appendfsync {policy}")), "+OK\r\n");
        assert_eq!(config(&server, "appendfsync"), policy);
        client.set(policy, b"v");
    }
    let reply = client.ask("CONFIG SET appendfsync sometimes");
    assert!(reply.starts_with("-ERR"), "{reply}");
    assert_eq!(config(&server, "appendfsync"), "always");
    assert_eq!(client.ask("CONFIG SET auto-aof-rewrite-percentage 50"), "+OK\r\n");
    assert_eq!(client.ask("CONFIG SET auto-aof-rewrite-min-size 1mb"), "+OK\r\n");
    assert_eq!(config(&server, "auto-aof-rewrite-percentage"), "50");
    assert_eq!(config(&server, "auto-aof-rewrite-min-size"), "1048576");
}

#[test]
fn always_holds_from_the_command_that_sets_it() {
    let log = LogFile::new();
    let server = Server::with(&log.flags("no"));
    let mut client = server.connect();
    for number in 0..100 {
        client.set(&format!("before{number}"), b"v");
    }
    assert_eq!(client.ask("CONFIG SET appendfsync always"), "+OK\r\n");
    for number in 0..100 {
        client.set(&format!("after{number}"), b"v");
        let model = Model::of(&log.bytes());
        assert!(model.get(0, format!("after{number}").as_bytes()).is_some());
    }
}

#[test]
fn info_tells_of_the_log_with_the_names_of_redis() {
    let log = LogFile::new();
    let server = Server::with(&log.flags("always"));
    server.connect().set("k", &[b'v'; 1_000]);
    for (field, value) in [
        ("loading", "0"),
        ("async_loading", "0"),
        ("aof_enabled", "1"),
        ("aof_rewrite_in_progress", "0"),
        ("aof_rewrite_scheduled", "0"),
        ("aof_last_rewrite_time_sec", "-1"),
        ("aof_current_rewrite_time_sec", "-1"),
        ("aof_last_bgrewrite_status", "ok"),
        ("aof_last_write_status", "ok"),
        ("aof_base_size", "0"),
        ("aof_pending_rewrite", "0"),
        ("aof_rewrites", "0"),
        ("aof_delayed_fsync", "0"),
    ] {
        assert_eq!(server.info_text(field).as_deref(), Some(value), "{field}");
    }
    for field in ["aof_buffer_length", "aof_pending_bio_fsync", "aof_current_size"] {
        assert!(server.info_text(field).is_some(), "{field}");
    }
    wait_until("the size is that of the file", || {
        server.info("aof_current_size") == log.len() as u64
    });
    assert!(log.len() > 1_000);
    assert_eq!(server.connect().ask("INFO persistence").matches("aof_current_size").count(), 1);
}

#[test]
fn the_log_is_written_within_moments_under_every_policy() {
    for policy in ["always", "everysec", "no"] {
        let log = LogFile::new();
        let server = Server::with(&log.flags(policy));
        server.connect().set("k", b"v");
        wait_until("the key is in the log", || Model::of(&log.bytes()).get(0, b"k").is_some());
    }
}

#[test]
fn bad_values_of_its_flags_are_refused() {
    for arguments in [
        &["--appendfsync", "sometimes"][..],
        &["--auto-aof-rewrite-percentage", "-1"],
        &["--auto-aof-rewrite-min-size", "many"],
        &["--aof-path", ""],
    ] {
        let said = Server::refusal(arguments);
        assert!(said.starts_with("ferrum-kv: "), "{said}");
    }
}
