//! A disk that is full, fails or is slow: what clients are told, and that nothing acknowledged is
//! lost by it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::harness::{Client, Commands, Folder, Server, dump, encode, wait_until};
use super::shim::FailingDisk;

const FULL: &str = "No space left on device";
const BROKEN: &str = "Input/output error";

/// What a command that writes is answered while the log cannot be written.
fn refused(reason: &str) -> String {
    format!("-MISCONF Errors writing to the AOF file: {reason}\r\n")
}

/// Keys that were set, each to its own name, and whether the server said OK.
type Attempts = BTreeMap<String, bool>;

/// Tells the writers to stop also when a check fails, so that the failure is not waited for in
/// vain.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sets keys of new names, one after the other, until told to stop. Panics at any reply but OK and
/// the refusal, and when a reply takes longer than the harness waits.
fn keep_setting(server: &Server, name: &str, reason: &str, stop: &AtomicBool) -> Attempts {
    let mut client = server.connect();
    let mut attempts = Attempts::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{name}:{number}");
        let reply = client.ask(&format!("SET {key} {key}"));
        assert!(reply == "+OK\r\n" || reply == refused(reason), "{reply}");
        attempts.insert(key, reply == "+OK\r\n");
    }
    attempts
}

/// Every key that was acknowledged is on the server.
#[track_caller]
fn assert_kept(server: &Server, attempts: &Attempts) {
    let state = dump(&mut server.connect(), 1);
    let kept = |key: &String| {
        state.get(&(0, key.clone().into_bytes())).is_some_and(|(value, _)| value == key.as_bytes())
    };
    let acknowledged = attempts.iter().filter(|(_, said_ok)| **said_ok);
    let lost: Vec<_> = acknowledged.filter(|(key, _)| !kept(key)).collect();
    let count = lost.len();
    assert!(lost.is_empty(), "{count} acknowledged keys are lost, {:?} first", lost[0]);
}

