//! A server that is started with a configuration file, with options, with both.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::harness::{
    Client, Folder, RedisServer, Server, server_command, strings_in, tool, wait_until,
};

/// The value that CONFIG GET gives for a name.
fn config(client: &mut Client, name: &str) -> String {
    let strings = strings_in(&client.call(&["CONFIG", "GET", name]));
    String::from_utf8(strings[1].clone()).expect("text")
}

fn write(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.file(name);
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_file_is_read_with_quotes_comments_and_what_it_includes() {
    let folder = Folder::new();
    let included = write(&folder, "one.conf", "maxmemory 10mb\r\nhz 20\r\n");
    write(&folder, "two.conf", "hz 30");
    let text = format!(
        "# comment\r\n\nrequirepass \"\"\nmaxmemory 5mb\ninclude \"{included}\"\n\
         include '{}'\ntimeout 77\nslowlog-max-len 5\n",
        folder.file("t*.conf")
    );
    let file = write(&folder, "main.conf", &text);
    let server = Server::with(&[&file, "--slowlog-max-len", "6", "--slowlog-max-len", "7"]);
    let mut client = server.connect();
    for (name, value) in [
        ("maxmemory", "10485760"),
        ("hz", "30"),
        ("timeout", "77"),
        ("slowlog-max-len", "7"),
        ("save", ""),
    ] {
        assert_eq!(config(&mut client, name), value, "{name}");
    }
    let also = Server::with(&["--hz", "40", "--config", &file]);
    assert_eq!(config(&mut also.connect(), "hz"), "40", "options override the file");
}

#[test]
fn a_wrong_line_ends_the_start_and_is_named_as_by_redis() {
    let folder = Folder::new();
    for (line, reason) in [
        ("foo bar", "Bad directive or wrong number of arguments"),
        ("port x", "argument couldn't be parsed into an integer"),
        ("port 1 2", "wrong number of arguments"),
        ("maxmemory-policy foo", "argument(s) must be one of the following: volatile-lru"),
        ("dir 'x", "Unbalanced quotes in configuration line"),
    ] {
        let file = write(&folder, "wrong.conf", &format!("# one\nhz 10\n{line}\n"));
        let said = Server::refusal(&[&file]);
        assert!(said.starts_with("*** FATAL CONFIG FILE ERROR (FerrumKV"), "{said}");
        let place = format!("{file}, at line 3\n>>> '{line}'\n{reason}");
        assert!(said.contains(&place), "{said}");
        let theirs = tool("redis-server").arg(&file).output().expect("redis-server");
        assert_eq!(theirs.status.code(), Some(1));
        let theirs = String::from_utf8_lossy(&theirs.stderr).into_owned();
        assert!(theirs.contains(&format!("at line 3\n>>> '{line}'\n")), "{theirs}");
    }
    let file = write(&folder, "loop.conf", &format!("include {}", folder.file("loop.conf")));
    assert!(Server::refusal(&[&file]).contains("files within files"));
    let said = Server::refusal(&[&folder.file("missing.conf")]);
    assert!(said.starts_with("ferrum-kv: cannot read the configuration file"), "{said}");
}

#[test]
fn the_file_that_comes_with_redis_starts_with_warnings_only() {
    let folder = Folder::new();
    let file = "/etc/redis/redis.conf";
    assert!(fs::exists(file).is_ok_and(|is_there| is_there), "{file} comes with redis-server");
    let dir = folder.path().to_str().expect("text");
    let flags = ["--daemonize", "no", "--logfile", "", "--pidfile", "", "--dir", dir];
    let server = Server::with(&[&[file], &flags[..]].concat());
    assert_eq!(config(&mut server.connect(), "maxclients"), "10000");
    let said = server.log().join("\n");
    assert!(!said.contains("has no effect") && !said.contains("ERROR"), "{said}");
}

#[test]
fn what_has_no_effect_is_warned_of_once() {
    let folder = Folder::new();
    let file = write(
        &folder,
        "a.conf",
        "save 900 1\nsave 60 5\nreplicaof 127.0.0.1 1\nhash-max-listpack-entries 5\n\
         user alice on >secret ~*\nuser bob on\nactiverehashing yes\n",
    );
    let server = Server::with(&[&file]);
    let log = server.log();
    for name in ["save", "replicaof", "hash-max-listpack-entries", "user"] {
        let named = format!("'{name}' has no effect");
        assert_eq!(log.iter().filter(|line| line.contains(&named)).count(), 1, "{name}: {log:?}");
    }
    let all = log.join("\n");
    assert!(all.contains("WARN") && !all.contains("activerehashing"), "{all}");
    assert!(!all.contains("secret") && !all.contains("alice"), "{all}");
}

#[test]
fn standard_input_can_be_the_file() {
    let folder = Folder::new();
    let log = folder.file("log");
    let mut child = server_command(&["-", "--addr", "127.0.0.1:0", "--logfile", &log])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(b"hz 44\nfoo bar\n").expect("it reads");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("standard input, at line 2\n>>> 'foo bar'"), "{said}");
}

