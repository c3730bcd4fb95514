//! A server process under test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{Client, PATIENCE, wait_until};

/// The program under test, not yet started, with nothing of the environment that changes its log.
pub(crate) fn server_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrum-kv"));
    command.env_remove("RUST_LOG").args(arguments).stdin(Stdio::null());
    command
}

/// A running server. Dropping it kills the process and fails the test if anything in it panicked.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Two workers on a free port of the loopback interface.
    pub(crate) fn start() -> Server {
        Server::with(&["--io-threads", "2"])
    }

    /// One worker, which all clients share.
    pub(crate) fn single_worker() -> Server {
        Server::with(&["--io-threads", "1"])
    }

    /// With these flags; on a free port of the loopback interface unless they say where.
    pub(crate) fn with(arguments: &[&str]) -> Server {
        let mut command = server_command(arguments);
        if !arguments.contains(&"--addr") {
            command.args(["--addr", "127.0.0.1:0"]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, receiver) = mpsc::channel();
        let reader = {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    if let Some(address) = announced_address(&line) {
                        // Nobody listens when the start has been given up.
                        let _ = sender.send(address);
                    }
                    log.lock().expect("no panic holds it").push(line);
                }
            })
        };
        let address = match receiver.recv_timeout(PATIENCE) {
            Ok(address) => address,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let _ = child.kill();
                panic!("the server did not start: {:?}", log.lock().expect("log"));
            }
        };
        Server { child, address, log, reader: Some(reader) }
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a signal, by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &line]).status().expect("sh");
        assert!(status.success(), "{line}");
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        wait_until("the server ends", || {
            ended = self.child.try_wait().expect("a child can be waited for");
            ended.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the log is read to its end");
        }
        ended.expect("it has ended")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("log").clone()
    }

    /// Memory of the process that is in use, in bytes (the resident set).
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kilobytes = line.split_whitespace().nth(1).expect("a figure");
        kilobytes.parse::<u64>().expect("a number") * 1024
    }

    /// One figure of INFO.
    pub(crate) fn info(&self, field: &str) -> u64 {
        let text = self.connect().ask("INFO");
        let start = format!("{field}:");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        let value = line.unwrap_or_else(|| panic!("no {field} in {text}"));
        value.trim().parse().unwrap_or_else(|_| panic!("{field} is {value}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if !std::thread::panicking() {
            let log = self.log();
            let panicked = log.iter().any(|line| line.contains("panic"));
            assert!(!panicked, "the server panicked:\n{}", log.join("\n"));
        }
    }
}

/// The address in the banner line.
fn announced_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("FerrumKV ")?;
    let (_, rest) = rest.split_once(" on ")?;
    rest.split_once(": ")?.0.parse().ok()
}