/// While the disk fails in this way: writes are refused with this reason, reads go on, the operator
/// is told. When it is mended: writes go on, and a kill then loses nothing acknowledged.
fn fails_and_recovers(policy: &str, how: &str, reason: &str) {
    let disk = FailingDisk::new();
    let mut server = disk.server(policy);
    server.connect().set("before", b"v");
    let stop = AtomicBool::new(false);
    let attempts: Attempts = std::thread::scope(|scope| {
        let (server, stop) = (&server, &stop);
        let stopping = StopOnDrop(stop);
        let writers: Vec<_> = (0..3)
            .map(|number| {
                let name = format!("writer{number}");
                scope.spawn(move || keep_setting(server, &name, reason, stop))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        let mut queued = server.connect();
        assert_eq!(queued.ask("MULTI"), "+OK\r\n");
        assert_eq!(queued.ask("SET k v"), "+QUEUED\r\n");
        disk.fail(how);
        let mut client = server.connect();
        wait_until("writes are refused", || client.ask("SET probe v") == refused(reason));
        while_it_fails(server, &mut client, reason);
        transactions_while_it_fails(&mut queued, reason);
        disk.mend();
        wait_until("writes go on", || client.ask("SET probe w") == "+OK\r\n");
        std::thread::sleep(Duration::from_millis(300));
        drop(stopping);
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect()
    });
    assert!(attempts.values().any(|said_ok| *said_ok), "nothing was written");
    assert!(attempts.values().any(|said_ok| !*said_ok), "nothing was refused");
    assert_eq!(server.info_text("aof_last_write_status").as_deref(), Some("ok"));
    assert_kept(&server, &attempts);
    if policy != "always" {
        // What everysec has acknowledged is written within a second.
        std::thread::sleep(Duration::from_secs(2));
    }
    server.kill();
    let server = Server::with(&disk.log.flags(policy));
    assert_kept(&server, &attempts);
    let mut client = server.connect();
    assert_eq!(client.ask("GET before"), "$1\r\nv\r\n");
    assert_eq!(client.ask("GET probe"), "$1\r\nw\r\n");
}

/// What holds for as long as the disk fails.
fn while_it_fails(server: &Server, client: &mut Client, reason: &str) {
    assert_eq!(client.ask("GET before"), "$1\r\nv\r\n");
    let size = client.ask("DBSIZE");
    for line in [
        "SET k v",
        "DEL before",
        "INCR n",
        "APPEND before x",
        "EXPIRE before 100",
        "FLUSHALL",
        "MSET a 1 b 2",
        "GETDEL before",
        "SWAPDB 0 1",
        "RENAME before after",
        "SETBIT b 1 1",
        "GETEX before EX 100",
        "COPY before copied",
    ] {
        assert_eq!(client.ask(line), refused(reason), "{line}");
    }
    assert_eq!(client.ask("GET before"), "$1\r\nv\r\n");
    assert_eq!(client.ask("TTL before"), ":-1\r\n");
    assert_eq!(client.ask("DBSIZE"), size, "what is refused is not done");
    assert_eq!(server.info_text("aof_last_write_status").as_deref(), Some("err"));
    let told = |line: &String| line.contains(reason) && !line.contains("INFO");
    assert!(server.log().iter().any(told), "the operator is told: {:?}", server.log());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.ask("SET k v"), refused(reason), "it does not go away by itself");
}

/// What holds for a client that has queued a write before.
fn transactions_while_it_fails(client: &mut Client, reason: &str) {
    let aborted = format!(
        "-EXECABORT Transaction discarded because of: MISCONF Errors writing to the AOF file: \
         {reason}\r\n"
    );
    assert_eq!(client.ask("EXEC"), aborted);
    assert_eq!(client.ask("EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("SET k v"), refused(reason));
    assert_eq!(client.ask("GET k"), "+QUEUED\r\n");
    let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    assert_eq!(client.ask("EXEC"), aborted);
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("GET before"), "+QUEUED\r\n");
    assert_eq!(client.ask("EXEC"), "*1\r\n$1\r\nv\r\n");
}

#[test]
fn a_full_disk_under_everysec() {
    fails_and_recovers("everysec", "full", FULL);
}

#[test]
fn a_full_disk_under_always() {
    fails_and_recovers("always", "full", FULL);
}

#[test]
fn a_full_disk_under_no() {
    fails_and_recovers("no", "full", FULL);
}

#[test]
fn a_write_that_fails_under_everysec() {
    fails_and_recovers("everysec", "broken", BROKEN);
}

#[test]
fn a_write_that_fails_under_always() {
    fails_and_recovers("always", "broken", BROKEN);
}

#[test]
fn a_sync_that_fails_under_everysec() {
    fails_and_recovers("everysec", "unsynced", BROKEN);
}

#[test]
fn a_sync_that_fails_under_always() {
    fails_and_recovers("always", "unsynced", BROKEN);
}

#[test]
fn a_failed_sync_that_loses_what_was_in_the_cache_under_always() {
    fails_and_recovers("always", "lost", BROKEN);
}

#[test]
fn a_failed_sync_that_loses_what_was_in_the_cache_under_everysec() {
    fails_and_recovers("everysec", "lost", BROKEN);
}

#[test]
fn short_writes_are_completed() {
    for policy in ["always", "everysec"] {
        let disk = FailingDisk::new();
        let mut server = disk.server(policy);
        disk.fail("short");
        let mut client = server.connect();
        for number in 0..200 {
            assert_eq!(client.ask(&format!("SET k{number} {number}")), "+OK\r\n");
        }
        client.set("large", &vec![b'v'; 1 << 20]);
        let before = dump(&mut client, 1);
        if policy != "always" {
            std::thread::sleep(Duration::from_secs(2));
        }
        server.kill();
        assert_eq!(Commands::all(&disk.log.bytes()).len(), 202);
        let server = Server::with(&disk.log.flags(policy));
        assert_eq!(dump(&mut server.connect(), 1), before);
    }
}

/// Under `always` a client whose write was being synced when the sync failed is not told OK: the
/// first replies after the failure are refusals, or come when the disk is mended.
#[test]
fn under_always_no_write_is_acknowledged_while_syncs_fail() {
    for how in ["unsynced", "broken", "full"] {
        let disk = FailingDisk::new();
        let server = disk.server("always");
        let mut client = server.connect();
        client.set("before", b"v");
        disk.fail(how);
        let until = Instant::now() + Duration::from_secs(1);
        let mut asked = 0;
        while Instant::now() < until || asked < 5 {
            let mut other = server.connect();
            let reply = other.ask(&format!("SET k{asked} v"));
            assert!(reply.starts_with("-MISCONF"), "{how}: attempt {asked}: {reply}");
            asked += 1;
        }
        disk.mend();
        wait_until("writes go on", || client.ask("SET after v") == "+OK\r\n");
    }
}

/// A write, its unique value, and when its reply was there, in nanoseconds since 1970.
fn timed_set(client: &mut Client, key: &str, value: &str) -> u64 {
    assert_eq!(client.ask(&format!("SET {key} {value}")), "+OK\r\n");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_nanos() as u64
}

#[test]
fn under_always_every_reply_comes_after_the_sync_of_its_bytes() {
    const WRITES: usize = 300;
    let disk = FailingDisk::new();
    let server = disk.server("always");
    // Also of reads of others' values: each reader looks at what a writer has just set.
    let replies: Vec<(String, u64)> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let mut client = server.connect();
                scope.spawn(move || {
                    let set = |number: usize| {
                        let value = format!("value-{writer}-{number}");
                        let time = timed_set(&mut client, &format!("k{writer}"), &value);
                        (value, time)
                    };
                    (0..WRITES).map(set).collect::<Vec<_>>()
                })
            })
            .collect();
        let readers: Vec<_> = (0..4)
            .map(|reader| {
                let mut client = server.connect();
                scope.spawn(move || {
                    let get = |_| {
                        let reply = client.ask(&format!("GET k{reader}"));
                        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
                        let value = reply.lines().nth(1).map(str::to_owned);
                        value.map(|value| (value, now.as_nanos() as u64))
                    };
                    (0..4 * WRITES).filter_map(get).collect::<Vec<_>>()
                })
            })
            .collect();
        let all = writers.into_iter().chain(readers);
        all.flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let bytes = disk.log.bytes();
    let mut ends = BTreeMap::new();
    for command in Commands::all(&bytes) {
        if command.name() == "SET" {
            let value = String::from_utf8_lossy(command.arguments[2]).into_owned();
            ends.insert(value, command.end as u64);
        }
    }
    let syncs = disk.syncs();
    for (value, replied) in replies {
        let end = ends[&value];
        let first = syncs.iter().find(|sync| sync.is_good && sync.size >= end);
        let first = first.unwrap_or_else(|| panic!("{value} at {end} was never synced"));
        assert!(first.end <= replied, "{value} was out {} ns early", first.end - replied);
    }
}

