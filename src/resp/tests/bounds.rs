//! Large arguments, long commands, and what a client may cost.

use super::connection::{Connection, Feed, decode_all};
use super::{PING, encode, fault};
use crate::resp::{Batch, Decoded, Decoder, LARGE_ARG, Limits, ProtocolError};

#[test]
fn a_large_argument_leaves_the_stream_and_becomes_a_buffer() {
    let value = vec![b'v'; LARGE_ARG];
    let mut input = encode(&[b"SET", b"key", &value]);
    let tail = input.split_off(input.len() - 10);
    let (mut decoder, mut batch) = (Decoder::new(Limits::default()), Batch::new());
    let decoded = decoder.decode(&input, &mut batch, 100).unwrap();
    assert_eq!(decoded, Decoded { consumed: 0, moved: LARGE_ARG - 8, more: false });
    input.truncate(input.len() - decoded.moved);

    let mut large = decoder.large().unwrap();
    assert_eq!(large.remaining(), 8);
    assert_eq!(large.push(&tail), 8, "the line end is no payload");
    assert!(decoder.large().is_none());
    input.extend_from_slice(&tail[8..]);
    input.extend_from_slice(PING);
    let decoded = decoder.decode(&input, &mut batch, 100);
    assert_eq!(decoded, Ok(Decoded { consumed: input.len(), moved: 0, more: false }));
    let set = batch.args(0, &input);
    assert_eq!(set.iter().collect::<Vec<_>>(), [&b"SET"[..], b"key", &value]);
    assert!(set.owned(1).is_none());
    let owned = set.owned(2).unwrap();
    assert_eq!(owned.as_ptr(), set.get(2).as_ptr());
    assert_eq!(batch.args(1, &input).name(), b"PING");
}

#[test]
fn an_announced_length_costs_little_before_the_bytes_arrive() {
    let mut decoder = Decoder::new(Limits::default());
    let decoded = decoder.decode(b"*2\r\n$3\r\nGET\r\n$536870912\r\n", &mut Batch::new(), 1);
    assert_eq!(decoded, Ok(Decoded::default()));
    let mut large = decoder.large().unwrap();
    assert_eq!(large.remaining(), 512 << 20);
    assert!(large.buffer().get_ref().capacity() <= 1 << 20);

    let mut many = Decoder::new(Limits::default());
    assert_eq!(many.decode(b"*2147483647\r\n", &mut Batch::new(), 1), Ok(Decoded::default()));
    assert!(many.room() == 0);
}

#[test]
fn large_arguments_of_several_mebibytes_arrive_whole_by_every_way() {
    let value: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let stream = [encode(&[b"MSET", b"a", &value, b"b", &value]), PING.to_vec()].concat();
    for feed in [Feed::Buffer, Feed::Push, Feed::Input] {
        let mut connection = Connection::new(Limits::default(), 7, feed);
        for piece in stream.chunks(100_000) {
            connection.receive(piece);
        }
        assert_eq!(connection.error, None);
        assert_eq!(connection.commands.len(), 2);
        assert!(connection.commands[0][2] == value && connection.commands[0][4] == value);
        assert_eq!(connection.input_len(), 0);
    }
}

#[test]
fn a_command_longer_than_the_query_limit_is_refused_at_its_header() {
    let limits = Limits { max_command: 100_000, ..Limits::default() };
    let half = vec![b'x'; 49_985];
    assert_eq!(decode_all(&encode(&[&half, &half]), limits).1, None);
    let stream = [encode(&[&half, &half, b"x"])[..].to_vec(), PING.to_vec()].concat();
    let mut connection = Connection::new(limits, 7, Feed::Buffer);
    stream.chunks(1000).for_each(|piece| connection.receive(piece));
    assert_eq!(connection.error, Some(ProtocolError::CommandTooLong));
    assert_eq!(decode_all(&stream, limits).1, Some(ProtocolError::CommandTooLong));
    assert_eq!(fault(b"*1\r\n$536870912\r\n"), None);
}

