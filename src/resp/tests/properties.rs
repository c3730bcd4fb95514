//! What must hold for every stream.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::connection::{Connection, Feed, decode_all};
use super::encode;
use crate::resp::{LARGE_ARG, Limits};

/// Small enough that random streams reach every limit.
const TIGHT: Limits =
    Limits { max_bulk_len: 80_000, max_args: 6, max_inline: 40, max_command: 120_000 };

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..40),
        1 => (LARGE_ARG - 2..LARGE_ARG + 3, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        1 => (0..80_001usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(argument(), 1..5)
}

/// Pieces of streams: right, wrong, and cut off.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => command().prop_map(|args| encode(&args.iter().map(Vec::as_slice).collect::<Vec<_>>())),
        2 => "[a-z \"'\\\\\r\t]{0,45}\r?\n".prop_map(String::into_bytes),
        2 => "\\*-?[0-9]{0,3}\r\n".prop_map(String::into_bytes),
        2 => "\\$-?[0-9]{0,6}\r\n".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..30),
        1 => vec(prop::sample::select(&b"*$-0123456789\r\n"[..]), 0..60),
    ]
}

fn feed() -> impl Strategy<Value = Feed> {
    prop_oneof![Just(Feed::Buffer), Just(Feed::Push), Just(Feed::Input)]
}

/// Cuts `stream` at the given places.
fn pieces<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_never_change_what_is_decoded(
        fragments in vec(fragment(), 0..8),
        cuts in vec(any::<Index>(), 0..12),
        max_commands in 1..5usize,
        feed in feed(),
    ) {
        let stream = fragments.concat();
        let whole = decode_all(&stream, TIGHT);
        let mut connection = Connection::new(TIGHT, max_commands, feed);
        for piece in pieces(&stream, &cuts) {
            connection.receive(piece);
        }
        prop_assert_eq!(&connection.commands, &whole.0);
        prop_assert_eq!(connection.error, whole.1);
    }

    #[test]
    fn single_bytes_decode_like_the_whole(fragments in vec(fragment(), 0..4), feed in feed()) {
        let stream = fragments.concat();
        let whole = decode_all(&stream, TIGHT);
        let mut connection = Connection::new(TIGHT, 3, feed);
        for byte in stream.chunks(1) {
            connection.receive(byte);
        }
        prop_assert_eq!(&connection.commands, &whole.0);
        prop_assert_eq!(connection.error, whole.1);
    }

    #[test]
    fn commands_come_back_as_they_were_sent(
        commands in vec(command(), 0..6),
        cuts in vec(any::<Index>(), 0..12),
        feed in feed(),
    ) {
        let encoded = commands.iter().map(|args| {
            encode(&args.iter().map(Vec::as_slice).collect::<Vec<_>>())
        });
        let stream = encoded.collect::<Vec<_>>().concat();
        let mut connection = Connection::new(Limits::default(), 2, feed);
        for piece in pieces(&stream, &cuts) {
            connection.receive(piece);
        }
        prop_assert_eq!(connection.error, None);
        prop_assert_eq!(connection.input_len(), 0);
        prop_assert_eq!(connection.commands, commands);
    }

    #[test]
    fn garbage_neither_panics_nor_grows_beyond_the_limits(
        fragments in vec(fragment(), 0..40),
        piece_len in 1..5000usize,
    ) {
        let mut connection = Connection::new(TIGHT, 4, Feed::Buffer);
        let stream = fragments.concat();
        for piece in stream.chunks(piece_len) {
            connection.receive(piece);
            if connection.error.is_some() {
                break;
            }
            // One command, the largest buffer, and the kept room of the reused vectors.
            let bound = TIGHT.max_command + TIGHT.max_bulk_len + piece_len + 300_000;
            prop_assert!(connection.held() <= bound, "{} bytes", connection.held());
        }
    }

    #[test]
    fn an_input_that_breaks_the_contract_does_not_panic(
        inputs in vec(vec(fragment(), 0..3), 1..8),
    ) {
        use crate::resp::{Batch, Decoder};
        let (mut decoder, mut batch) = (Decoder::new(TIGHT), Batch::new());
        for input in inputs {
            let _ = decoder.decode(&input.concat(), &mut batch, 100);
            batch.clear();
        }
    }
}
