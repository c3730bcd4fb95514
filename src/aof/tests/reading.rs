//! The reader against logs that are whole, torn and damaged, and against the slow parser.

use proptest::prelude::*;

use super::super::{Chunk, End, Error, Reader, Reason, Step, Torn, TornPart};
use super::{Outcome, Scratch, command, encoded, known, log, outcome, reference};

/// Chunks so small that every command grows one, and so large that all fits.
const CHUNKS: [usize; 4] = [1, 17, 64, 1 << 20];

/// What the reader says of these bytes, with chunks of every size.
fn read(bytes: &[u8]) -> Outcome {
    let scratch = Scratch::new();
    let path = scratch.file("log", bytes);
    let mut outcomes = CHUNKS.map(|chunk_bytes| outcome(&path, chunk_bytes).expect("readable"));
    for other in &outcomes[1..] {
        assert_eq!(*other, outcomes[0], "chunks make no difference");
    }
    let [first, ..] = &mut outcomes;
    std::mem::replace(first, Outcome { commands: Vec::new(), blocks: 0, end: Ok(End::Clean) })
}

/// The damage that the reader finds: its place, the end of what is valid, and what it is.
fn wrong(bytes: &[u8]) -> (u64, u64, Reason) {
    let wrong = read(bytes).end.expect_err("corrupt");
    (wrong.offset, wrong.valid, wrong.reason)
}

#[test]
fn commands_come_with_their_places() {
    let bytes = [command("SET a 1"), b"#TS:1700000000\r\n".to_vec(), command("DEL a")].concat();
    let Outcome { commands, blocks, end } = read(&bytes);
    assert_eq!((commands.len(), blocks, end), (2, 0, Ok(End::Clean)));
    assert_eq!((commands[0].0.offset, commands[0].0.command), (0, 1));
    let second = bytes.len() - command("DEL a").len();
    assert_eq!((commands[1].0.offset, commands[1].0.command), (second as u64, 2));
    assert_eq!(commands[1].1, [b"DEL".to_vec(), b"a".to_vec()]);
}

#[test]
fn an_empty_file_is_an_empty_log() {
    assert_eq!(read(b""), Outcome { commands: Vec::new(), blocks: 0, end: Ok(End::Clean) });
}

#[test]
fn a_block_is_given_out_whole_or_not_at_all() {
    let lines = ["SET a 1", "MULTI", "SET b 2", "DEL a", "EXEC", "SET c 3"];
    let Outcome { commands, blocks, end } = read(&log(&lines));
    assert_eq!((commands.len(), blocks, end), (4, 1, Ok(End::Clean)));
    assert_eq!(commands[3].0.command, 6, "MULTI and EXEC count");

    let torn = log(&lines[..4]);
    let Outcome { commands, blocks, end } = read(&torn);
    let offset = command("SET a 1").len() as u64;
    let part = TornPart::Block { commands: 2 };
    assert_eq!((commands.len(), blocks), (1, 0));
    assert_eq!(end, Ok(End::Torn(Torn { offset, bytes: torn.len() as u64 - offset, part })));
}

#[test]
fn a_log_cut_at_any_byte_is_the_commands_before_the_cut() {
    let mut bytes = Vec::new();
    let mut ends = vec![0];
    for number in 0..40 {
        let value = [b"\0\r\n$5\r\n*", number.to_string().as_bytes()].concat();
        if number % 7 == 3 {
            bytes.extend(log(&["MULTI", "SET a 1"]));
            bytes.extend(encoded(&[b"SET", b"block", &value]));
            bytes.extend(log(&["DEL a", "EXEC"]));
        } else {
            bytes.extend(encoded(&[b"SET", b"key", &value]));
        }
        ends.push(bytes.len());
    }
    let scratch = Scratch::new();
    for cut in bytes.len() - 1000..=bytes.len() {
        let path = scratch.file("log", &bytes[..cut]);
        let whole = *ends.iter().rfind(|end| **end <= cut).expect("0 is one");
        let expected = reference::outcome(&bytes[..whole]).commands;
        for chunk_bytes in [64, 1 << 20] {
            let Outcome { commands, end, .. } = outcome(&path, chunk_bytes).expect("readable");
            assert_eq!(commands.len(), expected.len(), "cut at {cut}");
            assert!(commands == expected, "cut at {cut}");
            match end {
                Ok(End::Clean) => assert_eq!(cut, whole),
                Ok(End::Torn(torn)) => {
                    assert_eq!((torn.offset, torn.bytes), (whole as u64, (cut - whole) as u64));
                }
                Err(wrong) => panic!("cut at {cut}: {wrong:?}"),
            }
        }
    }
}

