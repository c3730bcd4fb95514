//! The wire by itself: requests to batches, replies to bytes.
//!
//! Inputs are as a pipeline brings them (64 commands in one buffer) or as a lone request comes.
//! The figure is processor time; Criterion shows it per element, that is per command or reply.

#[path = "support/clock.rs"]
mod clock;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput};

use clock::CpuTime;
use ferrum_kv::resp::{Batch, Decoder, Limits, Protocol, ReplyBuffer};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Commands or replies of one pipeline.
const PIPELINE: usize = 64;

const VALUE: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    requests(&mut criterion);
    split_requests(&mut criterion);
    replies(&mut criterion);
    criterion.final_summary();
}

/// A command as an array of bulk strings.
fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The key of command `number`.
fn key(number: usize) -> Vec<u8> {
    format!("key:{number:012}").into_bytes()
}

/// A pipeline of the command that `make` gives for each key.
fn pipeline(make: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    (0..PIPELINE).flat_map(|number| make(&key(number))).collect()
}

fn requests(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("decode");
    let get = pipeline(|key| command(&[b"GET", key]));
    let set = pipeline(|key| command(&[b"SET", key, VALUE]));
    let incr = pipeline(|key| command(&[b"INCR", key]));
    let inline = pipeline(|key| [b"GET ", key, b"\r\n"].concat());
    decode(&mut group, "GET, pipeline 64", &get, PIPELINE);
    decode(&mut group, "SET, pipeline 64", &set, PIPELINE);
    decode(&mut group, "INCR, pipeline 64", &incr, PIPELINE);
    decode(&mut group, "inline GET, pipeline 64", &inline, PIPELINE);
    decode(&mut group, "GET, alone", &command(&[b"GET", &key(7)]), 1);
    decode(&mut group, "SET, alone", &command(&[b"SET", &key(7), VALUE]), 1);
    decode(&mut group, "SET of 16 KiB", &command(&[b"SET", &key(7), &[b'v'; 16 << 10]]), 1);

    let pairs: Vec<Vec<u8>> = (0..100).flat_map(|number| [key(number), VALUE.to_vec()]).collect();
    let mut parts: Vec<&[u8]> = vec![b"MSET"];
    parts.extend(pairs.iter().map(Vec::as_slice));
    decode(&mut group, "MSET of 100 keys", &command(&parts), 1);
    group.finish();
}

/// Decodes an input over and over and looks at the last argument of each command.
fn decode(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, input: &[u8], commands: usize) {
    let mut decoder = Decoder::new(Limits::default());
    let mut batch = Batch::new();
    group.throughput(Throughput::Elements(commands as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            batch.clear();
            let input = black_box(input);
            let decoded = decoder.decode(input, &mut batch, usize::MAX).expect("a valid request");
            assert_eq!((decoded.consumed, batch.len()), (input.len(), commands));
            for index in 0..batch.len() {
                let args = batch.args(index, input);
                black_box(args.get(args.len() - 1));
            }
        });
    });
}

/// A pipeline that arrives in two parts: the cost of resuming.
fn split_requests(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("decode in two parts");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    let input = pipeline(|key| command(&[b"SET", key, VALUE]));
    for (name, cut) in [("inside a value", input.len() / 2), ("inside the last line", 1)] {
        let cut = input.len() - cut;
        let mut decoder = Decoder::new(Limits::default());
        let mut batch = Batch::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut start = 0;
                for end in [cut, input.len()] {
                    batch.clear();
                    let part = black_box(&input[start..end]);
                    let decoded = decoder.decode(part, &mut batch, usize::MAX);
                    start += decoded.expect("a valid request").consumed;
                    black_box(batch.len());
                }
                assert_eq!(start, input.len());
            });
        });
    }
    group.finish();
}

fn replies(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("encode, 64 replies");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    encode(&mut group, "OK", |out, _| out.ok());
    encode(&mut group, "small integer", |out, number| out.integer(number as i64));
    encode(&mut group, "large integer", |out, number| out.integer(i64::MAX - number as i64));
    encode(&mut group, "bulk of 32 bytes", |out, _| out.bulk(VALUE));
    encode(&mut group, "bulk of 4 KiB", |out, _| out.bulk(&[b'v'; 4096]));
    encode(&mut group, "counter as bulk", |out, number| out.bulk_integer(number as i64));
    encode(&mut group, "null", |out, _| out.null());
    encode(&mut group, "error", |out, _| out.error("ERR value is not an integer or out of range"));
    encode(&mut group, "RESP3 map of a double", |out, number| {
        out.protocol = Protocol::Resp3;
        out.map(1);
        out.bulk(b"score");
        out.double(number as f64 + 0.5);
    });
    let large = bytes::Bytes::from(vec![b'v'; 64 << 10]);
    encode(&mut group, "bulk of 64 KiB, shared", |out, _| out.bulk_large(large.clone()));
    group.finish();
}

/// Encodes 64 replies over and over, and walks over what would be written.
fn encode(
    group: &mut BenchmarkGroup<'_, CpuTime>,
    name: &str,
    write: impl Fn(&mut ReplyBuffer, usize),
) {
    let mut out = ReplyBuffer::new();
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            out.clear();
            for number in 0..PIPELINE {
                write(&mut out, black_box(number));
            }
            for chunk in out.chunks() {
                black_box(chunk);
            }
        });
    });
}
