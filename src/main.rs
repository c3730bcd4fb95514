//! The `ferrum-kv` command: reads the command line, sets up messages, runs the server, checks a log
//! or asks another server whether it serves.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use ferrum_kv::aof::{self, Fix};
use ferrum_kv::commands;
use ferrum_kv::config::cli::{self, Check, Ping, Request};
use ferrum_kv::config::{Config, LogLevel};
use ferrum_kv::server::{self, Build};

/// jemalloc, as redis-server itself uses: at 5 million small keys it holds 2 bytes a key more than
/// was asked for, mimalloc 20; and it takes memory in small pages, so that no insert pays for a 2
/// MiB one (up to 4 ms in a virtual machine).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BUILD: Build = Build { allocator: "jemalloc" };

fn main() -> ExitCode {
    let result = match cli::parse(std::env::args_os()) {
        Ok(Request::Serve(config)) => serve(*config).map(|()| true),
        Ok(Request::Check(request)) => check(&request),
        Ok(Request::Ping(request)) => ping(&request),
        Ok(Request::Show(text)) => {
            print!("{text}");
            Ok(true)
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ferrum-kv: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), String> {
    start_log(config.log_level);
    server::log_panics();
    server::run(config, BUILD).map_err(|error| error.to_string())
}

/// Checks a log. Returns whether all is well with it.
fn check(request: &Check) -> Result<bool, String> {
    let fix = match (request.fix, request.yes) {
        (false, _) => Fix::No,
        (true, false) => Fix::Ask(&mut ask),
        (true, true) => Fix::Yes,
    };
    let mut out = std::io::stdout();
    aof::check(&request.path, fix, commands::is_logged, &mut out).map_err(|error| error.to_string())
}

/// Asks a server whether it serves. Returns whether it does.
fn ping(request: &Ping) -> Result<bool, String> {
    let password = std::env::var_os("REDISCLI_AUTH").unwrap_or_default();
    let patience = Duration::from_secs(request.timeout);
    let answer = server::ping(&request.addr, password.as_encoded_bytes(), patience);
    let answer = answer.map_err(|error| error.to_string())?;
    println!("{}", answer.text());
    Ok(answer.is_well())
}

/// Asks on the terminal. Whatever is not a yes is a no.
fn ask(question: &str) -> bool {
    eprint!("{question}");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

/// Logs to standard error, one line per message with the time in UTC. The environment variable
/// RUST_LOG, where it is set, overrides the level of the configuration.
fn start_log(level: LogLevel) {
    env_logger::Builder::new()
        .filter_level(level.filter())
        .parse_default_env()
        .format_timestamp_millis()
        .format_target(false)
        .init();
}