#[test]
fn one_bit_flipped_is_seen_unless_it_is_inside_an_argument() {
    let mut bytes = Vec::new();
    // Which bytes belong to arguments.
    let mut is_argument = Vec::new();
    for number in 0_usize..150 {
        let value = vec![b'v'; number * 7 % 130];
        let key = format!("key:{number}");
        let one: &[&[u8]] = match number % 10 {
            3 => &[b"MULTI"],
            6 => &[b"EXEC"],
            _ => &[b"SET", key.as_bytes(), &value],
        };
        let start = bytes.len();
        bytes.extend(encoded(one));
        is_argument.resize(bytes.len(), false);
        let mut at = start + format!("*{}\r\n", one.len()).len();
        for arg in one {
            at += format!("${}\r\n", arg.len()).len();
            // Names are checked, keys and values cannot be.
            is_argument[at..at + arg.len()].fill(arg == &key.as_bytes() || *arg == value);
            at += arg.len() + 2;
        }
    }
    let last = bytes.len() - encoded(&[b"SET", b"key:149", &[b'v'; 149 * 7 % 130]]).len();
    let whole = reference::outcome(&bytes);
    assert_eq!(whole.end, Ok(End::Clean));
    let scratch = Scratch::new();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..1000 {
        let (place, bit) = (random.usize(..bytes.len()), random.u32(..8));
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << bit;
        let path = scratch.file("log", &damaged);
        let Outcome { commands, end, .. } = outcome(&path, 256).expect("readable");
        match end {
            // A letter of a name may have changed its case.
            Ok(End::Clean) => assert!(
                is_argument[place] || (bit == 5 && bytes[place].is_ascii_alphabetic()),
                "byte {place}, bit {bit}"
            ),
            // The header of the last command looks as if more had been meant to come.
            Ok(End::Torn(torn)) => {
                assert!(torn.offset >= last as u64 && place >= last, "byte {place}, bit {bit}");
            }
            // A changed length may take a header into its argument; then the next item is wrong.
            Err(wrong) => assert!(wrong.valid < place as u64 + 200, "byte {place}, bit {bit}"),
        }
        assert!(commands.len() <= whole.commands.len());
    }
}

#[test]
fn each_kind_of_damage_is_named_with_its_place() {
    let before = command("SET a 1");
    let start = before.len() as u64;
    for (text, at, reason) in [
        (&b"SET a 1\r\n"[..], 0, Reason::NotACommand),
        (b"\r\n", 0, Reason::NotACommand),
        (b"*0\r\n", 1, Reason::Count),
        (b"*-1\r\n", 1, Reason::Count),
        (b"*03\r\n", 1, Reason::Count),
        (b"*3 \r\n", 2, Reason::Count),
        (b"*3\n", 2, Reason::Count),
        (b"*3\rX", 3, Reason::Count),
        (b"*\r\n", 1, Reason::Count),
        (b"*2147483648\r\n", 10, Reason::Count),
        (b"*1\r\nX", 4, Reason::NotAnArgument),
        (b"*1\r\n$-1\r\n", 5, Reason::Length),
        (b"*1\r\n$536870913\r\n", 13, Reason::Length),
        (b"*1\r\n$00\r\n", 6, Reason::Length),
        (b"*1\r\n$3\r\nSETX", 11, Reason::ArgumentEnd),
        (b"*1\r\n$3\r\nSET\rX", 12, Reason::ArgumentEnd),
        (b"*1\r\n$3\r\nSET\nX", 11, Reason::ArgumentEnd),
        (b"#a\0b\n", 2, Reason::Annotation),
        (b"*1\r\n$4\r\nEXEC\r\n", 0, Reason::ExecWithoutMulti),
        (b"*2\r\n$5\r\nMULTI\r\n$1\r\na\r\n", 0, Reason::BlockArguments),
        (b"*1\r\n$5\r\nMULTK\r\n", 0, Reason::UnknownCommand),
    ] {
        let bytes = [&before, text].concat();
        assert_eq!(wrong(&bytes), (start + at, start, reason), "{}", text.escape_ascii());
        // In a block, what is valid ends before its MULTI, however far away.
        let inside = log(&["MULTI", "SET b 2", "SET c 3"]);
        let bytes = [&before, &inside, text].concat();
        if reason != Reason::ExecWithoutMulti {
            let expected = (start + inside.len() as u64 + at, start, reason);
            assert_eq!(wrong(&bytes), expected, "{}", text.escape_ascii());
        }
    }
    let nested = log(&["MULTI", "SET a 1", "MULTI"]);
    let at = log(&["MULTI", "SET a 1"]).len() as u64;
    assert_eq!(wrong(&nested), (at, 0, Reason::NestedMulti));
    let long = [b"#", &[b'x'; 1024][..], b"\n"].concat();
    assert_eq!(wrong(&long), (1023, 0, Reason::Annotation));
}

