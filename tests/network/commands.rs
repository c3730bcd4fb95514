//! Every command: its reply, and what it refuses.

use super::harness::{Client, Server};

/// Commands and their replies, in order, on one new server.
fn check(cases: &[(&str, &str)]) {
    let server = Server::start();
    let mut client = server.connect();
    check_with(&mut client, cases);
}

fn check_with(client: &mut Client, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(client.ask(command), *reply, "{command}");
    }
}

#[test]
fn set_and_get_store_and_return_a_value() {
    check(&[
        ("GET k", "$-1\r\n"),
        ("SET k v", "+OK\r\n"),
        ("GET k", "$1\r\nv\r\n"),
        ("SET k ", "+OK\r\n"),
        ("GET k", "$0\r\n\r\n"),
        ("get k", "$0\r\n\r\n"),
        ("SET k v x", "-ERR syntax error\r\n"),
        ("SET k", "-ERR wrong number of arguments for 'set' command\r\n"),
        ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("GET a b", "-ERR wrong number of arguments for 'get' command\r\n"),
    ]);
}

#[test]
fn setnx_sets_only_what_is_absent() {
    check(&[
        ("SETNX k first", ":1\r\n"),
        ("SETNX k second", ":0\r\n"),
        ("GET k", "$5\r\nfirst\r\n"),
        ("SETNX k", "-ERR wrong number of arguments for 'setnx' command\r\n"),
    ]);
}

