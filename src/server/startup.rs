//! What the process does before it serves: the background, the working folder, the file of
//! messages, the file with its number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use log::{LevelFilter, warn};

use crate::config::cli::Start;
use crate::config::{Config, directives};

/// Says to a process that it was started to run in the background. What it is set to is of no
/// importance.
const DETACHED: &str = "FERRUM_KV_DETACHED";

/// Where a process in the background writes its number, unless told otherwise.
const PID_FILE: &str = "/var/run/ferrum-kv.pid";

/// Which process this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that is to serve.
    Server,
    /// The one that has started that one in the background, and is to end.
    Starter,
}

/// Goes to the background if it is wanted: the program is run again with the same arguments, in a
/// session of its own, without a terminal.
///
/// # Errors
/// It cannot be run again.
pub fn detach(start: &Start) -> Result<Role, String> {
    if !start.config.daemonize {
        return Ok(Role::Server);
    }
    if std::env::var_os(DETACHED).is_some() {
        // Fails only for the leader of a session, which needs none of its own.
        let _ = rustix::process::setsid();
        return Ok(Role::Server);
    }
    spawn_detached(start).map_err(|error| format!("cannot run in the background: {error}"))?;
    Ok(Role::Starter)
}

fn spawn_detached(start: &Start) -> io::Result<()> {
    let input = match start.standard_input {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    };
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(DETACHED, "1")
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    match (child.stdin.take(), &start.standard_input) {
        (Some(mut pipe), Some(text)) => pipe.write_all(text),
        _ => Ok(()),
    }
}

/// Enters the working folder and decides on what depends on it. From here on paths are relative to
/// it.
///
/// # Errors
/// The folder cannot be entered, or that of the log cannot be made.
pub fn enter_folder(config: &mut Config) -> Result<(), String> {
    let dir = config.dir.display();
    std::env::set_current_dir(&config.dir).map_err(|error| format!("dir '{dir}': {error}"))?;
    config.dir = std::env::current_dir().map_err(|error| format!("dir '{dir}': {error}"))?;
    config.find_log();
    let folder = config.log_path().filter(|_| config.is_log_found).and_then(Path::parent);
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |error| format!("cannot create the folder '{}': {error}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
    }
    if config.daemonize && config.pid_file.is_none() {
        config.pid_file = Some(PID_FILE.into());
    }
    Ok(())
}

/// Has messages written to the file of `logfile` or to standard error, one line each with the time
/// in UTC. The environment variable RUST_LOG, where it is set, overrides the level.
///
/// # Errors
/// The file cannot be had.
pub fn start_messages(config: &Config) -> Result<(), String> {
    let mut builder = env_logger::Builder::new();
    let is_overridden = std::env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty());
    if is_overridden {
        builder.filter_level(config.log_level.filter()).parse_default_env();
    } else {
        // Everything passes here: the level is that of the `log` crate, which may change.
        builder.filter_level(LevelFilter::Trace);
    }
    if let Some(path) = &config.log_file {
        builder.target(env_logger::Target::Pipe(Box::new(open_messages(path)?)));
    }
    builder.format_timestamp_millis().format_target(false).init();
    if !is_overridden {
        log::set_max_level(config.log_level.filter());
    }
    Ok(())
}

fn open_messages(path: &Path) -> Result<File, String> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| format!("cannot open the log file '{}': {error}", path.display()))
}

/// Says what of the settings will not be as the operator may expect.
pub fn warn_of_settings(config: &Config) {
    for warning in directives::warnings(config) {
        warn!("{warning}");
    }
    let snapshot = directives::find(b"dbfilename").map(|(row, _)| row.show(config));
    let snapshot = String::from_utf8(snapshot.unwrap_or_default()).unwrap_or_default();
    if !snapshot.is_empty() && config.log_path().is_none() && Path::new(&snapshot).is_file() {
        warn!(
            "WARNING: the snapshot '{snapshot}' in {} is not loaded: there are no snapshots (RDB) \
             here, only a log of changes (appendonly)",
            config.dir.display()
        );
    }
}

/// The file with the process's number, which goes with this.
#[derive(Debug)]
pub struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes it, if there is to be one. As in Redis the server also runs without.
    pub fn write(config: &Config) -> PidFile {
        let Some(path) = &config.pid_file else {
            return PidFile(None);
        };
        match fs::write(path, format!("{}\n", std::process::id())) {
            Ok(()) => PidFile(Some(config.dir.join(path))),
            Err(error) => {
                warn!("Failed to write PID file {}: {error}", path.display());
                PidFile(None)
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        let said = fs::read_to_string(path).unwrap_or_default();
        if said.trim() == std::process::id().to_string() {
            // Whoever has removed it already has done the same.
            let _ = fs::remove_file(path);
        }
    }
}