#[test]
fn under_everysec_the_log_is_synced_about_every_second() {
    let disk = FailingDisk::new();
    let server = disk.server("everysec");
    let mut client = server.connect();
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        client.set("k", b"v");
    }
    let syncs = disk.syncs().len();
    assert!((3..=8).contains(&syncs), "{syncs} syncs in 5 s");
}

#[test]
fn a_slow_sync_under_everysec_holds_writers_back_with_a_warning_but_no_error() {
    let disk = FailingDisk::new();
    let mut server = disk.server("everysec");
    let mut client = server.connect();
    client.set("k", b"v");
    disk.fail("slow");
    let (mut slowest, mut writes) = (Duration::ZERO, 0);
    let until = Instant::now() + Duration::from_secs(14);
    let mut reader = server.connect();
    while Instant::now() < until {
        let start = Instant::now();
        assert_eq!(client.ask("INCR n"), format!(":{}\r\n", writes + 1));
        writes += 1;
        slowest = slowest.max(start.elapsed());
        if writes % 100 == 0 {
            assert_eq!(reader.ask("GET k"), "$1\r\nv\r\n");
        }
    }
    assert!(slowest < Duration::from_secs(11), "a write took {slowest:?}");
    let delayed = server.info("aof_delayed_fsync");
    assert!(delayed > 0, "{delayed} delayed syncs are counted");
    let warned =
        |line: &String| line.contains("WARN") && (line.contains("sync") || line.contains("disk"));
    let log = server.log();
    assert!(log.iter().any(warned), "{log:?}");
    disk.mend();
    wait_until("it catches up", || client.ask("INCR n").starts_with(':'));
    server.kill();
}

/// A small file system in memory, while root can mount one.
struct SmallDisk(Folder);

impl SmallDisk {
    fn mount(options: &str) -> Option<SmallDisk> {
        let folder = Folder::new();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            println!("skipped: tmpfs cannot be mounted here");
            return None;
        }
        Some(SmallDisk(folder))
    }

    fn resize(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", options]).arg(self.0.path()).status().expect("mount");
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that has not yet ended may have the log open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_is_really_full_and_then_grows() {
    for policy in ["everysec", "always"] {
        let Some(disk) = SmallDisk::mount("size=2m") else { return };
        let path = disk.0.file("log.aof");
        let flags = ["--io-threads", "2", "--aof-path", &path, "--appendfsync", policy];
        let mut server = Server::with(&flags);
        let mut client = server.connect();
        let value = vec![b'v'; 20_000];
        let mut acknowledged = Vec::new();
        for number in 0..10_000 {
            let key = format!("k{number}");
            let reply = client.call(&[b"SET", key.as_bytes(), &value]);
            if reply == b"+OK\r\n" {
                acknowledged.push(key);
                continue;
            }
            assert_eq!(String::from_utf8_lossy(&reply), refused(FULL), "{policy}");
            break;
        }
        assert!(acknowledged.len() > 50, "{} fit", acknowledged.len());
        assert_eq!(client.ask("STRLEN k0"), ":20000\r\n");
        disk.resize("remount,size=256m");
        wait_until("writes go on", || client.ask("SET after v") == "+OK\r\n");
        std::thread::sleep(Duration::from_secs(if policy == "always" { 0 } else { 2 }));
        server.kill();
        let server = Server::with(&flags);
        let mut client = server.connect();
        let requests: Vec<u8> =
            acknowledged.iter().flat_map(|key| encode(&["STRLEN", key])).collect();
        client.send(&requests);
        client.expect(&b":20000\r\n".repeat(acknowledged.len()));
        assert_eq!(client.ask("GET after"), "$1\r\nv\r\n");
    }
}
