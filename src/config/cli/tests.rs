//! What the command line is understood to say.

use super::*;
use crate::config::{AppendFsync, LogLevel, Policy, Scope, Score};

fn config(arguments: &[&str]) -> Result<Config, String> {
    let arguments = [&["ferrum-kv"], arguments].concat();
    match parse(arguments)? {
        Request::Serve(start) => {
            let include_folder = PathBuf::new();
            Ok(Config { include_folder, ..start.config })
        }
        Request::Check(check) => panic!("{check:?}"),
        Request::Ping(ping) => panic!("{ping:?}"),
        Request::Show(text) => Err(String::from_utf8(text).expect("text")),
    }
}

fn check(arguments: &[&str]) -> Result<Check, String> {
    let arguments = [&["ferrum-kv", "check"], arguments].concat();
    match parse(arguments)? {
        Request::Check(check) => Ok(check),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_check_has_a_file_and_flags_of_its_own() {
    let path = PathBuf::from("log.aof");
    let expected = Check { path, fix: false, yes: false };
    assert_eq!(check(&["log.aof"]), Ok(expected.clone()));
    assert_eq!(check(&["--fix", "log.aof"]), Ok(Check { fix: true, ..expected.clone() }));
    let both = Check { fix: true, yes: true, ..expected };
    assert_eq!(check(&["log.aof", "--fix", "--yes"]), Ok(both));
    for wrong in [&[][..], &["log.aof", "--yes"], &["log.aof", "--maxclients", "1"]] {
        assert!(!check(wrong).unwrap_err().contains('\n'), "{wrong:?}");
    }
    assert!(config(&["--maxclients", "1", "check", "log.aof"]).is_err());
}

#[test]
fn no_flags_mean_the_defaults() {
    assert_eq!(config(&[]), Ok(Config::default()));
}

#[test]
fn each_flag_reaches_its_setting() {
    let config = config(&[
        "--addr=[::1]:7000",
        "--io-threads=3",
        "--maxclients=50",
        "--loglevel=warning",
        "--client-timeout=9",
        "--databases=2",
        "--active-expire-effort=4",
        "--proto-max-bulk-len=2mb",
        "--client-query-buffer-limit=3mb",
        "--aof-path=data/log",
        "--appendfsync=Always",
        "--auto-aof-rewrite-percentage=50",
        "--auto-aof-rewrite-min-size=1mb",
        "--maxmemory=100mb",
        "--maxmemory-policy=Allkeys-AHE",
        "--maxmemory-samples=7",
        "--maxmemory-eviction-tenacity=100",
        "--lfu-log-factor=0",
        "--lfu-decay-time=2",
    ]);
    let expected = Config {
        bind: vec!["::1".to_owned()],
        port: 7000,
        io_threads: 3,
        max_clients: 50,
        log_level: LogLevel::Warning,
        client_timeout_seconds: 9,
        active_expire_effort: 4,
        databases: 2,
        proto_max_bulk_len_bytes: 2 << 20,
        client_query_buffer_limit_bytes: 3 << 20,
        aof_path: Some("data/log".into()),
        append_only: true,
        append_fsync: AppendFsync::Always,
        auto_aof_rewrite_percentage: 50,
        auto_aof_rewrite_min_size_bytes: 1 << 20,
        max_memory_bytes: 100 << 20,
        max_memory_policy: Policy::Evict(Scope::AllKeys, Score::Ahe),
        max_memory_samples: 7,
        max_memory_eviction_tenacity: 100,
        lfu_log_factor: 0,
        lfu_decay_time_minutes: 2,
        ..Config::default()
    };
    assert_eq!(config, Ok(expected));
}

#[test]
fn options_take_as_many_words_as_there_are_and_later_ones_win() {
    let config = config(&[
        "--bind",
        "1.2.3.4",
        "-::1",
        "--PORT",
        "7000",
        "--port=7001",
        "--save",
        "",
        "--client-output-buffer-limit",
        "normal 1 2 3",
        "--client-output-buffer-limit",
        "pubsub",
        "1mb",
        "0",
        "0",
        "--requirepass",
        "-x=y",
        "--slowlog-log-slower-than",
        "-1",
    ])
    .unwrap();
    assert_eq!(config.bind, ["1.2.3.4", "-::1"]);
    assert_eq!((config.port, config.slowlog_log_slower_than_us), (7001, -1));
    let hard = config.client_output_buffer_limits.map(|limit| limit.hard_bytes);
    assert_eq!(hard, [1, 256 << 20, 1 << 20]);
    assert_eq!(config.require_pass.0, b"-x=y");
}

#[test]
fn a_word_behind_a_name_is_its_value_as_for_redis() {
    let secret = |arguments: &[&str]| config(arguments).unwrap().require_pass.0;
    for password in ["--port", "--help", "-v", "--x"] {
        assert_eq!(secret(&["--requirepass", password]), password.as_bytes());
        assert_eq!(secret(&["--hz", "5", "--requirepass", password]), password.as_bytes());
    }
    let both = config(&["--port 7000", "--bind '1.2.3.4' -::1", "--hz 5", "--dir=/a b"]).unwrap();
    assert_eq!((both.port, both.hz), (7000, 5));
    assert_eq!(
        (both.bind.as_slice(), both.dir),
        (&["1.2.3.4", "-::1"].map(String::from)[..], "/a b".into())
    );
    for arguments in [&["--save", "--port", "7000"][..], &["--port", "7000", "--save"]] {
        assert_eq!(config(arguments).unwrap().port, 7000);
    }
    assert_eq!(config(&["--list-max-ziplist-entries", "5"]), Ok(Config::default()));
    assert!(config(&["--daemonize", "--port", "1"]).unwrap_err().contains("wrong number"));
}

#[test]
fn a_value_out_of_range_is_one_clear_line() {
    let error = config(&["--io-threads", "129"]).unwrap_err();
    assert_eq!(
        error,
        "ferrum-kv: --io-threads 129: argument must be between 0 and 128 inclusive \
         (--help shows the options)"
    );
    for arguments in [
        &["--maxclients", "0"][..],
        &["--databases", "0"],
        &["--proto-max-bulk-len", "1kb"],
        &["--proto-max-bulk-len", "513mb"],
        &["--addr", "nonsense"],
        &["--addr"],
        &["--loglevel", "loud"],
        &["--client-timeout", "-1"],
        &["--appendfsync", "sometimes"],
        &["--auto-aof-rewrite-percentage", "2147483648"],
        &["--auto-aof-rewrite-min-size", "1x"],
        &["--maxmemory", "10%"],
        &["--maxmemory-policy", "lru"],
        &["--maxmemory-samples", "0"],
        &["--maxmemory-eviction-tenacity", "101"],
        &["--lfu-log-factor", "2147483648"],
        &["--lfu-decay-time", "-1"],
        &["--no-such-flag", "1"],
        &["--port", "1", "2"],
        &["--port"],
        &["--config"],
        &["-x"],
        &["", "--port", "1"],
        &["/no/such/file.conf"],
        &["--config", "/no/such/file.conf"],
    ] {
        let error = config(arguments).unwrap_err();
        assert!(error.starts_with("ferrum-kv: ") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_secret_is_not_repeated() {
    let error = config(&["--requirepass", "my", "secret"]).unwrap_err();
    assert!(!error.contains("secret (") && error.contains("(not shown)"), "{error}");
}

#[test]
fn help_and_version_are_texts_to_show() {
    let help = config(&["--help"]).unwrap_err();
    for row in directives::all().filter(|row| row.has_effect()) {
        assert!(help.contains(&format!("--{} ", row.name)), "{} is not in the help", row.name);
    }
    assert!(help.contains("check") && help.contains("--addr"), "{help}");
    assert_eq!(config(&["--port", "1", "-h"]), Err(help));
    let version = config(&["--version"]).unwrap_err();
    assert_eq!(version.trim(), concat!("ferrum-kv ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn shells_and_man_are_served() {
    let show = |words: &[&str]| match parse([&["ferrum-kv"], words].concat()) {
        Ok(Request::Show(text)) => String::from_utf8(text).expect("text"),
        other => panic!("{other:?}"),
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(show(&["completions", shell]).contains("maxmemory-policy"), "{shell}");
    }
    assert!(show(&["man"]).contains("maxmemory\\-policy"));
    assert!(show(&["check", "--help"]).contains("--fix"));
    assert!(parse(["ferrum-kv", "completions", "nothing"]).is_err());
}

#[test]
fn a_ping_has_an_address_and_a_time() {
    let ping = |arguments: &[&str]| match parse([&["ferrum-kv", "ping"], arguments].concat())
        .expect("well formed")
    {
        Request::Ping(ping) => (ping.addr.to_string(), ping.timeout),
        other => panic!("{other:?}"),
    };
    assert_eq!(ping(&[]), ("127.0.0.1:6380".to_owned(), 5));
    assert_eq!(ping(&["--addr=h:1", "--timeout=9"]), ("h:1".to_owned(), 9));
}
