//! The `ferrum-kv` command: reads the command line and the configuration, sets up the process, runs
//! the server, checks a log or asks another server whether it serves.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use ferrum_kv::aof::{self, Fix};
use ferrum_kv::commands;
use ferrum_kv::config::cli::{self, Check, Ping, Request, Start};
use ferrum_kv::server::startup::{self, Role};
use ferrum_kv::server::{self, Build};

/// jemalloc, as redis-server itself uses: at 5 million small keys it holds 2 bytes a key more than
/// was asked for, mimalloc 20; and it takes memory in small pages, so that no insert pays for a 2
/// MiB one (up to 4 ms in a virtual machine).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BUILD: Build = Build { allocator: "jemalloc" };

fn main() -> ExitCode {
    let result = match cli::parse(std::env::args_os()) {
        Ok(Request::Serve(start)) => serve(*start).map(|()| true),
        Ok(Request::Check(request)) => check(&request),
        Ok(Request::Ping(request)) => ping(&request),
        Ok(Request::Show(text)) => show(&text).map(|()| true),
        Err(refusal) => {
            eprintln!("{refusal}");
            return ExitCode::FAILURE;
        }
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

fn serve(start: Start) -> Result<(), String> {
    if startup::detach(&start)? == Role::Starter {
        return Ok(());
    }
    let mut config = start.config;
    startup::enter_folder(&mut config)?;
    startup::start_messages(&config)?;
    server::log_panics();
    startup::warn_of_settings(&config);
    let has_log_file = config.log_file.is_some();
    server::run(config, BUILD).map_err(|error| {
        // Where there is a file of messages, that is where the operator looks.
        if has_log_file {
            log::error!("{error}");
        }
        error.to_string()
    })
}

fn show(text: &[u8]) -> Result<(), String> {
    match std::io::stdout().write_all(text) {
        // Whoever does not read on has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
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
