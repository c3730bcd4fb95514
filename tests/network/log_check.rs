//! `ferrum-kv check`, and the logs of redis-server with it and redis-check-aof beside it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferrum_kv::aof::{self, Chunk, End, Step};
use ferrum_kv::commands::{self, Engine, Position, Progress, ServerState};
use ferrum_kv::config::Config;
use ferrum_kv::resp::{Batch, Decoder, Limits, ReplyBuffer};

use super::harness::{Client, encode, server_command, tool, wait_until};

/// A directory for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("log-check-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Scratch(path)
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, contents).expect("a file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command of these words.
fn command(words: &str) -> Vec<u8> {
    encode(&words.split(' ').collect::<Vec<_>>())
}

/// Runs a check with this answer to its question.
fn check(path: &Path, flags: &[&str], answer: &str) -> Output {
    let mut child = server_command(&["check"])
        .arg(path)
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("piped");
    // Fails when the program has ended without a question.
    let _ = stdin.write_all(answer.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether redis-check-aof calls the file valid.
fn redis_check(path: &Path) -> bool {
    tool("redis-check-aof").arg(path).output().expect("it runs").status.success()
}

#[test]
fn a_whole_log_is_ok_and_its_contents_are_listed() {
    let scratch = Scratch::new();
    let lines = ["SELECT 0", "SET a 1 PXAT 99999999999999", "SELECT 2", "DEL b"];
    let path = scratch.file("log", &lines.map(command).concat());
    let output = check(&path, &[], "");
    let text = printed(&output);
    assert!(output.status.success() && text.ends_with("ok\n"), "{text}");
    for part in ["commands   4", "SELECT 2", "deadlines  1", "database   2: 1 commands"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_torn_log_is_cut_after_a_yes_and_what_was_cut_is_kept() {
    let scratch = Scratch::new();
    let whole = ["SELECT 0", "SET a 1"].map(command).concat();
    let torn = b"*3\r\n$3\r\nSET\r\n$1";
    let path = scratch.file("log", &[&whole[..], torn].concat());
    let output = check(&path, &[], "");
    assert_eq!(output.status.code(), Some(1));
    let verdict = format!("torn tail: {} bytes after offset {}", torn.len(), whole.len());
    assert!(printed(&output).contains(&verdict), "{output:?}");
    for answer in ["", "n\n", "nonsense\n"] {
        let output = check(&path, &["--fix"], answer);
        assert_eq!(output.status.code(), Some(1));
        assert!(errors(&output).contains("Cut 15 bytes"), "{output:?}");
    }
    assert!(check(&path, &["--fix"], "y\n").status.success());
    assert_eq!(std::fs::read(&path).expect("the log"), whole);
    let kept = std::fs::read_dir(&scratch.0).expect("a directory").find_map(|entry| {
        let path = entry.expect("an entry").path();
        path.to_string_lossy().contains("log.torn-").then_some(path)
    });
    assert_eq!(std::fs::read(kept.expect("kept")).expect("a file"), torn);
    assert!(check(&path, &[], "").status.success());
}

#[test]
fn nothing_is_cut_while_another_process_has_the_log() {
    let scratch = Scratch::new();
    let path = scratch.file("log", b"*1\r\n");
    let lock = aof::Lock::take(&path.canonicalize().expect("a file")).expect("free");
    let output = check(&path, &["--fix", "--yes"], "");
    assert_eq!(output.status.code(), Some(1));
    let text = errors(&output);
    assert!(text.contains("another server uses the log"), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert_eq!(std::fs::read(&path).expect("the log"), b"*1\r\n");
    drop(lock);
    assert!(check(&path, &["--fix", "--yes"], "").status.success());
    assert_eq!(std::fs::read(&path).expect("the log"), b"");
}

#[test]
fn what_is_no_log_is_one_clear_line_and_exit_code_1() {
    let scratch = Scratch::new();
    let image = scratch.file("rdb", b"REDIS0011");
    for path in [&scratch.0, &scratch.0.join("nothing"), &image] {
        for flags in [&[][..], &["--fix", "--yes"]] {
            let output = check(path, flags, "");
            assert_eq!(output.status.code(), Some(1));
            let text = errors(&output);
            assert!(text.starts_with("ferrum-kv: ") && text.lines().count() == 1, "{text}");
        }
    }
}

#[test]
fn redis_check_aof_comes_to_the_same_verdict() {
    let whole = ["SELECT 0", "SET a 1", "MULTI", "SET b 2", "DEL c", "EXEC"].map(command).concat();
    let with = |tail: &[u8]| [&whole[..], tail].concat();
    let mut samples = vec![
        (whole.clone(), true),
        (with(b"#TS:1700000000\r\n"), true),
        (with(&command("SET d 4")), true),
        (with(b"junk"), false),
        (with(b"*1\r\n$3\r\nDELX\n"), false),
        (with(b"*x\r\n"), false),
        (with(&["MULTI", "MULTI"].map(command).concat()), false),
        (with(&command("EXEC")), false),
        (with(&["MULTI", "SET d 4"].map(command).concat()), false),
    ];
    samples.extend((1..20).map(|cut| (whole[..whole.len() - cut].to_vec(), false)));
    let scratch = Scratch::new();
    for (bytes, is_valid) in samples {
        let path = scratch.file("log", &bytes);
        let shown = bytes.escape_ascii();
        assert_eq!(check(&path, &[], "").status.success(), is_valid, "{shown}");
        assert_eq!(redis_check(&path), is_valid, "redis-check-aof: {shown}");
    }
}

/// Runs a redis-server with a log in this directory, lets `work` talk to it, and stops it. Returns
/// the path of its manifest.
fn redis_log(scratch: &Scratch, preamble: &str, work: impl FnOnce(&mut Client)) -> PathBuf {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("bound");
    drop(port);
    let mut child = tool("redis-server")
        .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--aof-use-rdb-preamble", preamble])
        .args(["--aof-timestamp-enabled", "yes"])
        .arg("--dir")
        .arg(&scratch.0)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server runs");
    wait_until("redis-server listens", || std::net::TcpStream::connect(address).is_ok());
    let mut client = Client::connect(address);
    work(&mut client);
    client.send(&command("SHUTDOWN"));
    client.rest();
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}");
    scratch.0.join("appendonlydir/appendonly.aof.manifest")
}

/// Writes strings of all kinds.
fn write_strings(client: &mut Client) {
    for number in 0..500 {
        client.ask(&format!("SET key:{number} {number} PX 100000000"));
        client.ask(&format!("INCRBYFLOAT float:{} 1.5", number % 10));
    }
    client.set("binary", b"\r\n*1\r\n\0#");
    for line in ["SELECT 5", "APPEND a b", "SETRANGE a 4 x", "EXPIRE a 1000", "PERSIST a"] {
        client.ask(line);
    }
    for line in ["MULTI", "MSET m1 1 m2 2", "INCR n", "EXEC", "SWAPDB 5 6", "GETDEL m1"] {
        client.ask(line);
    }
}

fn rewrite(client: &mut Client) {
    client.ask("BGREWRITEAOF");
    wait_until("the rewrite ends", || {
        let info = client.ask("INFO persistence");
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
}

#[test]
fn the_log_of_redis_server_is_read_to_its_end() {
    let scratch = Scratch::new();
    let manifest = redis_log(&scratch, "no", |client| {
        write_strings(client);
        rewrite(client);
        write_strings(client);
    });
    let output = check(&manifest, &[], "");
    let text = printed(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("\nok\n").count(), 2, "a base and an increment: {text}");
    for part in [".base.aof", ".incr.aof", "SWAPDB", "blocks     1"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// An engine without a server.
struct Replayed {
    engine: Engine,
    client: commands::Client,
}

impl Replayed {
    fn new() -> Replayed {
        let state = Arc::new(ServerState::new(Config::default(), 1));
        let client = commands::Client::new(1, "log".to_owned());
        Replayed { engine: Engine::new(state, 0), client }
    }

    /// Runs a batch to its end; returns the replies.
    fn run(&mut self, batch: &Batch, input: &[u8]) -> Vec<u8> {
        let mut replies = Vec::new();
        let mut at = Position::default();
        loop {
            let mut out = ReplyBuffer::new();
            let progress = self.engine.execute(&mut self.client, batch, input, at, &mut out);
            out.chunks().for_each(|chunk| replies.extend_from_slice(chunk));
            match progress {
                Progress::Done => return replies,
                Progress::Flush(next) | Progress::Stall(next, _) => at = next,
                Progress::Close => panic!("no command of these closes"),
            }
        }
    }

    /// Replays a log to its end.
    fn replay(&mut self, path: &Path) {
        let mut opened = aof::open(path, commands::is_logged).expect("a log");
        let mut chunk = Chunk::new();
        while opened.reader.read(&mut chunk).expect("readable") != Step::End(End::Clean) {
            let replies = self.run(chunk.batch(), chunk.input());
            let is_error = replies.starts_with(b"-") || replies.windows(3).any(|w| w == b"\r\n-E");
            assert!(!is_error, "{}", replies.escape_ascii());
        }
    }

    fn ask(&mut self, words: &str) -> String {
        let input = command(words);
        let mut batch = Batch::new();
        let decoded = Decoder::new(Limits::default()).decode(&input, &mut batch, 1);
        assert_eq!(decoded.expect("a command").consumed, input.len());
        String::from_utf8_lossy(&self.run(&batch, &input)).into_owned()
    }
}

/// Every value and deadline of the databases that [`write_strings`] uses.
fn state(mut ask: impl FnMut(&str) -> String) -> Vec<String> {
    let mut state = Vec::new();
    for database in [0, 5, 6] {
        ask(&format!("SELECT {database}"));
        let names = ask("KEYS *");
        let mut keys: Vec<_> = names.split("\r\n").filter(|line| !line.starts_with('*')).collect();
        keys.retain(|line| !line.is_empty() && !line.starts_with('$'));
        keys.sort_unstable();
        for key in keys {
            let (value, deadline) =
                (ask(&format!("GET {key}")), ask(&format!("PEXPIRETIME {key}")));
            state.push(format!("{database} {key} {value} {deadline}"));
        }
    }
    state
}

#[test]
fn the_log_of_redis_server_replays_to_the_state_of_redis_server() {
    let scratch = Scratch::new();
    let mut expected = Vec::new();
    let manifest = redis_log(&scratch, "no", |client| {
        write_strings(client);
        client.set("large", &vec![b'x'; 3 << 20]);
        rewrite(client);
        write_strings(client);
        client.set("larger", &vec![b'y'; 5 << 20]);
        let mut ask = |words: &str| client.call(&words.split(' ').collect::<Vec<_>>());
        expected = state(|words| String::from_utf8_lossy(&ask(words)).into_owned());
    });
    let mut replayed = Replayed::new();
    replayed.replay(&manifest);
    let actual = state(|words| replayed.ask(words));
    assert!(expected.len() > 500, "{}", expected.len());
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(&expected) {
        assert!(actual == expected, "{:.200} is not {:.200}", actual, expected);
    }
    // The joined log is what a later start finds.
    let plain = scratch.0.join("appendonlydir/appendonly.aof");
    let mut again = Replayed::new();
    again.replay(&plain);
    assert!(state(|words| again.ask(words)) == expected);
    assert!(redis_check(&plain), "redis-check-aof takes the joined log");
}

#[test]
fn an_rdb_base_of_redis_server_is_refused_with_the_way_to_convert_it() {
    let scratch = Scratch::new();
    let manifest = redis_log(&scratch, "yes", |client| {
        write_strings(client);
        rewrite(client);
    });
    let output = check(&manifest, &[], "");
    assert_eq!(output.status.code(), Some(1));
    let text = errors(&output);
    assert!(text.contains("aof-use-rdb-preamble no"), "{text}");
    assert!(text.contains("BGREWRITEAOF") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_check_takes_none_of_the_servers_flags() {
    let help = server_command(&["check", "--help"]).output().expect("it runs");
    assert!(help.status.success() && printed(&help).contains("--fix"));
    for arguments in [&["--maxclients", "5", "check", "log"][..], &["check", "log", "--maxclients"]]
    {
        let output = server_command(arguments).output().expect("it runs");
        assert_eq!((output.status.code(), errors(&output).lines().count()), (Some(1), 1));
    }
}