#[test]
fn the_number_of_a_damaged_command_counts_all_before_it() {
    let mut bytes = log(&["SET a 1", "MULTI", "SET b 1", "EXEC", "SET c 1"]);
    bytes.extend(b"junk");
    assert_eq!(read(&bytes).end.expect_err("corrupt").command, 6);
}

#[test]
fn nul_bytes_to_the_end_are_a_torn_end() {
    let whole = log(&["SET a 1", "SET b 2"]);
    let first = command("SET a 1").len();
    for cut in first..=whole.len() {
        for zeros in [1, 2, 3, 5000, 100_000] {
            let mut bytes = whole[..cut].to_vec();
            bytes.resize(cut + zeros, 0);
            let offset = if cut < whole.len() { first } else { whole.len() } as u64;
            let Ok(End::Torn(torn)) = read(&bytes).end else { panic!("cut at {cut}") };
            // A NUL byte can be one of the argument.
            assert_eq!(torn.offset, offset, "cut at {cut}");
            bytes.push(1);
            if zeros > 3 {
                assert!(read(&bytes).end.is_err(), "cut at {cut}");
            }
        }
    }
    let block = [log(&["MULTI", "SET a 1"]), vec![0; 300]].concat();
    let torn = Torn { offset: 0, bytes: block.len() as u64, part: TornPart::Zeros };
    assert_eq!(read(&block).end, Ok(End::Torn(torn)));
}

#[test]
fn a_length_that_reaches_over_whole_commands_is_damage_not_a_torn_end() {
    let mut bytes = log(&["SET a 1", "SET b 1234567890123456", "SET c 3", "SET d 4"]);
    let place = bytes.windows(4).position(|four| four == b"$16\r").expect("the length");
    bytes[place + 1] = b'9';
    let start = command("SET a 1").len() as u64;
    assert_eq!(wrong(&bytes), (start, start, Reason::HoldsCommands));
}

#[test]
fn a_block_larger_than_any_chunk_is_read() {
    const COMMANDS: usize = 100_000;
    let mut bytes = log(&["SET a 1", "MULTI"]);
    for number in 0..COMMANDS {
        bytes.extend(command(&format!("SET key:{number} {number}")));
    }
    bytes.extend(log(&["EXEC", "SET b 2"]));
    assert!(bytes.len() > 3 << 20);
    let scratch = Scratch::new();
    let path = scratch.file("log", &bytes);
    let whole = outcome(&path, 1 << 20).expect("readable");
    assert_eq!((whole.commands.len(), whole.blocks), (COMMANDS + 2, 1));
    assert_eq!(whole.end, Ok(End::Clean));
    assert_eq!(whole.commands[COMMANDS + 1].0.command, COMMANDS as u64 + 4);

    let cut = bytes.len() - log(&["EXEC", "SET b 2"]).len();
    let path = scratch.file("log", &bytes[..cut]);
    let torn = outcome(&path, 1 << 20).expect("readable");
    assert_eq!(torn.commands.len(), 1, "nothing of the block");
    let part = TornPart::Block { commands: COMMANDS as u64 };
    let offset = command("SET a 1").len() as u64;
    assert_eq!(torn.end, Ok(End::Torn(Torn { offset, bytes: cut as u64 - offset, part })));
}