#[test]
fn a_server_in_the_background_has_a_pid_file_and_a_log_file() {
    let folder = Folder::new();
    let dir = folder.path().to_str().expect("text");
    let mut starter = server_command(&["--addr", "127.0.0.1:0", "--daemonize", "yes"]);
    starter.args(["--dir", dir, "--pidfile", "the.pid", "--logfile", "the.log"]);
    let status = starter.status().expect("it starts");
    assert!(status.success());
    let read = |name: &str| fs::read_to_string(folder.file(name)).unwrap_or_default();
    wait_until("the server is ready", || read("the.log").contains("Ready to accept connections"));
    let pid = read("the.pid").trim().to_owned();
    let end = || {
        let status = std::process::Command::new("kill").arg(&pid).status().expect("kill");
        assert!(status.success());
    };
    assert!(pid.parse::<u32>().is_ok(), "{pid}");
    assert!(read("the.log").contains(&format!("PID: {pid}")));
    end();
    wait_until("it has gone with its pid file", || {
        !fs::exists(folder.file("the.pid")).expect("a folder")
    });
}

#[test]
fn a_server_that_does_not_start_leaves_the_pid_file_of_another() {
    let folder = Folder::new();
    let (pid_file, log) = (folder.file("the.pid"), folder.file("log"));
    let flags = ["--pidfile", &pid_file, "--aof-path", &log];
    let mut server = Server::with(&flags);
    let said = || fs::read_to_string(&pid_file).expect("the file");
    let before = said();
    let busy = server.address.port().to_string();
    let refused = Server::refusal(&["--port", &busy, "--pidfile", &pid_file]);
    assert!(refused.contains("address in use"), "{refused}");
    assert_eq!(said(), before);
    let _ = Server::refusal(&[&flags[..], &["--port", "0"]].concat());
    assert_eq!(said(), before, "the log is in use");
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(!fs::exists(&pid_file).expect("a folder"));
}

#[test]
fn appendonly_yes_has_its_log_where_redis_has_it() {
    let folder = Folder::new();
    let dir = folder.path().to_str().expect("text");
    {
        let arguments = ["--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--save", ""];
        let redis = RedisServer::with(folder.path(), &arguments);
        redis.connect().set("from-redis", b"v");
        wait_until("redis-server has written its log", || {
            let name = folder.path().join("appendonlydir/appendonly.aof.1.incr.aof");
            fs::read(name).is_ok_and(|bytes| bytes.windows(10).any(|part| part == b"from-redis"))
        });
    }
    let flags = ["--appendonly", "yes", "--dir", dir];
    for round in ["1", "2"] {
        let mut server = Server::with(&flags);
        let mut client = server.connect();
        assert_eq!(client.ask("GET from-redis"), "$1\r\nv\r\n");
        assert_eq!(client.ask("GET ours"), if round == "1" { "$-1\r\n" } else { "$1\r\nx\r\n" });
        client.set("ours", b"x");
        assert_eq!(config(&mut client, "appendonly"), "yes");
        assert_eq!(config(&mut client, "appenddirname"), "appendonlydir");
        server.signal("TERM");
        assert!(server.wait().success());
    }
    assert!(fs::exists(folder.path().join("appendonlydir/appendonly.aof")).expect("a folder"));
}
