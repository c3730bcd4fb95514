//! redis-cli and redis-benchmark, as they come with Redis.

use std::io::Write;
use std::process::{Command, Stdio};

use super::harness::{Server, tool};

/// A program of Redis, aimed at the server.
fn aimed(name: &str, server: &Server) -> Command {
    let mut command = tool(name);
    command.args(["-h", "127.0.0.1", "-p", &server.address.port().to_string()]);
    command
}

/// What redis-cli prints for these arguments.
fn cli(server: &Server, arguments: &[&str]) -> String {
    let output = aimed("redis-cli", server).args(arguments).output().expect("redis-cli runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn redis_cli_runs_commands_in_both_protocols() {
    for protocol in ["-2", "-3"] {
        let server = Server::start();
        let cli = |arguments: &[&str]| cli(&server, &[&[protocol], arguments].concat());
        assert_eq!(cli(&["set", "k", "some value"]), "OK\n");
        assert_eq!(cli(&["get", "k"]), "some value\n");
        assert_eq!(cli(&["incr", "n"]), "1\n");
        assert_eq!(cli(&["--no-raw", "mget", "k", "nope"]), "1) \"some value\"\n2) (nil)\n");
        assert_eq!(cli(&["-n", "7", "dbsize"]), "0\n");
        assert_eq!(cli(&["dbsize"]), "2\n");
        assert!(cli(&["incr", "k"]).starts_with("ERR value is not an integer"));
        assert!(cli(&["info", "server"]).contains("redis_version:"));
        let hello = cli(&["hello", "3"]);
        assert!(hello.contains("proto") && hello.contains("standalone"), "{hello}");
    }
}

#[test]
fn redis_cli_shows_the_documentation_of_commands() {
    let server = Server::start();
    let docs = cli(&server, &["command", "docs", "set", "mget"]);
    for text in ["set", "mget", "summary", "since", "complexity", "arguments"] {
        assert!(docs.contains(text), "{text} in {docs}");
    }
    assert_eq!(cli(&server, &["-3", "command", "docs", "nosuch"]).trim(), "");
}

#[test]
fn redis_cli_pipes_a_mass_of_commands() {
    const COMMANDS: usize = 20_000;
    let server = Server::start();
    let mut child = aimed("redis-cli", &server)
        .arg("--pipe")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-cli runs");
    let lines: String = (0..COMMANDS).map(|index| format!("SET key:{index} {index}\r\n")).collect();
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(lines.as_bytes()).expect("redis-cli reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains(&format!("errors: 0, replies: {COMMANDS}")), "{text}");
    assert_eq!(cli(&server, &["dbsize"]), format!("{COMMANDS}\n"));
}

#[test]
fn redis_benchmark_runs_without_a_warning_at_every_depth() {
    const TESTS: [&str; 6] = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"];
    let server = Server::start();
    for depth in ["1", "16", "64"] {
        let output = aimed("redis-benchmark", &server)
            .args(["-t", "ping,set,get,incr,mset", "-n", "20000", "-r", "1000", "-q", "-P", depth])
            .output()
            .expect("redis-benchmark runs");
        let text = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        for word in ["WARN", "warning", "rror"] {
            assert!(!text.contains(word) && !errors.contains(word), "{text}{errors}");
        }
        for name in TESTS {
            let done = |line: &str| line.starts_with(name) && line.contains("requests per second");
            assert!(text.lines().any(done), "{name} at depth {depth} in\n{text}{errors}");
        }
    }
    assert!(server.info("total_commands_processed") > 300_000);
}
