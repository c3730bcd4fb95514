//! A server process under test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Client, PATIENCE, wait_until};

/// The program under test, not yet started, with nothing of the environment that changes its log.
pub(crate) fn server_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrum-kv"));
    command.env_remove("RUST_LOG").args(arguments).stdin(Stdio::null());
    command
}

/// What the server logs when everything is loaded.
const READY: &str = "Ready to accept connections";

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

    /// With these flags; on a free port of the loopback interface unless they say where. Ready:
    /// what it had to load is loaded.
    pub(crate) fn with(arguments: &[&str]) -> Server {
        let server = Server::launch(arguments, &[]);
        server.wait_until_ready();
        server
    }

    /// With these flags and these further variables in its environment; ready.
    pub(crate) fn with_environment(arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let server = Server::launch(arguments, variables);
        server.wait_until_ready();
        server
    }

    /// With these flags; ready, or what it said when it refused to start.
    pub(crate) fn attempt(arguments: &[&str]) -> Result<Server, String> {
        let server = Server::spawn(arguments, &[])?;
        let mut has_ended = false;
        wait_until("the server is ready or has ended", || {
            // In this order: all that it has logged is there when it has ended.
            has_ended = server.reader.as_ref().is_none_or(JoinHandle::is_finished);
            has_ended || server.has_logged(READY)
        });
        if has_ended { Err(server.log().join("\n")) } else { Ok(server) }
    }

    /// As soon as it has said where it listens: it may still be loading, or refuse to.
    pub(crate) fn launch(arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        Server::spawn(arguments, variables)
            .unwrap_or_else(|said| panic!("the server did not start: {said}"))
    }

    /// As [`Server::launch`], or what it said when it ended instead.
    fn spawn(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Server, String> {
        let mut command = on_a_free_port(arguments);
        command.envs(variables.iter().copied());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, receiver) = mpsc::channel();
        let reader = {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    let address = announced_address(&line);
                    log.lock().expect("no panic holds it").push(line);
                    if let Some(address) = address {
                        // Nobody listens when the start has been given up.
                        let _ = sender.send(address);
                    }
                }
            })
        };
        let announced = receiver.recv_timeout(PATIENCE);
        if announced == Err(RecvTimeoutError::Timeout) {
            // Fails only when the process has ended already.
            let _ = child.kill();
        }
        let Ok(address) = announced else {
            let _ = child.wait();
            return Err(log.lock().expect("log").join("\n"));
        };
        Ok(Server { child, address, log, reader: Some(reader) })
    }

    /// Waits until everything is loaded and commands are answered.
    pub(crate) fn wait_until_ready(&self) {
        wait_until("the server is ready", || {
            let ended = self.reader.as_ref().is_none_or(JoinHandle::is_finished);
            let ready = self.has_logged(READY);
            assert!(ready || !ended, "the server did not start: {:?}", self.log());
            ready
        });
    }

    /// What a server that must not start with these flags says on standard error. It has ended with
    /// exit code 1 and without a panic.
    pub(crate) fn refusal(arguments: &[&str]) -> String {
        let mut command = on_a_free_port(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut said = String::new();
        let mut pipe = child.stderr.take().expect("piped");
        let reader = std::thread::spawn(move || {
            pipe.read_to_string(&mut said).expect("text");
            said
        });
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) => break Some(status),
                None if Instant::now() > end => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        // Fails only when the process has ended already.
        let _ = child.kill();
        let _ = child.wait();
        let said = reader.join().expect("no panic");
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(1), "{arguments:?} must be refused: {said}");
        assert!(!said.contains("panic"), "{said}");
        said
    }

    /// Ends the process at once (SIGKILL), as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it has not ended by itself");
        self.wait();
    }

    /// Whether a line of its log contains this text.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log.lock().expect("log").iter().any(|line| line.contains(text))
    }

    /// A field of INFO as text; none when there is no such field.
    pub(crate) fn info_text(&self, field: &str) -> Option<String> {
        let text = self.connect().ask("INFO");
        let start = format!("{field}:");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.map(|value| value.trim().to_owned())
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

/// The command with an address added, unless the flags name one.
fn on_a_free_port(arguments: &[&str]) -> Command {
    let mut command = server_command(arguments);
    if !arguments.iter().any(|argument| ["--addr", "--port"].contains(argument)) {
        command.args(["--addr", "127.0.0.1:0"]);
    }
    command
}

/// The address in the banner line.
fn announced_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("FerrumKV ")?;
    let (_, rest) = rest.split_once(" on ")?;
    rest.split_once(": ")?.0.parse().ok()
}
