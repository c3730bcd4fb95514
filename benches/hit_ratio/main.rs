//! Hit ratios of eviction policies: ours, Redis's, and the known ones, on the same requests.
//!
//! Not a timed test: it replays traces of real systems (files given by path) and made-up patterns
//! against caches of so many objects, and prints what share of the requests were hits. Every
//! request is a read-through GET: a miss is followed by a SET of the same key. All requests count,
//! from the first one on an empty cache.
//!
//! * Real traces are replayed at 0.1, 1 and 10 % of their distinct keys, but not below 50 objects;
//!   patterns (`pattern.rs`) at 1,000 and 5,000 objects; or all at `--sizes`.
//! * Baselines (`baseline`) are bounded by the number of objects.
//! * Policies with a server's name, such as `allkeys-lru`, are those of our store, in this process;
//!   with `--tcp` those of the server that listens there, which may be Redis. See `live.rs`.
//!
//! ```text
//! cargo bench --bench hit_ratio -- traces/*.zst --plot hit_ratio.svg
//! cargo bench --bench hit_ratio -- --patterns zipf,loop --sizes 1000 --policies lru,belady
//! cargo bench --bench hit_ratio -- traces/*.zst --policies allkeys-lru --tcp 127.0.0.1:6379
//! ```

mod baseline;
mod cache;
mod live;
mod options;
mod pattern;
mod plot;
mod report;
mod store;
mod trace;

use std::io::Error;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::{CommandFactory, Parser};

use cache::{Outcome, replay};
use options::{Options, Policy};
use report::{Cell, Results};
use trace::Trace;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.traces.is_empty() && options.patterns.is_empty() {
        println!("{}", Options::command().render_help());
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hit_ratio: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Error> {
    let mut traces = Vec::new();
    for path in &options.traces {
        let trace = Trace::read(path);
        traces.push(trace.map_err(|error| Error::other(format!("{}: {error}", path.display())))?);
    }
    traces.extend(options.patterns.iter().map(|pattern| pattern.trace()));
    let cells: Vec<_> =
        traces.iter().flat_map(|trace| Cell::all_of(trace, &options.sizes)).collect();
    let columns = options.columns();
    let outcomes = measure(options, &columns, &cells)?;
    let names = columns.iter().map(|policy| options.name(policy)).collect();
    let results = Results::new(names, &cells, outcomes);
    println!("{}", results.markdown());
    if let Some(path) = &options.json {
        std::fs::write(path, results.json())?;
    }
    if let Some(path) = &options.plot {
        std::fs::write(path, plot::svg(&results))?;
    }
    Ok(())
}

/// The outcome of each cell under each policy, cell by cell.
fn measure(
    options: &Options,
    columns: &[Policy],
    cells: &[Cell],
) -> Result<Vec<Vec<Option<Outcome>>>, Error> {
    let outcomes = Mutex::new(vec![vec![None; columns.len()]; cells.len()]);
    let jobs =
        (0..cells.len()).flat_map(|cell| (0..columns.len()).map(move |column| (cell, column)));
    // The first is taken last: traces come with their largest cache at the end.
    let in_process = jobs.clone().filter(|job| !options.is_live(&columns[job.1]));
    let waiting = Mutex::new(in_process.collect::<Vec<_>>());
    let note = |(cell, column): (usize, usize), outcome: Option<Outcome>| {
        eprintln!("{}", progress(&cells[cell], &options.name(&columns[column]), outcome.as_ref()));
        outcomes.lock().expect("no one has panicked")[cell][column] = outcome;
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let job = waiting.lock().expect("no one has panicked").pop();
                    let Some(job) = job else { break };
                    let (cell, policy) = (&cells[job.0], &columns[job.1]);
                    let cache = match policy {
                        Policy::Baseline(kind) => Some(kind.open(cell.trace, cell.objects)),
                        Policy::Server(name) => store::open(name, cell.objects),
                    };
                    let requests = &cell.trace.requests;
                    note(job, cache.map(|mut cache| replay(requests, cache.as_mut())));
                }
            });
        }
    });
    // One server, one replay at a time.
    for job in jobs {
        if let (Policy::Server(policy), Some(address)) = (&columns[job.1], &options.tcp) {
            let cell = &cells[job.0];
            let plan = live::Plan { policy, address, value_bytes: options.value_bytes };
            match live::measure(&plan, cell.trace, cell.objects) {
                Ok(outcome) => note(job, Some(outcome)),
                Err(error) => eprintln!("{} {policy}: {error}", cell.name()),
            }
        }
    }
    Ok(outcomes.into_inner().expect("no one has panicked"))
}

/// A line that says how far we are.
fn progress(cell: &Cell, policy: &str, outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else {
        return format!("{} {policy}: not to be had", cell.name());
    };
    let ending = outcome.ending;
    let objects = ending.objects.map_or(String::new(), |mean| format!(", {mean:.1} objects held"));
    let alpha = ending.alpha.map_or(String::new(), |alpha| format!(", alpha {alpha:.2}"));
    let (ratio, seconds) = (outcome.hit_ratio_percent(), outcome.seconds);
    format!("{} {policy}: {ratio:.2} %, {seconds:.1} s{objects}{alpha}", cell.name())
}