#[test]
fn a_long_argument_grows_its_chunk_and_the_next_one_is_small_again() {
    let value = vec![b'x'; 20 << 20];
    let bytes = [command("SET a 1"), encoded(&[b"SET", b"b", &value]), command("DEL a")].concat();
    let scratch = Scratch::new();
    let mut reader = Reader::open(&scratch.file("log", &bytes), known).expect("a log");
    let mut chunk = Chunk::new();
    let mut lengths = Vec::new();
    while reader.read(&mut chunk).expect("readable") == Step::Commands {
        for index in 0..chunk.len() {
            let args = chunk.args(index);
            lengths.push(args.get(args.len() - 1).len());
        }
    }
    assert_eq!(lengths, [1, value.len(), 1]);
    assert!(chunk.room.capacity() <= 2 << 20);
}

#[test]
fn a_batch_of_the_log_is_what_a_decoder_would_make() {
    let bytes = log(&["SET a 1", "APPEND a bcd", "DEL a"]);
    let scratch = Scratch::new();
    let mut reader = Reader::open(&scratch.file("log", &bytes), known).expect("a log");
    let mut chunk = Chunk::new();
    assert_eq!(reader.read(&mut chunk).expect("readable"), Step::Commands);
    let mut batch = crate::resp::Batch::new();
    let mut decoder = crate::resp::Decoder::new(crate::resp::Limits::default());
    let decoded = decoder.decode(&bytes, &mut batch, 100).expect("commands");
    assert_eq!(decoded.consumed as u64, chunk.end());
    assert_eq!(batch.len(), chunk.batch().len());
    for index in 0..batch.len() {
        let decoded: Vec<_> = batch.args(index, &bytes).iter().collect();
        assert!(chunk.batch().args(index, chunk.input()).iter().eq(decoded));
    }
}

#[test]
fn an_rdb_image_is_told_from_a_log() {
    let scratch = Scratch::new();
    for contents in [&b"REDIS"[..], b"REDIS0011\xfa\tredis-ver"] {
        let path = scratch.file("log", contents);
        let error = Reader::open(&path, known).expect_err("refused");
        assert!(matches!(error, Error::RdbPreamble { .. }));
        let text = error.to_string();
        assert!(text.contains("aof-use-rdb-preamble no") && text.contains("BGREWRITEAOF"));
    }
    assert_eq!(wrong(b"REDI").2, Reason::NotACommand);
}

/// A piece of a log, or of what should not be one.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let value = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        6 => value.prop_map(|value| encoded(&[b"SET", b"key", &value])),
        2 => Just(command("del key")),
        2 => Just(command("MULTI")),
        2 => Just(command("exec")),
        1 => Just(b"#TS:1700000000\r\n".to_vec()),
        1 => Just(encoded(&[b"SET", b"log", &log(&["MULTI", "DEL a", "EXEC"])])),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => (1_usize..30).prop_map(|count| vec![0; count]),
        1 => Just(command("LPUSH a b")),
    ]
}

/// Logs, most of them whole, cut or with a changed byte.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat());
    let damage = (any::<prop::sample::Index>(), any::<u8>());
    (pieces, prop::option::of(any::<prop::sample::Index>()), prop::option::of(damage)).prop_map(
        |(mut bytes, cut, damage)| {
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            if let Some((place, byte)) = damage
                && !bytes.is_empty()
            {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_reader_agrees_with_the_slow_parser(bytes in bytes(), chunk_bytes in 1_usize..300) {
        let scratch = Scratch::new();
        let path = scratch.file("log", &bytes);
        let read = outcome(&path, chunk_bytes).expect("readable");
        prop_assert_eq!(read, reference::outcome(&bytes), "{}", bytes.escape_ascii());
    }
}
