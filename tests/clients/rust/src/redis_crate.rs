//! The `redis` crate, with blocking connections.

use redis::{Client, Commands, Connection, FromRedisValue, RedisResult};

use super::{PATIENCE, binary, wait_until};

const PIPELINE: i64 = 10_000;

/// All topics on one server.
pub(crate) fn run(address: &str) -> RedisResult<()> {
    let client = Client::open(address)?;
    let mut connection = client.get_connection()?;
    for topic in [strings, counters, deadlines, transactions, information] {
        ask::<()>(&mut connection, "FLUSHALL")?;
        topic(&mut connection)?;
    }
    pub_sub(&client, &mut connection)
}

/// Sends one command, its arguments apart by spaces.
fn ask<T: FromRedisValue>(connection: &mut Connection, command: &str) -> RedisResult<T> {
    let mut words = command.split(' ');
    let mut request = redis::cmd(words.next().unwrap_or_default());
    words.for_each(|word| {
        request.arg(word);
    });
    request.query(connection)
}

fn strings(connection: &mut Connection) -> RedisResult<()> {
    connection.set::<_, _, ()>("k", binary())?;
    assert_eq!(connection.get::<_, Vec<u8>>("k")?, binary());
    assert_eq!(connection.get::<_, Option<String>>("nope")?, None);
    assert!(connection.set_nx::<_, _, bool>("fresh", 1)?);
    assert!(!connection.set_nx::<_, _, bool>("fresh", 2)?);
    connection.mset::<_, _, ()>(&[("a", "1"), ("b", "two")])?;
    let values: Vec<Option<String>> = connection.mget(&["a", "nope", "b"])?;
    assert_eq!(values, [Some("1".to_owned()), None, Some("two".to_owned())]);
    assert_eq!(connection.append::<_, _, usize>("b", "!")?, 4);
    let mut keys: Vec<String> = connection.scan()?.collect::<RedisResult<_>>()?;
    keys.sort();
    assert_eq!(keys, ["a", "b", "fresh", "k"]);
    assert_eq!(connection.del::<_, usize>(&["a", "b", "nope"])?, 2);
    let error = connection.incr::<_, _, i64>("k", 1).expect_err("not a number");
    assert_eq!(error.detail(), Some("value is not an integer or out of range"));
    Ok(())
}

fn counters(connection: &mut Connection) -> RedisResult<()> {
    assert_eq!(connection.incr::<_, _, i64>("n", 41)?, 41);
    assert_eq!(connection.decr::<_, _, i64>("n", 1)?, 40);
    assert!((connection.incr::<_, _, f64>("n", 0.5)? - 40.5).abs() < 1e-9);
    let mut pipeline = redis::pipe();
    for _ in 0..PIPELINE {
        pipeline.incr("counter", 1);
    }
    let replies: Vec<i64> = pipeline.query(connection)?;
    assert_eq!(replies, (1..=PIPELINE).collect::<Vec<_>>());
    Ok(())
}

fn deadlines(connection: &mut Connection) -> RedisResult<()> {
    connection.set_ex::<_, _, ()>("k", "v", 100)?;
    assert!((90..=100).contains(&connection.ttl::<_, i64>("k")?));
    assert!(connection.persist::<_, bool>("k")?);
    assert_eq!(connection.ttl::<_, i64>("k")?, -1);
    assert_eq!(connection.ttl::<_, i64>("nope")?, -2);
    assert!(connection.pexpire::<_, bool>("k", 20)?);
    wait_until("it expires", || !connection.exists::<_, bool>("k").unwrap_or(true));
    assert!(!connection.expire::<_, bool>("k", 100)?);
    Ok(())
}

fn transactions(connection: &mut Connection) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    pipeline.atomic().set("account", 100).ignore().incr("account", 10).get("account");
    assert_eq!(pipeline.query::<(i64, String)>(connection)?, (110, "110".to_owned()));
    let mut attempts = 0;
    let doubled = redis::transaction(connection, &["account"], |connection, pipeline| {
        attempts += 1;
        let balance: i64 = connection.get("account")?;
        if attempts == 1 {
            // What it watches changes: it has to try again.
            connection.incr::<_, _, ()>("account", 1)?;
        }
        pipeline.set("account", balance * 2).ignore().get("account").query(connection)
    })?;
    let (doubled,): (i64,) = doubled;
    assert_eq!((doubled, attempts), (222, 2));
    Ok(())
}

fn pub_sub(client: &Client, connection: &mut Connection) -> RedisResult<()> {
    let mut listening = client.get_connection()?;
    listening.set_read_timeout(Some(PATIENCE))?;
    let mut listener = listening.as_pubsub();
    listener.subscribe("news")?;
    listener.psubscribe("n*")?;
    assert_eq!(connection.publish::<_, _, usize>("news", binary())?, 2);
    for pattern in [None, Some("n*".to_owned())] {
        let message = listener.get_message()?;
        assert_eq!(message.get_channel_name(), "news");
        assert_eq!(message.get_payload_bytes(), binary());
        assert_eq!(message.get_pattern::<Option<String>>()?, pattern);
    }
    let counted: Vec<(String, usize)> = ask(connection, "PUBSUB NUMSUB news nope")?;
    assert_eq!(counted, [("news".to_owned(), 1), ("nope".to_owned(), 0)]);
    listener.unsubscribe("news")?;
    listener.punsubscribe("n*")?;
    assert_eq!(connection.publish::<_, _, usize>("news", "x")?, 0);
    Ok(())
}

fn information(connection: &mut Connection) -> RedisResult<()> {
    let facts: redis::InfoDict = ask(connection, "INFO")?;
    assert_eq!(facts.get::<String>("role").as_deref(), Some("master"));
    assert!(facts.get::<u64>("used_memory").is_some_and(|bytes| bytes > 0));
    let settings: std::collections::HashMap<String, String> =
        ask(connection, "CONFIG GET databases")?;
    assert_eq!(settings.get("databases").map(String::as_str), Some("16"));
    Ok(())
}
