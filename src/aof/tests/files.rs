//! Locks, cuts, joined parts, and the start of a server, on real files.

use std::error::Error as _;
use std::path::Path;

use super::super::{
    Checked, Chunk, End, Error, Fix, Lock, Opened, Reader, Step, Torn, TornPart, Verdict, check,
    cut, examine, open,
};
use super::{Scratch, command, known, log, outcome};

const SELECT_0: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";

/// An error is one line for the operator.
fn shown(error: &Error) -> String {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn a_log_has_one_lock_and_it_ends_with_its_holder() {
    let scratch = Scratch::new();
    let path = scratch.path("log");
    let lock = Lock::take(&path).expect("free");
    assert_eq!(lock.path(), scratch.path("log.lock"));
    let error = Lock::take(&path).expect_err("taken");
    let text = shown(&error);
    assert!(text.contains("another server uses the log"), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert!(text.contains("log.lock"), "{text}");
    drop(lock);
    Lock::take(&path).expect("free again");
}

#[test]
fn a_cut_keeps_what_it_takes_off() {
    let scratch = Scratch::new();
    let path = scratch.file("log", b"wholetorn");
    for (offset, kept_bytes) in [(5, &b"torn"[..]), (3, b"le"), (0, b"who")] {
        let done = cut(&path, offset).expect("cut");
        assert_eq!(done.bytes, kept_bytes.len() as u64);
        let kept = done.kept.expect("a file");
        assert_eq!(std::fs::read(&kept).expect("kept"), kept_bytes);
        let name = kept.file_name().expect("a name").to_string_lossy().into_owned();
        let seconds = name.strip_prefix("log.torn-").expect("the name");
        assert!(seconds.starts_with(|first: char| first.is_ascii_digit()), "{name}");
        assert_eq!(std::fs::read(&path).expect("the log").len() as u64, offset);
    }
    assert_eq!(scratch.names().len(), 4, "three cuts in one second have three names");
    assert_eq!(cut(&path, 0).expect("nothing to do").kept, None);
    let error = cut(&path, 1).expect_err("beyond the end");
    assert!(matches!(error, Error::CutBeyondEnd { offset: 1, size: 0, .. }));
    shown(&error);
}

#[test]
fn a_log_that_is_not_there_is_created_and_locked() {
    let scratch = Scratch::new();
    let path = scratch.path("log");
    let mut opened = open(&path, known).expect("created");
    assert!(opened.created && opened.joined.is_none());
    assert_eq!(opened.path, path);
    let mut chunk = Chunk::new();
    assert_eq!(opened.reader.read(&mut chunk).expect("empty"), Step::End(End::Clean));
    assert!(matches!(open(&path, known), Err(Error::Locked { .. })));
    drop(opened);
    assert!(!open(&path, known).expect("there").created);
    assert_eq!(scratch.names(), ["log", "log.lock"]);
}

#[cfg(unix)]
#[test]
fn two_names_of_one_log_have_one_lock() {
    let scratch = Scratch::new();
    let path = scratch.file("log", b"");
    let link = scratch.path("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let opened = open(&link, known).expect("opened");
    assert_eq!(opened.path, path);
    assert!(matches!(open(&path, known), Err(Error::Locked { .. })));
}

#[test]
fn what_cannot_be_a_log_is_refused_in_plain_words() {
    let scratch = Scratch::new();
    let directory = open(&scratch.0, known).expect_err("a directory");
    assert!(matches!(directory, Error::IsDirectory { .. }));
    assert!(shown(&directory).contains(".manifest"));
    let nowhere = open(&scratch.path("no/log"), known).expect_err("no directory");
    assert!(shown(&nowhere).contains("no"));
    assert!(nowhere.source().is_some());
    let image = open(&scratch.file("rdb", b"REDIS0011"), known).expect_err("an image");
    assert!(matches!(image, Error::RdbPreamble { .. }));
    shown(&image);
    assert!(open(Path::new("/"), known).is_err());
}

#[test]
fn a_refused_log_is_free_again() {
    let scratch = Scratch::new();
    let path = scratch.file("log", b"REDIS0011");
    open(&path, known).expect_err("an image");
    std::fs::write(&path, b"").expect("written");
    open(&path, known).expect("free");
}

#[test]
fn a_torn_log_is_whole_once_its_reader_has_met_the_end_and_cut_it() {
    let scratch = Scratch::new();
    let whole = log(&["SET a 1", "SET b 2"]);
    let path = scratch.file("log", &[&whole[..], &log(&["MULTI", "SET c 3"]), &[0; 50]].concat());
    let mut opened = open(&path, known).expect("opened");
    let mut chunk = Chunk::new();
    assert_eq!(opened.reader.read(&mut chunk).expect("readable"), Step::Commands);
    assert_eq!(chunk.len(), 2);
    let Step::End(End::Torn(torn)) = opened.reader.read(&mut chunk).expect("readable") else {
        panic!("not torn");
    };
    let done = cut(&opened.path, torn.offset).expect("cut");
    assert_eq!((torn.offset, done.bytes), (whole.len() as u64, torn.bytes));
    assert_eq!(outcome(&path, 1 << 20).expect("readable").end, Ok(End::Clean));
    assert_eq!(std::fs::read(&path).expect("the log"), whole);
}

/// A directory as redis-server leaves it: a base, two increments and one that is history.
fn redis_parts(scratch: &Scratch) -> [Vec<u8>; 3] {
    let parts = [
        log(&["SELECT 0", "SET a 1", "SELECT 3", "SET b 2"]),
        [b"#TS:1700000000\r\n".to_vec(), log(&["SET c 3"])].concat(),
        log(&["MULTI", "SET d 4", "EXEC"]),
    ];
    scratch.file("a.aof.2.base.aof", &parts[0]);
    scratch.file("a.aof.2.incr.aof", &parts[1]);
    scratch.file("a.aof.3.incr.aof", &parts[2]);
    let lines = "file a.aof.2.base.aof seq 2 type b\nfile a.aof.1.incr.aof seq 1 type h\n\
                 file a.aof.2.incr.aof seq 2 type i\nfile a.aof.3.incr.aof seq 3 type i\n";
    scratch.file("a.aof.manifest", lines.as_bytes());
    parts
}

#[test]
fn the_parts_of_a_manifest_are_joined_into_one_log() {
    let scratch = Scratch::new();
    let parts = redis_parts(&scratch);
    let manifest = scratch.path("a.aof.manifest");
    let Opened { path, joined, created, lock, .. } = open(&manifest, known).expect("joined");
    assert_eq!((path.as_path(), created), (scratch.path("a.aof").as_path(), false));
    let joined = joined.expect("a manifest");
    assert_eq!((joined.parts.len(), joined.left_out), (3, None));
    let select = SELECT_0.as_bytes();
    let expected = [select, &parts[0], select, &parts[1], select, &parts[2]].concat();
    assert_eq!(std::fs::read(&path).expect("the log"), expected);
    let read = outcome(&path, 1 << 20).expect("readable");
    assert_eq!((read.commands.len(), read.end), (9, Ok(End::Clean)));
    drop(lock);
    let error = open(&manifest, known).expect_err("already joined");
    assert!(matches!(error, Error::AlreadyJoined { .. }));
    assert!(shown(&error).contains("--aof-path"));
    assert!(!open(&path, known).expect("the plain log").created);
}

#[test]
fn only_the_last_part_may_be_torn() {
    let scratch = Scratch::new();
    let parts = redis_parts(&scratch);
    let torn = [&parts[2][..], b"*3\r\n$3\r\nSE"].concat();
    scratch.file("a.aof.3.incr.aof", &torn);
    let opened = open(&scratch.path("a.aof.manifest"), known).expect("joined");
    let left_out = opened.joined.expect("a manifest").left_out.expect("torn");
    let expected = Torn { offset: parts[2].len() as u64, bytes: 10, part: TornPart::Command };
    assert_eq!(left_out, expected);
    assert!(std::fs::read(&opened.path).expect("the log").ends_with(&parts[2]));
    assert_eq!(std::fs::read(scratch.path("a.aof.3.incr.aof")).expect("the part"), torn);

    let scratch = Scratch::new();
    redis_parts(&scratch);
    scratch.file("a.aof.2.incr.aof", &torn);
    let error = open(&scratch.path("a.aof.manifest"), known).expect_err("torn in the middle");
    assert!(matches!(error, Error::TornPart { .. }));
    shown(&error);
    assert!(!scratch.path("a.aof").exists());
}

#[test]
fn parts_that_are_missing_images_or_damaged_leave_nothing_behind() {
    for contents in [None, Some(&b"REDIS0011"[..]), Some(b"junk")] {
        let scratch = Scratch::new();
        redis_parts(&scratch);
        let base = scratch.path("a.aof.2.base.aof");
        match contents {
            None => std::fs::remove_file(&base).expect("removed"),
            Some(contents) => std::fs::write(&base, contents).expect("written"),
        }
        let error = open(&scratch.path("a.aof.manifest"), known).expect_err("refused");
        assert!(shown(&error).contains("a.aof.2.base.aof"), "{error}");
        let names = scratch.names();
        assert!(!names.iter().any(|name| name == "a.aof" || name.ends_with(".joining")));
    }
    let scratch = Scratch::new();
    let error = open(&scratch.path("a.aof.manifest"), known).expect_err("no manifest");
    assert!(matches!(error, Error::Io { .. }));
    let error = open(&scratch.file("b.manifest", b"nonsense\n"), known).expect_err("refused");
    assert!(matches!(error, Error::Manifest { line: 1, .. }));
    shown(&error);
}

#[test]
fn a_check_counts_what_is_in_a_log() {
    let scratch = Scratch::new();
    let lines = [
        "SELECT 0",
        "SET a 1 PXAT 99",
        "set ex px",
        "SELECT 9",
        "MULTI",
        "PEXPIREAT a 5",
        "DEL b",
        "EXEC",
    ];
    let Checked { contents, verdict } =
        examine(&scratch.file("log", &log(&lines)), known).expect("examined");
    assert_eq!(verdict, Verdict::Whole);
    assert_eq!((contents.commands, contents.blocks, contents.deadlines), (8, 1, 2));
    let names = [("DEL", 1), ("PEXPIREAT", 1), ("SELECT", 2), ("SET", 2)];
    assert!(contents.names.iter().map(|(name, count)| (name.as_str(), *count)).eq(names));
    assert!(contents.databases.into_iter().eq([(0, 2), (9, 2)]));
}

/// What a check prints, and whether all is well.
fn checked(path: &Path, fix: Fix<'_>) -> (String, bool) {
    let mut out = Vec::new();
    let is_well = check(path, fix, known, &mut out).expect("checked");
    (String::from_utf8(out).expect("text"), is_well)
}

#[test]
fn a_check_cuts_a_torn_end_only_when_told_so() {
    let scratch = Scratch::new();
    let whole = log(&["SET a 1", "MULTI", "SET b 2", "EXEC"]);
    let path = scratch.file("log", &[&whole[..], &log(&["MULTI", "SET c 3"])].concat());
    let verdict = format!("torn tail: 42 bytes after offset {}", whole.len());
    let (text, is_well) = checked(&path, Fix::No);
    assert!(text.contains(&verdict) && text.contains("can be cut with --fix"), "{text}");
    assert!(!is_well);
    let mut question = String::new();
    let mut refuse = |asked: &str| {
        question.push_str(asked);
        false
    };
    assert!(!checked(&path, Fix::Ask(&mut refuse)).1);
    assert!(question.contains("Cut 42 bytes"), "{question}");

    let lock = Lock::take(&path).expect("free");
    let error = check(&path, Fix::Yes, known, &mut Vec::new()).expect_err("a server has it");
    assert!(matches!(error, Error::Locked { .. }));
    assert!(!checked(&path, Fix::No).1, "looking is free");
    drop(lock);

    let (text, is_well) = checked(&path, Fix::Ask(&mut |_| true));
    assert!(is_well && text.contains("kept in") && text.ends_with("ok\n"), "{text}");
    assert_eq!(std::fs::read(&path).expect("the log"), whole);
    assert!(checked(&path, Fix::Yes).1, "nothing more to do");
    assert_eq!(scratch.names().len(), 3, "log, lock and what was cut");
}

#[test]
fn a_check_never_cuts_a_corrupt_log() {
    let scratch = Scratch::new();
    let bytes = [command("SET a 1"), b"junk".to_vec(), command("SET b 2")].concat();
    let path = scratch.file("log", &bytes);
    let (text, is_well) = checked(&path, Fix::Yes);
    let start = command("SET a 1").len();
    assert!(!is_well);
    assert!(text.contains(&format!("corrupt at byte {start}, command 2: ")), "{text}");
    assert!(text.contains(&format!("truncate -s {start} ")), "{text}");
    assert_eq!(std::fs::read(&path).expect("the log"), bytes);
    let foreign = scratch.file("foreign", &command("LPUSH a 1"));
    assert!(checked(&foreign, Fix::No).0.contains("'LPUSH'"));
}

#[test]
fn a_check_of_a_manifest_is_one_of_every_part() {
    let scratch = Scratch::new();
    redis_parts(&scratch);
    let manifest = scratch.path("a.aof.manifest");
    let (text, is_well) = checked(&manifest, Fix::No);
    assert!(is_well && text.matches("\nok\n").count() == 3, "{text}");
    scratch.file("a.aof.3.incr.aof", b"*");
    let (text, is_well) = checked(&manifest, Fix::Yes);
    assert!(!is_well && text.contains("name the part itself"), "{text}");
    assert_eq!(std::fs::read(scratch.path("a.aof.3.incr.aof")).expect("the part"), b"*");
}

#[test]
fn a_corrupt_log_says_where_and_what_to_do() {
    let scratch = Scratch::new();
    let path = scratch.file("log", b"junk");
    let mut reader = Reader::open(&path, known).expect("opened");
    let error = reader.read(&mut Chunk::new()).expect_err("corrupt");
    let text = shown(&error);
    assert!(text.contains("corrupt at byte 0, command 1: "), "{text}");
    assert!(text.contains("ferrum-kv check"), "{text}");
}
