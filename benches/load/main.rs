//! A load generator for what redis-benchmark cannot send: commands over many keys that are each
//! drawn anew, whole MULTI ... EXEC blocks, and clients that WATCH a key, think, and try again.
//!
//! One thread drives all clients, so that it takes as little as possible from a server beside it.
//! Prints one line of figures. `scripts/bench_transactions.py` runs it.

mod client;
mod workload;

use std::time::{Duration, Instant};

use clap::Parser;

use client::Client;
use workload::{Outcome, Workload};

/// What to send, and for how long.
#[derive(Parser)]
struct Options {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    workload: Workload,
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// Commands, or whole transactions, that a client sends at once.
    #[arg(long, default_value_t = 16)]
    pipeline: usize,
    /// Different keys; 1: all clients want the same one.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

fn main() {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let set = tokio::task::LocalSet::new();
    set.block_on(&runtime.expect("a runtime"), run(options));
}

/// Runs all clients to the end and prints what came out.
async fn run(options: Options) {
    let requests = options.workload.requests(options.pipeline, options.keys);
    let mut clients = Vec::with_capacity(options.clients);
    for _ in 0..options.clients {
        clients.push(Client::connect(options.port).await);
    }
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(options.seconds);
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let (requests, workload) = (requests.clone(), options.workload);
            tokio::task::spawn_local(async move { workload.run(client, &requests, end).await })
        })
        .collect();
    let mut outcomes = Vec::with_capacity(tasks.len());
    for task in tasks {
        outcomes.push(task.await.expect("a client has failed"));
    }
    print(&outcomes, begin.elapsed());
}

fn print(outcomes: &[Outcome], elapsed: Duration) {
    let done: u64 = outcomes.iter().map(|each| each.done).sum();
    let aborts: u64 = outcomes.iter().map(|each| each.aborts).sum();
    let shares = outcomes.iter().map(|each| each.done);
    let (least, most) = (shares.clone().min().unwrap_or(0), shares.max().unwrap_or(0));
    let mut times: Vec<Duration> =
        outcomes.iter().flat_map(|each| each.times.iter().copied()).collect();
    times.sort_unstable();
    let percentile = |thousandths: usize| match times.len() {
        0 => 0.0,
        count => times[(count * thousandths / 1000).min(count - 1)].as_secs_f64() * 1e6,
    };
    println!(
        "done={done} aborts={aborts} seconds={:.6} least={least} most={most} \
         p50_us={:.1} p99_us={:.1} p999_us={:.1} worst_us={:.1}",
        elapsed.as_secs_f64(),
        percentile(500),
        percentile(990),
        percentile(999),
        percentile(1000),
    );
}