#[test]
fn a_command_of_a_million_arguments_split_at_every_byte_takes_linear_time() {
    // Quadratic work would be 4.5e13 steps: this test would not end.
    let count = 1024 * 1024;
    let stream = [format!("*{count}\r\n").as_bytes(), &b"$1\r\nx\r\n".repeat(count)].concat();
    let (mut decoder, mut batch) = (Decoder::new(Limits::default()), Batch::new());
    for end in 1..stream.len() {
        assert_eq!(decoder.decode(&stream[..end], &mut batch, 10), Ok(Decoded::default()));
    }
    let decoded = decoder.decode(&stream, &mut batch, 10).unwrap();
    assert_eq!(decoded.consumed, stream.len());
    assert_eq!(batch.args(0, &stream).len(), count);
}

#[test]
fn the_start_of_an_unfinished_line_is_not_searched_again() {
    for line in
        [&b"ECHO aaaaaaaaaaaaaaaa"[..], b"*11111111111111111111", b"*1\r\n$1111111111111111"]
    {
        let mut decoder = Decoder::new(Limits::default());
        for end in line.len() - 5..=line.len() {
            let decoded = decoder.decode(&line[..end], &mut Batch::new(), 1);
            assert_eq!(decoded, Ok(Decoded::default()));
            assert_eq!(decoder.scanned(), end);
        }
    }
}

#[test]
fn large_arguments_of_several_connections_may_share_a_batch() {
    let mut batch = Batch::new();
    for fill in [b'a', b'b'] {
        let mut input = encode(&[b"SET", b"key", &[fill; LARGE_ARG]]);
        let tail = input.split_off(input.len() - 2);
        let mut decoder = Decoder::new(Limits::default());
        input.pop();
        let decoded = decoder.decode(&input, &mut batch, 10).unwrap();
        input.truncate(input.len() - decoded.moved);
        assert_eq!(decoder.large().unwrap().push(&[fill]), 1);
        input.extend_from_slice(&tail);
        assert_eq!(decoder.decode(&input, &mut batch, 10).unwrap().consumed, input.len());
    }
    let owned = [0, 1].map(|index| batch.args(index, &[]).owned(2).unwrap()[0]);
    assert_eq!(owned, [b'a', b'b']);
}

#[test]
fn a_giant_batch_gives_its_room_back() {
    let stream = encode(&vec![&b"x"[..]; 100_000]);
    let (mut decoder, mut batch) = (Decoder::new(Limits::default()), Batch::new());
    assert_eq!(decoder.decode(&stream[..stream.len() - 1], &mut batch, 1), Ok(Decoded::default()));
    assert_eq!(decoder.decode(&stream, &mut batch, 1).unwrap().consumed, stream.len());
    batch.clear();
    assert!(batch.room() <= 8 * 4096 * 4 && decoder.room() <= 8 * 4096 * 4);
}

#[test]
fn strangers_may_ask_for_little_until_they_are_known() {
    let limits = Limits::default();
    let first = |input: &[u8], is_stranger| {
        let mut decoder = Decoder::new(limits);
        decoder.set_limits(limits, is_stranger);
        decoder.decode(input, &mut Batch::new(), 1)
    };
    let (count, length) =
        (ProtocolError::UnauthenticatedMultibulkLength, ProtocolError::UnauthenticatedBulkLength);
    for (input, error) in [
        (&b"*11\r\n"[..], count),
        (b"*1048577\r\n", count),
        (b"*4294967296\r\n", ProtocolError::InvalidMultibulkLength),
        (b"*1\r\n$16385\r\n", length),
        (b"*1\r\n$536870913\r\n", ProtocolError::InvalidBulkLength),
    ] {
        assert_eq!(first(input, true), Err(error), "{}", input.escape_ascii());
    }
    for input in [&b"*10\r\n"[..], b"*1\r\n$16384\r\n"] {
        assert_eq!(first(input, true), Ok(Decoded::default()));
    }
    assert_eq!(first(b"*11\r\n$16385\r\n", false), Ok(Decoded::default()));

    let input = b"*1\r\n$4\r\nPING\r\n*11\r\n";
    let (mut decoder, mut batch) = (Decoder::new(limits), Batch::new());
    decoder.set_limits(limits, true);
    let decoded = decoder.decode(input, &mut batch, 1).unwrap();
    assert!(decoded.more, "the second is looked at when the first has run");
    decoder.set_limits(limits, false);
    assert_eq!(decoder.decode(&input[decoded.consumed..], &mut batch, 9), Ok(Decoded::default()));
}