#[test]
fn mset_and_mget_take_many_keys() {
    check(&[
        ("MSET a 1 b two c 3.0", "+OK\r\n"),
        ("MGET a b c d a", "*5\r\n$1\r\n1\r\n$3\r\ntwo\r\n$3\r\n3.0\r\n$-1\r\n$1\r\n1\r\n"),
        ("MSET a 9 a 8", "+OK\r\n"),
        ("GET a", "$1\r\n8\r\n"),
        ("MSET a", "-ERR wrong number of arguments for 'mset' command\r\n"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
        ("MGET", "-ERR wrong number of arguments for 'mget' command\r\n"),
    ]);
}

#[test]
fn append_and_strlen_know_the_length() {
    check(&[
        ("STRLEN k", ":0\r\n"),
        ("APPEND k abc", ":3\r\n"),
        ("APPEND k ", ":3\r\n"),
        ("APPEND k defg", ":7\r\n"),
        ("GET k", "$7\r\nabcdefg\r\n"),
        ("STRLEN k", ":7\r\n"),
        ("SET n 12", "+OK\r\n"),
        ("APPEND n 3", ":3\r\n"),
        ("INCR n", ":124\r\n"),
        ("STRLEN n", ":3\r\n"),
        ("APPEND k", "-ERR wrong number of arguments for 'append' command\r\n"),
        ("STRLEN", "-ERR wrong number of arguments for 'strlen' command\r\n"),
    ]);
}

#[test]
fn counters_cover_the_signed_64_bit_range() {
    const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
    const OVERFLOW: &str = "-ERR increment or decrement would overflow\r\n";
    check(&[
        ("INCR n", ":1\r\n"),
        ("INCRBY n 41", ":42\r\n"),
        ("DECR n", ":41\r\n"),
        ("DECRBY n 50", ":-9\r\n"),
        ("GET n", "$2\r\n-9\r\n"),
        ("SET n 9223372036854775806", "+OK\r\n"),
        ("INCR n", ":9223372036854775807\r\n"),
        ("INCR n", OVERFLOW),
        ("GET n", "$19\r\n9223372036854775807\r\n"),
        ("SET n -9223372036854775807", "+OK\r\n"),
        ("DECR n", ":-9223372036854775808\r\n"),
        ("DECR n", OVERFLOW),
        ("INCRBY n 9223372036854775807", ":-1\r\n"),
        ("DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n"),
        ("SET n 4611686018427387903", "+OK\r\n"),
        ("INCR n", ":4611686018427387904\r\n"),
        ("DECR n", ":4611686018427387903\r\n"),
        ("INCRBY n 9223372036854775808", NOT_AN_INTEGER),
        ("INCRBY n 1.5", NOT_AN_INTEGER),
        ("INCRBY n ", NOT_AN_INTEGER),
        ("SET s 01", "+OK\r\n"),
        ("INCR s", NOT_AN_INTEGER),
        ("SET s +1", "+OK\r\n"),
        ("INCR s", NOT_AN_INTEGER),
        ("SET s abc", "+OK\r\n"),
        ("DECRBY s 1", NOT_AN_INTEGER),
        ("GET s", "$3\r\nabc\r\n"),
        ("INCR", "-ERR wrong number of arguments for 'incr' command\r\n"),
        ("INCRBY n", "-ERR wrong number of arguments for 'incrby' command\r\n"),
    ]);
}

#[test]
fn del_unlink_and_exists_count_keys() {
    check(&[
        ("MSET a 1 b 2 c 3 d 4", "+OK\r\n"),
        ("EXISTS a b nope a", ":3\r\n"),
        ("DEL a b nope a", ":2\r\n"),
        ("EXISTS a", ":0\r\n"),
        ("UNLINK c d nope", ":2\r\n"),
        ("DBSIZE", ":0\r\n"),
        ("DEL", "-ERR wrong number of arguments for 'del' command\r\n"),
        ("UNLINK", "-ERR wrong number of arguments for 'unlink' command\r\n"),
        ("EXISTS", "-ERR wrong number of arguments for 'exists' command\r\n"),
    ]);
}

#[test]
fn type_names_the_kind_of_a_value() {
    check(&[
        ("SET k v", "+OK\r\n"),
        ("TYPE k", "+string\r\n"),
        ("TYPE nope", "+none\r\n"),
        ("TYPE", "-ERR wrong number of arguments for 'type' command\r\n"),
    ]);
}

#[test]
fn ping_and_echo_return_what_they_are_given() {
    check(&[
        ("PING", "+PONG\r\n"),
        ("PING hello", "$5\r\nhello\r\n"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"),
        ("ECHO hello", "$5\r\nhello\r\n"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command\r\n"),
    ]);
}

#[test]
fn quit_answers_and_closes() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"SET k v\r\nQUIT\r\nSET k late\r\n");
    assert_eq!(client.rest(), b"+OK\r\n+OK\r\n");
    assert_eq!(server.connect().ask("GET k"), "$1\r\nv\r\n");
}

#[test]
fn each_database_has_its_own_keys() {
    check(&[
        ("SET k zero", "+OK\r\n"),
        ("SELECT 15", "+OK\r\n"),
        ("GET k", "$-1\r\n"),
        ("SET k fifteen", "+OK\r\n"),
        ("DBSIZE", ":1\r\n"),
        ("SELECT 0", "+OK\r\n"),
        ("GET k", "$4\r\nzero\r\n"),
        ("SELECT 16", "-ERR DB index is out of range\r\n"),
        ("SELECT -1", "-ERR DB index is out of range\r\n"),
        ("SELECT one", "-ERR value is not an integer or out of range\r\n"),
        ("SELECT", "-ERR wrong number of arguments for 'select' command\r\n"),
    ]);
}

#[test]
fn a_selected_database_belongs_to_the_connection() {
    let server = Server::start();
    let (mut first, mut second) = (server.connect(), server.connect());
    check_with(&mut first, &[("SELECT 3", "+OK\r\n"), ("SET k three", "+OK\r\n")]);
    check_with(&mut second, &[("GET k", "$-1\r\n"), ("SELECT 3", "+OK\r\n")]);
    assert_eq!(second.ask("GET k"), "$5\r\nthree\r\n");
}

#[test]
fn flushdb_empties_one_database_and_flushall_all() {
    check(&[
        ("MSET a 1 b 2", "+OK\r\n"),
        ("SELECT 1", "+OK\r\n"),
        ("SET c 3", "+OK\r\n"),
        ("FLUSHDB", "+OK\r\n"),
        ("DBSIZE", ":0\r\n"),
        ("SELECT 0", "+OK\r\n"),
        ("DBSIZE", ":2\r\n"),
        ("FLUSHDB ASYNC", "+OK\r\n"),
        ("DBSIZE", ":0\r\n"),
        ("SET a 1", "+OK\r\n"),
        ("SELECT 9", "+OK\r\n"),
        ("SET a 1", "+OK\r\n"),
        ("FLUSHALL SYNC", "+OK\r\n"),
        ("DBSIZE", ":0\r\n"),
        ("SELECT 0", "+OK\r\n"),
        ("DBSIZE", ":0\r\n"),
        ("FLUSHALL NOW", "-ERR syntax error\r\n"),
        ("DBSIZE x", "-ERR wrong number of arguments for 'dbsize' command\r\n"),
    ]);
}

#[test]
fn an_unknown_command_is_named_with_its_arguments() {
    check(&[
        ("FOO", "-ERR unknown command 'FOO', with args beginning with: \r\n"),
        ("foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n"),
        ("", "-ERR unknown command '', with args beginning with: \r\n"),
        ("PING", "+PONG\r\n"),
    ]);
}

#[test]
fn a_refused_command_changes_nothing_and_the_connection_goes_on() {
    check(&[
        ("SET k v", "+OK\r\n"),
        ("SET k w EX", "-ERR syntax error\r\n"),
        ("MSET k 1 l", "-ERR wrong number of arguments for 'mset' command\r\n"),
        ("INCR k", "-ERR value is not an integer or out of range\r\n"),
        ("GET k", "$1\r\nv\r\n"),
        ("DBSIZE", ":1\r\n"),
    ]);
}
