//! `fred`, whose connections are tasks of Tokio.

use std::time::Duration;

use fred::prelude::*;
use fred::types::RespVersion;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, binary};

const PIPELINE: i64 = 1_000;

/// Between two looks at what changes by itself.
const PAUSE: Duration = Duration::from_millis(20);

/// All topics on one server.
pub(crate) fn run(address: &str, protocol: u8) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        timeout(PATIENCE, all(address, protocol)).await.expect("nothing is stuck")
    })
}

async fn all(address: &str, protocol: u8) -> Result<(), Error> {
    let version = if protocol == 3 { RespVersion::RESP3 } else { RespVersion::RESP2 };
    let config = Config { version, ..Config::from_url(address)? };
    let client = Builder::from_config(config).build()?;
    client.init().await?;
    let listener = client.clone_new();
    listener.init().await?;
    client.flushall::<()>(false).await?;
    strings(&client).await?;
    counters(&client).await?;
    deadlines(&client).await?;
    transactions(&client, &listener).await?;
    pub_sub(&client, &listener).await?;
    listener.quit().await?;
    client.quit().await
}

async fn strings(client: &Client) -> Result<(), Error> {
    let value = binary();
    client.set::<(), _, _>("k", value.as_slice(), None, None, false).await?;
    assert_eq!(client.get::<Vec<u8>, _>("k").await?, value);
    assert_eq!(client.get::<Option<String>, _>("nope").await?, None);
    assert_eq!(client.setnx::<i64, _, _>("fresh", 1).await?, 1);
    assert_eq!(client.setnx::<i64, _, _>("fresh", 2).await?, 0);
    client.mset(vec![("a", "1"), ("b", "two")]).await?;
    let values: Vec<Option<String>> = client.mget(vec!["a", "nope", "b"]).await?;
    assert_eq!(values, [Some("1".to_owned()), None, Some("two".to_owned())]);
    assert_eq!(client.append::<i64, _, _>("b", "!").await?, 4);
    assert_eq!(client.strlen::<i64, _>("b").await?, 4);
    assert_eq!(client.getrange::<String, _>("b", 0, 1).await?, "tw");
    assert_eq!(client.exists::<i64, _>(vec!["a", "b", "nope"]).await?, 2);
    assert_eq!(client.del::<i64, _>(vec!["a", "b", "nope"]).await?, 2);
    let error = client.incr::<i64, _>("k").await.expect_err("not a number");
    assert!(error.details().contains("value is not an integer or out of range"), "{error}");
    Ok(())
}

async fn counters(client: &Client) -> Result<(), Error> {
    assert_eq!(client.incr_by::<i64, _>("n", 41).await?, 41);
    assert_eq!(client.decr::<i64, _>("n").await?, 40);
    assert!((client.incr_by_float::<f64, _>("n", 0.5).await? - 40.5).abs() < 1e-9);
    let pipeline = client.pipeline();
    for _ in 0..PIPELINE {
        pipeline.incr::<(), _>("counter").await?;
    }
    let replies: Vec<i64> = pipeline.all().await?;
    assert_eq!(replies, (1..=PIPELINE).collect::<Vec<_>>());
    Ok(())
}

async fn deadlines(client: &Client) -> Result<(), Error> {
    client.set::<(), _, _>("k", "v", Some(Expiration::EX(100)), None, false).await?;
    assert!((90..=100).contains(&client.ttl::<i64, _>("k").await?));
    assert_eq!(client.persist::<i64, _>("k").await?, 1);
    assert_eq!(client.ttl::<i64, _>("k").await?, -1);
    assert_eq!(client.pexpire::<i64, _>("k", 20, None).await?, 1);
    while client.get::<Option<String>, _>("k").await?.is_some() {
        // The whole run has a limit.
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn transactions(client: &Client, other: &Client) -> Result<(), Error> {
    let transaction = client.multi();
    transaction.set::<(), _, _>("account", 100, None, None, false).await?;
    transaction.incr_by::<(), _>("account", 10).await?;
    transaction.get::<(), _>("account").await?;
    let replies: (String, i64, String) = transaction.exec(true).await?;
    assert_eq!(replies, ("OK".to_owned(), 110, "110".to_owned()));

    client.watch("account").await?;
    other.incr::<(), _>("account").await?;
    let transaction = client.multi();
    transaction.set::<(), _, _>("account", 0, None, None, false).await?;
    let reply: Value = transaction.exec(true).await?;
    assert!(reply.is_null(), "{reply:?}");
    assert_eq!(client.get::<String, _>("account").await?, "111");
    Ok(())
}

async fn pub_sub(client: &Client, listener: &Client) -> Result<(), Error> {
    let mut messages = listener.message_rx();
    listener.subscribe("news").await?;
    listener.psubscribe("n*").await?;
    // In RESP2 fred does not wait until the server has confirmed.
    while receivers(client).await? < 2 {
        sleep(PAUSE).await;
    }
    assert_eq!(client.publish::<i64, _, _>("news", binary().as_slice()).await?, 2);
    for _ in 0..2 {
        let message = messages.recv().await.expect("it has its place in the channel");
        assert_eq!(&*message.channel, "news");
        assert_eq!(message.value.convert::<Vec<u8>>()?, binary());
    }
    listener.unsubscribe("news").await?;
    listener.punsubscribe("n*").await?;
    while receivers(client).await? > 0 {
        sleep(PAUSE).await;
    }
    assert_eq!(client.publish::<i64, _, _>("news", "x").await?, 0);
    Ok(())
}

/// Subscriptions to the channel, and to patterns.
async fn receivers(client: &Client) -> Result<i64, Error> {
    let counted: (String, i64) = client.pubsub_numsub("news").await?;
    Ok(counted.1 + client.pubsub_numpat::<i64>().await?)
}
