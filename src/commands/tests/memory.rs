//! What is refused while the memory is used up.

use super::super::context::Context;
use super::super::dispatch::{find, run_row};
use super::super::row::Handler;
use super::super::windows::Ran;
use super::super::{exec, multi};
use super::{encode, with_context};
use crate::resp::{Batch, Decoder, Limits};

const REFUSED: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
const BROKEN: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";
const EXEC_REFUSED: &str = "-EXECABORT Transaction discarded because of: \
                            OOM command not allowed when used memory > 'maxmemory'.\r\n";

/// Runs a command without keys, or queues any, as the engine does; returns its reply.
fn ask(context: &mut Context<'_>, line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let input = encode(&words);
    let mut batch = Batch::new();
    let mut decoder = Decoder::new(Limits::default());
    let decoded = decoder.decode(&input, &mut batch, usize::MAX).expect("well formed");
    assert_eq!(decoded.consumed, input.len());
    let args = batch.args(0, &input);
    let row = find(&args).expect("a command");
    match row.handler {
        _ if context.is_out_of_memory && multi::needs_memory(context, row) => {
            multi::refuse_memory(context, row);
        }
        Handler::Exec => assert_eq!(exec::exec(context, row), Ran::Done),
        Handler::Plain(_) | Handler::OneKey(_) if context.client.queue.is_some() => {
            multi::enqueue(context, row, &args, &[context.state.keyspace.key(args.get(1)).hash]);
        }
        _ => run_row(context, row, &args, &[]),
    }
    let reply = context.out.chunks().flatten().copied().collect();
    context.out.clear();
    String::from_utf8(reply).expect("text")
}

#[test]
fn without_memory_only_what_may_take_some_is_refused() {
    with_context(|context| {
        context.is_out_of_memory = true;
        for line in ["SET k v", "APPEND k v", "MSET k v", "SETBIT k 1 1", "COPY k l", "INCR k"] {
            assert_eq!(ask(context, line), REFUSED, "{line}");
        }
        assert_eq!(ask(context, "PING"), "+PONG\r\n");
        assert_eq!(ask(context, "UNWATCH"), "+OK\r\n");
        assert_eq!(context.counts.errors, 6);
    });
}

#[test]
fn without_memory_nothing_is_queued() {
    with_context(|context| {
        context.is_out_of_memory = true;
        assert_eq!(ask(context, "MULTI"), "+OK\r\n");
        for line in ["GET k", "PING", "MULTI", "WATCH k"] {
            assert_eq!(ask(context, line), REFUSED, "{line}");
        }
        assert_eq!(ask(context, "EXEC"), BROKEN);
        assert_eq!(ask(context, "MULTI"), "+OK\r\n");
        assert_eq!(ask(context, "EXEC"), "*0\r\n");
        assert_eq!(ask(context, "MULTI"), "+OK\r\n");
        assert_eq!(ask(context, "DISCARD"), "+OK\r\n");
    });
}

#[test]
fn a_transaction_that_may_take_memory_is_not_run_without() {
    with_context(|context| {
        for is_broken in [false, true] {
            context.is_out_of_memory = false;
            assert_eq!(ask(context, "MULTI"), "+OK\r\n");
            assert_eq!(ask(context, "SET k v"), "+QUEUED\r\n");
            context.is_out_of_memory = true;
            if is_broken {
                assert_eq!(ask(context, "GET k"), REFUSED);
            }
            assert_eq!(ask(context, "EXEC"), EXEC_REFUSED);
            assert!(context.client.queue.is_none());
        }
        context.is_out_of_memory = false;
        ask(context, "MULTI");
        assert_eq!(ask(context, "GET k"), "+QUEUED\r\n");
        context.is_out_of_memory = true;
        assert_eq!(ask(context, "EXEC"), "*1\r\n$-1\r\n");
    });
}
