//! The decoder seen from a connection. What Redis answers was observed on a redis-server 7.0.

mod bounds;
mod connection;
mod properties;

use bytes::Bytes;

use self::connection::decode_all;
use super::{Batch, Decoded, Decoder, Limits, ProtocolError, ReplyBuffer};

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

fn commands(stream: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (commands, error) = decode_all(stream, Limits::default());
    assert_eq!(error, None, "in {:?}", stream.escape_ascii().to_string());
    commands
}

fn fault(stream: &[u8]) -> Option<ProtocolError> {
    decode_all(stream, Limits::default()).1
}

fn words(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut commands = commands(stream);
    assert_eq!(commands.len(), 1, "in {:?}", stream.escape_ascii().to_string());
    commands.remove(0)
}

/// A command as the client sends it.
fn encode(args: &[&[u8]]) -> Vec<u8> {
    let mut stream = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        stream.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        stream.extend_from_slice(arg);
        stream.extend_from_slice(b"\r\n");
    }
    stream
}

#[test]
fn a_pipeline_mixes_arrays_inline_commands_and_blank_lines() {
    let stream = [PING, b"PING\r\n", PING, b"\r\n\n   \r\n\x0b\n", b"GET key\n", PING].concat();
    let names: Vec<_> = commands(&stream).iter().map(|args| args[0].clone()).collect();
    assert_eq!(names, [&b"PING"[..], b"PING", b"PING", b"GET", b"PING"]);
}

#[test]
fn arguments_may_be_empty_and_hold_any_byte() {
    let args: [&[u8]; 4] = [b"SET", b"", b"\r\n$3\r\n\x00\xff", b""];
    assert_eq!(commands(&encode(&args)), [args]);
}

#[test]
fn empty_and_negative_arrays_are_skipped() {
    for count in ["0", "-1", "-5", "-2147483648", "-9223372036854775808"] {
        let stream = [b"*", count.as_bytes(), b"\r\n", PING].concat();
        assert_eq!(commands(&stream), [[b"PING"]], "count {count}");
    }
}

#[test]
fn counts_must_be_canonical_decimals_in_range() {
    let wrong = [
        "",
        "abc",
        " 1",
        "+1",
        "01",
        "1 ",
        "-0",
        "2147483648",
        "--1",
        "-",
        "99999999999999999999",
        "-9223372036854775809",
        "-99999999999999999999",
    ];
    for count in wrong {
        let stream = [b"*", count.as_bytes(), b"\r\n", PING].concat();
        assert_eq!(fault(&stream), Some(ProtocolError::InvalidMultibulkLength), "count {count}");
    }
    assert_eq!(commands(b"*2147483647\r\n"), Vec::<Vec<Vec<u8>>>::new());
}

#[test]
fn bulk_lengths_must_be_canonical_decimals_in_range() {
    let wrong =
        ["", "-1", "-5", "abc", " 4", "04", "+4", "536870913", "99999999999999999999999", "4x"];
    for length in wrong {
        let stream = [b"*1\r\n$", length.as_bytes(), b"\r\nPING\r\n"].concat();
        assert_eq!(fault(&stream), Some(ProtocolError::InvalidBulkLength), "length {length}");
    }
    assert_eq!(fault(b"*1\r\n$536870912\r\n"), None);
}

#[test]
fn an_argument_must_begin_with_a_dollar() {
    for byte in [b':', b'*', b'"', b'\'', b'\\', b' ', b'\t', b'\r', 0x00, 0x01, 0x7f, 0x80, 0xff] {
        let stream = [b"*1\r\n", &[byte][..], b"\r\n"].concat();
        assert_eq!(fault(&stream), Some(ProtocolError::ExpectedDollar(byte)), "byte {byte}");
    }
    assert_eq!(fault(b"*1\r\n\n\r\n"), Some(ProtocolError::ExpectedDollar(b'\n')));
}

#[test]
fn the_fault_of_an_unfinished_line_is_not_seen_yet() {
    for stream in [&b"*1\r\n:"[..], b"*1\r\n:1", b"*1\r\n\r", b"*abc", b"*abc\r", b"*1\r\n$x"] {
        assert_eq!(fault(stream), None, "in {:?}", stream.escape_ascii().to_string());
    }
}

