//! Folders and logs of a test, gone when the test has ended well.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of its own for one test. It stays when the test fails, to be looked at.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("log-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, as an argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("a path of text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What cannot be removed is in the folder of build results at worst.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The path of a log in a folder of its own.
pub(crate) struct LogFile {
    pub(crate) folder: Folder,
    path: String,
}

impl LogFile {
    /// A log that does not exist yet.
    pub(crate) fn new() -> LogFile {
        let folder = Folder::new();
        let path = folder.file("log.aof");
        LogFile { folder, path }
    }

    /// A log with this content.
    pub(crate) fn of(content: &[u8]) -> LogFile {
        let log = LogFile::new();
        log.write(content);
        log
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The flags for a server of two workers that keeps its log here.
    pub(crate) fn flags<'a>(&'a self, appendfsync: &'a str) -> [&'a str; 6] {
        ["--io-threads", "2", "--aof-path", &self.path, "--appendfsync", appendfsync]
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("the log can be read")
    }

    pub(crate) fn len(&self) -> usize {
        let length = std::fs::metadata(&self.path).expect("the log is there").len();
        usize::try_from(length).expect("it fits in memory")
    }

    pub(crate) fn write(&self, content: &[u8]) {
        std::fs::write(&self.path, content).expect("the log can be written");
    }

    /// What was cut off and kept beside the log, one file after the other.
    pub(crate) fn kept_beside(&self) -> Vec<Vec<u8>> {
        let start = format!("{}.torn-", self.path);
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| path.to_str().is_some_and(|path| path.starts_with(&start)));
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
    }
}
