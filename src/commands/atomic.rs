//! Several keys at one instant.
//!
//! What reads and changes several keys runs as a transaction of the store: its changes are private
//! until all of them take effect at one instant. When somebody has changed meanwhile what it has
//! read, nothing has happened and it runs again. So a handler is written as if nobody else were
//! there, and may change nothing but keys, the replies, and what a [`Checkpoint`] holds; what is
//! the same after every run (the name of a connection) need not be taken back.
//!
//! Inside EXEC a transaction is under way already, which the handler's work becomes part of; where
//! nobody else runs (`Context::alone`) none is needed.

use super::context::{Context, Counts};
use super::reply_mode::ReplyMode;
use super::row::{Categories, Flags, Row};
use super::setbacks::Setbacks;
use crate::resp::{Mark, Protocol};
use crate::store::Session;

/// How a run of something atomic has ended.
pub(super) enum Ending<T> {
    /// What it has read and changed is to hold at one instant.
    Commit(T),
    /// It has done nothing, and what it tells holds whatever else has changed.
    Abandon(T),
}

/// Whether a command cannot be part of a transaction, because its keys are not known beforehand or
/// because it does something to the server, once. An EXEC that runs it has to be alone.
///
/// The server notes each client that it turns away, so what may come before the password counts.
pub(super) fn needs_exclusion(row: &Row) -> bool {
    const ALONE: Categories =
        Categories::READ.and(Categories::WRITE).and(Categories::ADMIN).and(Categories::DANGEROUS);
    // What changes subscriptions cannot be done again; all of it is said to be for no script.
    let subscribes = row.flags.contains(Flags::PUBSUB.and(Flags::NOSCRIPT));
    let lets_in = row.flags.contains(Flags::NO_AUTH);
    subscribes || lets_in || row.keys.is_none() && row.all_categories().meets(ALONE)
}

