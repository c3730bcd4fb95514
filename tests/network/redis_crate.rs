//! The `redis` crate as a client: a library that knows the protocol only from its documents.

use redis::{Client, Commands, Connection, ErrorKind, RedisError, RedisResult, Value};

use super::harness::{Random, Server};

fn connect(server: &Server, protocol: &str) -> Connection {
    let address = format!("redis://{}/?protocol={protocol}", server.address);
    let client = Client::open(address).expect("an address");
    client.get_connection().expect("a connection")
}

/// Runs a test in both protocols, each on a new server.
fn in_both_protocols(test: impl Fn(&mut Connection) -> RedisResult<()>) {
    for protocol in ["resp2", "resp3"] {
        let server = Server::start();
        test(&mut connect(&server, protocol)).unwrap_or_else(|error| panic!("{protocol}: {error}"));
    }
}

#[test]
fn strings_and_counters() {
    in_both_protocols(|connection| {
        connection.set::<_, _, ()>("k", "v")?;
        assert_eq!(connection.get::<_, String>("k")?, "v");
        assert_eq!(connection.get::<_, Option<String>>("nope")?, None);
        assert!(connection.set_nx::<_, _, bool>("fresh", 1)?);
        assert!(!connection.set_nx::<_, _, bool>("fresh", 2)?);
        assert_eq!(connection.incr::<_, _, i64>("fresh", 41)?, 42);
        assert_eq!(connection.decr::<_, _, i64>("fresh", 2)?, 40);
        assert_eq!(connection.append::<_, _, usize>("k", "alue")?, 5);
        assert_eq!(connection.strlen::<_, usize>("k")?, 5);
        assert_eq!(connection.exists::<_, usize>(&["k", "fresh", "nope"])?, 2);
        assert_eq!(connection.del::<_, usize>(&["k", "fresh", "nope"])?, 2);
        assert_eq!(connection.unlink::<_, usize>("k")?, 0);
        Ok(())
    });
}

#[test]
fn many_keys_and_binary_values() {
    in_both_protocols(|connection| {
        let value: Vec<u8> = (0..=255).collect();
        connection.mset::<_, _, ()>(&[("a", "1".as_bytes()), ("b", &value), ("c", b"")])?;
        let values: Vec<Option<Vec<u8>>> = connection.mget(&["a", "b", "c", "d"])?;
        assert_eq!(values, [Some(b"1".to_vec()), Some(value), Some(Vec::new()), None]);
        let large = Random(3).bytes(5 << 20);
        connection.set::<_, _, ()>(b"\0\r\n", &large)?;
        assert_eq!(connection.get::<_, Vec<u8>>(b"\0\r\n")?, large);
        Ok(())
    });
}

#[test]
fn pipelines() {
    in_both_protocols(|connection| {
        let mut pipeline = redis::pipe();
        for index in 0..10_000 {
            pipeline.set(format!("key:{index}"), index).ignore();
            pipeline.incr(format!("key:{index}"), 1);
        }
        let replies: Vec<i64> = pipeline.query(connection)?;
        assert_eq!(replies, (1..=10_000).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn errors_have_their_kind_and_text() {
    in_both_protocols(|connection| {
        connection.set::<_, _, ()>("k", "text")?;
        let error = connection.incr::<_, _, i64>("k", 1).expect_err("not a number");
        assert!(is_plain(&error), "{error:?}");
        assert_eq!(error.detail(), Some("value is not an integer or out of range"));
        let error = redis::cmd("NOSUCH").query::<()>(connection).expect_err("unknown");
        assert_eq!(error.detail(), Some("unknown command 'NOSUCH', with args beginning with: "));
        assert_eq!(connection.get::<_, String>("k")?, "text");
        Ok(())
    });
}

/// Whether the error came from the server with the code ERR.
fn is_plain(error: &RedisError) -> bool {
    error.code() == Some("ERR") && matches!(error.kind(), ErrorKind::Server(_))
}

#[test]
fn maps_are_maps_in_resp3() {
    let server = Server::start();
    let mut connection = connect(&server, "resp3");
    let reply: Value = redis::cmd("HELLO").query(&mut connection).expect("a reply");
    let Value::Map(pairs) = reply else { panic!("not a map: {reply:?}") };
    let protocol = pairs.iter().find(|(name, _)| *name == Value::BulkString(b"proto".to_vec()));
    assert_eq!(protocol.map(|(_, value)| value), Some(&Value::Int(3)));
    let reply: Value =
        redis::cmd("CONFIG").arg("GET").arg("port").query(&mut connection).expect("a reply");
    assert!(matches!(reply, Value::Map(_)), "{reply:?}");
    let info: redis::InfoDict = redis::cmd("INFO").query(&mut connection).expect("a reply");
    assert_eq!(info.get::<String>("role").as_deref(), Some("master"));
}

#[test]
fn the_address_chooses_the_database() {
    let server = Server::start();
    let open = |database: usize| {
        let address = format!("redis://{}/{database}", server.address);
        Client::open(address).expect("an address").get_connection().expect("a connection")
    };
    open(5).set::<_, _, ()>("k", "five").expect("set");
    assert_eq!(open(5).get::<_, String>("k").expect("get"), "five");
    assert_eq!(open(0).get::<_, Option<String>>("k").expect("get"), None);
}

#[test]
fn transactions() {
    in_both_protocols(|connection| {
        let mut pipeline = redis::pipe();
        pipeline.atomic().set("account", 100).ignore().incr("account", 10).get("account");
        assert_eq!(pipeline.query::<(i64, String)>(connection)?, (110, "110".to_owned()));
        connection.rename::<_, _, ()>("account", "other")?;
        let moved: (Option<i64>, i64) = connection.mget(&["account", "other"])?;
        assert_eq!(moved, (None, 110));
        let mut attempts = 0;
        let sum: (i64,) = redis::transaction(connection, &["other"], |connection, pipeline| {
            let before: i64 = connection.get("other")?;
            attempts += 1;
            if attempts == 1 {
                connection.incr::<_, _, ()>("other", 1)?;
            }
            pipeline.set("other", before * 2).ignore().incr("other", 0).query(connection)
        })?;
        assert_eq!((attempts, sum), (2, (222,)));
        Ok(())
    });
}