#[test]
fn only_the_carriage_return_of_a_line_end_is_looked_at() {
    assert_eq!(commands(b"*1\rx$4\rxPINGxx"), [[b"PING"]]);
    assert_eq!(commands(b"*1\r\n$4\r\nPING\n\n"), [[b"PING"]]);
    assert_eq!(commands(b"*1\n$4\nPING\n"), Vec::<Vec<Vec<u8>>>::new());
}

#[test]
fn inline_words_are_unquoted_as_redis_does() {
    let lines: [(&[u8], &[&[u8]]); 17] = [
        (b"  PING  hello  ", &[b"PING", b"hello"]),
        (b"PING \"hello world\"", &[b"PING", b"hello world"]),
        (br#"PING "a\x41\n\r\t\b\a\q\"\\z""#, &[b"PING", b"aA\n\r\t\x08\x07q\"\\z"]),
        (br#"PING "\xZZ\x4""#, &[b"PING", b"xZZx4"]),
        (br#"PING "\xfF""#, &[b"PING", b"\xff"]),
        (br"PING 'a\'b\n'", &[b"PING", b"a'b\\n"]),
        (b"PING ab\"c d\"", &[b"PING", b"abc d"]),
        (b"PING \"\" ''", &[b"PING", b"", b""]),
        (b"\"\"", &[b""]),
        (b"PING \"abc\"\x0b\x0c\"d\"", &[b"PING", b"abc", b"d"]),
        (b"PING \x0bx\x0cy\x0b", &[b"PING", b"x\x0cy\x0b"]),
        (b"PING a\rb", &[b"PING", b"a", b"b"]),
        (b"PING\r", &[b"PING"]),
        (b"\rPING", &[b"PING"]),
        (b"PING a\xff\x1f", &[b"PING", b"a\xff\x1f"]),
        (b"PING a\x00b", &[b"PING", b"a\x00b"]),
        (b"$4", &[b"$4"]),
    ];
    for (line, expected) in lines {
        for end in [&b"\n"[..], b"\r\n"] {
            assert_eq!(words(&[line, end].concat()), expected, "{}", line.escape_ascii());
        }
    }
}

#[test]
fn unbalanced_quotes_are_refused() {
    let lines: [&[u8]; 7] = [
        b"PING \"abc\"d",
        b"PING \"abc",
        b"PING 'abc",
        b"PING 'abc'd",
        b"PING a\"b\"c",
        b"PING \"\\\"",
        b"PING \"\n\"",
    ];
    for line in lines {
        let stream = [line, b"\r\n"].concat();
        assert_eq!(
            fault(&stream),
            Some(ProtocolError::UnbalancedQuotes),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn a_line_may_be_64_kib_long_but_not_longer() {
    let line = |first: &[u8], length: usize, fill: u8| {
        let mut line = first.to_vec();
        line.resize(length, fill);
        line
    };
    let longest = 64 * 1024;
    assert_eq!(fault(&line(b"PING ", longest, b'a')), None);
    assert_eq!(words(&[line(b"PING ", longest, b'a'), b"\n".to_vec()].concat()).len(), 2);
    let faults = [
        (&b"PING "[..], b'a', ProtocolError::InlineTooLong),
        (b"*", b'1', ProtocolError::MultibulkCountTooLong),
    ];
    for (first, fill, expected) in faults {
        assert_eq!(fault(&line(first, longest + 1, fill)), Some(expected));
        let ended = [line(first, longest + 1, fill), b"\r\n".to_vec()].concat();
        assert_eq!(fault(&ended), Some(expected), "a line end further on changes nothing");
    }
    let bulk = |length| [b"*1\r\n".to_vec(), line(b"$", length, b'1')].concat();
    assert_eq!(fault(&bulk(longest)), None);
    assert_eq!(fault(&bulk(longest + 1)), Some(ProtocolError::BulkCountTooLong));
}

#[test]
fn commands_before_a_fault_come_first_and_the_fault_stays() {
    let stream = [PING, PING, b"*1\r\n:1\r\n", PING].concat();
    let (mut decoder, mut batch) = (Decoder::new(Limits::default()), Batch::new());
    let decoded = decoder.decode(&stream, &mut batch, 100);
    assert_eq!(decoded, Ok(Decoded { consumed: 2 * PING.len(), moved: 0, more: true }));
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.args(1, &stream).name(), b"PING");
    batch.clear();
    for input in [&stream[2 * PING.len()..], PING, b""] {
        let again = decoder.decode(input, &mut batch, 100);
        assert_eq!(again, Err(ProtocolError::ExpectedDollar(b':')));
        assert!(batch.is_empty());
    }
}

#[test]
fn a_fault_after_some_arguments_leaves_none_behind() {
    let stream = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n";
    let (mut decoder, mut batch) = (Decoder::new(Limits::default()), Batch::new());
    assert!(decoder.decode(stream, &mut batch, 100).is_err());
    assert!(Decoder::new(Limits::default()).decode(PING, &mut batch, 100).is_ok());
    assert_eq!(batch.args(0, PING).len(), 1);
}

#[test]
fn max_commands_stops_between_two_commands_and_says_so() {
    let stream = PING.repeat(5);
    let (mut decoder, mut batch) = (Decoder::new(Limits::default()), Batch::new());
    let decoded = decoder.decode(&stream, &mut batch, 2);
    assert_eq!(decoded, Ok(Decoded { consumed: 2 * PING.len(), moved: 0, more: true }));
    let full = decoder.decode(&stream[2 * PING.len()..], &mut batch, 2);
    assert_eq!(full, Ok(Decoded { consumed: 0, moved: 0, more: true }));
    batch.clear();
    let decoded = decoder.decode(&stream[2 * PING.len()..], &mut batch, 3);
    assert_eq!(decoded, Ok(Decoded { consumed: 3 * PING.len(), moved: 0, more: false }));
}

#[test]
fn error_replies_are_those_of_redis() {
    let expected: [(ProtocolError, &[u8]); 9] = [
        (
            ProtocolError::MultibulkCountTooLong,
            b"-ERR Protocol error: too big mbulk count string\r\n",
        ),
        (
            ProtocolError::InvalidMultibulkLength,
            b"-ERR Protocol error: invalid multibulk length\r\n",
        ),
        (ProtocolError::BulkCountTooLong, b"-ERR Protocol error: too big bulk count string\r\n"),
        (ProtocolError::ExpectedDollar(0xff), b"-ERR Protocol error: expected '$', got '\xff'\r\n"),
        (ProtocolError::ExpectedDollar(b'\r'), b"-ERR Protocol error: expected '$', got ' '\r\n"),
        (ProtocolError::InvalidBulkLength, b"-ERR Protocol error: invalid bulk length\r\n"),
        (ProtocolError::InlineTooLong, b"-ERR Protocol error: too big inline request\r\n"),
        (ProtocolError::UnbalancedQuotes, b"-ERR Protocol error: unbalanced quotes in request\r\n"),
        (ProtocolError::CommandTooLong, b""),
    ];
    for (error, text) in expected {
        let mut out = ReplyBuffer::new();
        error.reply(&mut out);
        assert_eq!(out.is_single(), Some(text));
    }
}

#[test]
fn gathered_replies_keep_their_order_and_their_large_values() {
    let mut gathered = ReplyBuffer::new();
    for number in 0..3 {
        let mut step = ReplyBuffer::new();
        step.integer(number);
        step.bulk_large(Bytes::from_static(b"large"));
        step.integer(number);
        gathered.append(step);
    }
    let mut out = ReplyBuffer::new();
    out.array(9);
    out.append(gathered);
    out.ok();
    let text = b":0\r\n$5\r\nlarge\r\n:0\r\n:1\r\n$5\r\nlarge\r\n:1\r\n:2\r\n$5\r\nlarge\r\n:2\r\n";
    let expected = [b"*9\r\n".as_slice(), text, b"+OK\r\n"].concat();
    assert_eq!(out.len(), expected.len());
    let mut sent = Vec::new();
    while !out.is_empty() {
        let chunk = out.chunks().next().expect("not empty");
        let count = chunk.len().min(3);
        sent.extend_from_slice(&chunk[..count]);
        out.advance(count);
    }
    assert_eq!(sent, expected);
}