/// Runs `body` at one instant, as often as it takes. The store sees to it that this ends: after a
/// few attempts that were lost the others wait for it.
pub(super) fn atomically<T>(
    context: &mut Context<'_>,
    mut body: impl FnMut(&mut Context<'_>) -> T,
) -> T {
    atomically_or_not(context, |context| Ending::Commit(body(context)))
}

/// [`atomically`] for what only reads keys.
pub(super) fn atomically_read<T>(
    context: &mut Context<'_>,
    mut body: impl FnMut(&mut Context<'_>) -> T,
) -> T {
    run(context, |session| session.begin_reading(), |context| Ending::Commit(body(context)))
}

/// [`atomically`], unless `body` says that there is nothing to commit.
pub(super) fn atomically_or_not<T>(
    context: &mut Context<'_>,
    body: impl FnMut(&mut Context<'_>) -> Ending<T>,
) -> T {
    run(context, |session| session.begin(), body)
}

fn run<T>(
    context: &mut Context<'_>,
    begin: fn(&mut Session<'_>),
    mut body: impl FnMut(&mut Context<'_>) -> Ending<T>,
) -> T {
    if context.alone || context.session.in_transaction() {
        let (Ending::Commit(result) | Ending::Abandon(result)) = body(context);
        return result;
    }
    let checkpoint = Checkpoint::of(context);
    loop {
        begin(&mut context.session);
        match body(context) {
            Ending::Abandon(result) => {
                context.session.abandon();
                return result;
            }
            Ending::Commit(result) => {
                if context.session.commit() {
                    return result;
                }
            }
        }
        checkpoint.restore(context);
    }
}

/// What handlers change besides keys, as it was before.
struct Checkpoint {
    replies: Mark,
    reply_mode: ReplyMode,
    protocol: Protocol,
    database: usize,
    counts: Counts,
    /// How much there was to tell.
    told: usize,
    setbacks: Setbacks,
}

impl Checkpoint {
    fn of(context: &Context<'_>) -> Checkpoint {
        Checkpoint {
            replies: context.out.mark(),
            reply_mode: context.client.reply_mode,
            protocol: context.client.protocol,
            database: context.client.database,
            counts: context.counts,
            told: context.outbox.len(),
            setbacks: context.setbacks.clone(),
        }
    }

    fn restore(&self, context: &mut Context<'_>) {
        context.out.rewind(self.replies);
        context.client.reply_mode = self.reply_mode;
        context.out.protocol = self.protocol;
        context.client.protocol = self.protocol;
        context.select(self.database);
        context.counts = self.counts;
        context.untell(self.told);
        context.setbacks.clone_from(&self.setbacks);
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Handler;
    use super::super::table::rows;
    use super::super::tests::with_context;
    use super::*;
    use crate::record::parse_canonical;
    use crate::store::{NewValue, Value};

    #[test]
    fn what_a_lost_run_has_done_is_taken_back() {
        with_context(|context| {
            context.out.ok();
            context.counts.commands = 5;
            let checkpoint = Checkpoint::of(context);
            context.out.bulk_large(vec![b'x'; 100_000].into());
            context.out.protocol = Protocol::Resp3;
            context.client.protocol = Protocol::Resp3;
            context.out.null();
            context.counts.commands += 2;
            context.counts.look_up(true);
            context.select(7);
            let key = context.state.keyspace.key(b"k");
            context.database.set(&context.session, key, NewValue::Copy(b"v"));
            checkpoint.restore(context);
            context.out.null();
            assert_eq!(context.out.is_single(), Some(&b"+OK\r\n$-1\r\n"[..]));
            assert_eq!(context.client.protocol, Protocol::Resp2);
            assert_eq!((context.counts.commands, context.counts.hits), (5, 0));
            assert_eq!(context.client.database, 0);
            assert!(!context.database.contains(&context.session, key), "database 0 is selected");
        });
    }

    #[test]
    fn a_lost_run_is_followed_by_one_that_sees_the_change() {
        with_context(|context| {
            let other = context.state.keyspace.join();
            let key = context.state.keyspace.key(b"k");
            let mut runs = 0;
            atomically(context, |context| {
                let number = context.database.get(&context.session, key, |value| match value {
                    Value::Integer(number) => Some(number),
                    Value::Bytes(bytes) => parse_canonical(bytes),
                    Value::Large(_) => None,
                });
                let number = number.flatten().unwrap_or(0);
                runs += 1;
                if runs == 1 {
                    let added = context.database.add(&other.pin(), key, 10);
                    assert_eq!(added, Ok(10));
                }
                let text = (number + 1).to_string();
                context.database.set(&context.session, key, NewValue::Copy(text.as_bytes()));
                context.out.integer(number);
            });
            assert_eq!(runs, 2);
            assert_eq!(context.out.is_single(), Some(&b":10\r\n"[..]));
            let added = context.database.add(&context.session, key, 0);
            assert_eq!(added, Ok(11));
        });
    }

    /// A command that is new here has to be put in one of the two lists, by its flags.
    #[test]
    fn every_command_is_in_a_transaction_or_alone() {
        let alone = [
            // Of these two no more than their row matters: they are never queued.
            "quit",
            "reset",
            "auth",
            "hello",
            "keys",
            "scan",
            "randomkey",
            "dbsize",
            "flushdb",
            "flushall",
            "swapdb",
            "acl|deluser",
            "acl|dryrun",
            "acl|getuser",
            "acl|list",
            "acl|load",
            "acl|log",
            "acl|save",
            "acl|setuser",
            "acl|users",
            "bgrewriteaof",
            "client|kill",
            "client|list",
            "client|no-evict",
            "client|pause",
            "client|unblock",
            "client|unpause",
            "config|get",
            "config|resetstat",
            "config|rewrite",
            "config|set",
            "info",
            "shutdown",
            "lastsave",
            "save",
            "bgsave",
            "replicaof",
            "slaveof",
            "role",
            "failover",
            "replconf",
            "psync",
            "sync",
            "debug",
            "lolwut",
            "module|list",
            "module|load",
            "module|loadex",
            "module|unload",
            "cluster|addslots",
            "cluster|addslotsrange",
            "cluster|bumpepoch",
            "cluster|count-failure-reports",
            "cluster|delslots",
            "cluster|delslotsrange",
            "cluster|failover",
            "cluster|flushslots",
            "cluster|forget",
            "cluster|meet",
            "cluster|replicas",
            "cluster|replicate",
            "cluster|reset",
            "cluster|saveconfig",
            "cluster|set-config-epoch",
            "cluster|setslot",
            "cluster|slaves",
            "subscribe",
            "unsubscribe",
            "psubscribe",
            "punsubscribe",
            "ssubscribe",
            "sunsubscribe",
            "monitor",
            "slowlog|get",
            "slowlog|len",
            "slowlog|reset",
            "latency|doctor",
            "latency|graph",
            "latency|histogram",
            "latency|history",
            "latency|latest",
            "latency|reset",
        ];
        let without_keys = [
            "multi",
            "exec",
            "discard",
            "unwatch",
            "ping",
            "echo",
            "select",
            "acl|cat",
            "acl|genpass",
            "acl|help",
            "acl|whoami",
            "client|caching",
            "client|getname",
            "client|getredir",
            "client|help",
            "client|id",
            "client|info",
            "client|no-touch",
            "client|reply",
            "client|setinfo",
            "client|setname",
            "client|tracking",
            "client|trackinginfo",
            "command",
            "command|count",
            "command|docs",
            "command|getkeys",
            "command|getkeysandflags",
            "command|help",
            "command|info",
            "command|list",
            "config|help",
            "object|help",
            "publish",
            "pubsub|channels",
            "pubsub|help",
            "pubsub|numpat",
            "pubsub|numsub",
            "pubsub|shardchannels",
            "pubsub|shardnumsub",
            "memory|doctor",
            "memory|help",
            "memory|malloc-stats",
            "memory|purge",
            "memory|stats",
            "time",
            "wait",
            "readonly",
            "readwrite",
            "asking",
            "module|help",
            "cluster|countkeysinslot",
            "cluster|getkeysinslot",
            "cluster|help",
            "cluster|info",
            "cluster|keyslot",
            "cluster|links",
            "cluster|myid",
            "cluster|nodes",
            "cluster|shards",
            "cluster|slots",
            "slowlog|help",
            "latency|help",
        ];
        for row in rows() {
            let one = std::slice::from_ref(row);
            let is_container = matches!(row.handler, Handler::Container);
            for row_in_question in row.subcommands.iter().chain(one) {
                if is_container && std::ptr::eq(row_in_question, row) {
                    continue;
                }
                let name = match std::ptr::eq(row_in_question, row) {
                    true => row.name.to_owned(),
                    false => format!("{}|{}", row.name, row_in_question.name),
                };
                let listed = alone.contains(&name.as_str());
                assert_eq!(needs_exclusion(row_in_question), listed, "{name}");
                let named = listed || without_keys.contains(&name.as_str());
                // What is alone may have keys all the same: the names of channels.
                assert!(listed || row_in_question.keys.is_none() == named, "{name}");
            }
        }
    }
}
