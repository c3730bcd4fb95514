//! A disk that fails when it is told to: the library in shim.c, compiled when a test needs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::harness::{LogFile, Server};

/// Compiles the library once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/shim.c");
        let name = format!("shim-{}.so", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let output = Command::new("cc")
            .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
            .args([&path, &source])
            .output()
            .expect("a C compiler is in the PATH as cc");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    })
}

/// A log on a disk that can be made to fail.
pub(crate) struct FailingDisk {
    pub(crate) log: LogFile,
}

/// One sync of the log, in nanoseconds since 1970 and bytes.
pub(crate) struct Sync {
    pub(crate) end: u64,
    /// The size of the log when it began: all of that is durable when it has ended well.
    pub(crate) size: u64,
    pub(crate) is_good: bool,
}

impl FailingDisk {
    pub(crate) fn new() -> FailingDisk {
        FailingDisk { log: LogFile::new() }
    }

    fn control(&self) -> String {
        self.log.folder.file("control")
    }

    fn journal(&self) -> String {
        self.log.folder.file("journal")
    }

    /// A server whose log is on this disk.
    pub(crate) fn server(&self, appendfsync: &str) -> Server {
        let variables = [
            ("LD_PRELOAD", library().to_str().expect("a path of text")),
            ("FERRUM_SHIM_LOG", self.log.path()),
            ("FERRUM_SHIM_CONTROL", &self.control()),
            ("FERRUM_SHIM_JOURNAL", &self.journal()),
        ];
        Server::with_environment(&self.log.flags(appendfsync), &variables)
    }

    /// From now on it fails in this way; the words are those of shim.c.
    pub(crate) fn fail(&self, how: &str) {
        // In one step, so that no half of the word is read.
        let next = self.log.folder.file("next-control");
        std::fs::write(&next, how).expect("a file");
        std::fs::rename(&next, self.control()).expect("a file");
    }

    /// From now on it works.
    pub(crate) fn mend(&self) {
        std::fs::remove_file(self.control()).expect("it has failed before");
    }

    /// All syncs of the log so far.
    pub(crate) fn syncs(&self) -> Vec<Sync> {
        let text = std::fs::read_to_string(self.journal()).unwrap_or_default();
        let parse = |line: &str| {
            let mut numbers = line.split(' ').map(|word| word.parse::<i64>().expect("a number"));
            let mut next = || numbers.next().expect("four numbers");
            let (_start, end, size, result) = (next(), next(), next(), next());
            Sync { end: end as u64, size: size as u64, is_good: result == 0 }
        };
        text.lines().map(parse).collect()
    }
}
