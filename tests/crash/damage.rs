//! A file that is not what was written: cut at each of its last bytes, or with one bit wrong. Never
//! a panic, and never other keys than the undamaged bytes lead to.
//!
//! The format has no checksums, so a flip inside an argument of the right length cannot be seen;
//! what it leads to is then exactly what the flipped file says, by an interpreter that is not the
//! server's.

use std::collections::BTreeMap;

use super::harness::{
    Commands, LogFile, Model, Random, Server, State, dump, encode, server_command, show,
    unix_millis,
};

const DATABASES: usize = 16;

/// Cuts, from the end, and flips; `ferrum-kv check` looks at each.
const CUTS: usize = 1_000;
const FLIPS: usize = 1_000;

/// Of these, so many of each are started on.
const STARTS: usize = 50;

/// A log with every kind of command.
fn sample() -> Vec<u8> {
    let mut random = Random(77);
    let mut content = encode(&["SELECT", "0"]);
    for number in 0..400 {
        let key = format!("key:{}", random.below(40));
        let counter = format!("n:{}", random.below(10));
        let deadline = (4_000_000_000_000 + random.below(1_000)).to_string();
        let text = format!("value {number}");
        let database = random.below(4).to_string();
        let words: Vec<&str> = match random.below(16) {
            0..=3 => vec!["SET", &key, &text],
            4 => vec!["SET", &key, &text, "PXAT", &deadline],
            5..=6 => vec!["APPEND", &key, &text],
            7..=8 => vec!["INCRBY", &counter, "17"],
            9 => vec!["SETRANGE", &key, "3", "xyz"],
            10 => vec!["PEXPIREAT", &key, &deadline],
            11 => vec!["PERSIST", &key],
            12 => vec!["DEL", &key],
            13 => vec!["SELECT", &database],
            14 if random.below(8) == 0 => vec!["SWAPDB", "0", &database],
            14 if random.below(20) == 0 => vec!["FLUSHDB"],
            _ => {
                for words in [&["MULTI"][..], &["SET", "a", &text], &["SET", "b", &text], &["EXEC"]]
                {
                    content.extend(encode(words));
                }
                continue;
            }
        };
        content.extend(encode(&words));
    }
    // The last command is long, so that cuts go through a value too.
    content.extend(encode(&["SET", "long", &"x".repeat(300)]));
    content
}

/// The state of the whole commands at the beginning of a log, less a block that has no end.
fn state_of_whole_part(log: &[u8]) -> State {
    let mut model = Model::default();
    let mut at_block = None;
    for command in Commands::of(log) {
        match command.name().as_str() {
            "MULTI" => at_block = Some(model.clone()),
            "EXEC" => at_block = None,
            _ => {}
        }
        model.apply(&command);
    }
    at_block.unwrap_or(model).state(unix_millis())
}

/// What `ferrum-kv check` says: whether all is well, and the text.
fn check(path: &str) -> (bool, String) {
    let output = server_command(&["check", path]).output().expect("it runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {text}", output.status);
    assert!(!text.contains("panic"), "{text}");
    (output.status.success(), text)
}

/// Runs a part of the work on each processor.
fn in_parallel(count: usize, work: impl Fn(usize) + Sync) {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let work = &work;
            scope.spawn(move || (thread..count).step_by(threads).for_each(work));
        }
    });
}

#[test]
fn a_log_cut_at_any_of_its_last_bytes_is_a_whole_or_a_torn_one() {
    let content = sample();
    let ends: Vec<_> = Commands::all(&content).iter().map(|command| command.end).collect();
    let first = content.len() - CUTS;
    in_parallel(CUTS, |number| {
        let cut = first + number;
        let log = LogFile::of(&content[..cut]);
        let (is_whole, text) = check(log.path());
        // The end of a command, and not one between MULTI and EXEC.
        let commands =
            Commands::all(&content[..*ends.iter().rfind(|end| **end <= cut).expect("one")]);
        let last_of = |name| commands.iter().rposition(|command| command.name() == name);
        let expected = ends.contains(&cut) && last_of("MULTI") <= last_of("EXEC");
        assert_eq!(is_whole, expected, "cut at {cut}: {text}");
        assert!(is_whole || text.contains("torn"), "cut at {cut}: {text}");
        assert!(!text.contains("corrupt"), "cut at {cut}: {text}");
        if number % (CUTS / STARTS) == 0 {
            let server = Server::with(&log.flags("no"));
            let state = dump(&mut server.connect(), DATABASES);
            assert_eq!(state, state_of_whole_part(&content[..cut]), "cut at {cut}");
        }
    });
}

/// What a flip in the sample is about: the byte's place and the bit.
fn flips(length: usize) -> Vec<(usize, u8)> {
    let mut random = Random(4_711);
    (0..FLIPS).map(|_| (random.below(length as u64) as usize, random.below(8) as u8)).collect()
}

#[test]
fn one_wrong_bit_is_refused_or_leads_to_what_the_file_then_says() {
    let content = sample();
    let flips = flips(content.len());
    in_parallel(FLIPS, |number| {
        let (place, bit) = flips[number];
        let mut damaged = content.clone();
        damaged[place] ^= 1 << bit;
        let log = LogFile::of(&damaged);
        let what = format!(
            "bit {bit} of byte {place}: '{}'",
            show(&damaged[place..damaged.len().min(place + 20)])
        );
        let (is_whole, text) = check(log.path());
        let mut commands = Commands::of(&damaged);
        commands.by_ref().for_each(drop);
        if is_whole {
            assert_eq!(commands.at, damaged.len(), "{what}: {text}");
        }
        if number % (FLIPS / STARTS) != 0 {
            return;
        }
        match Server::attempt(&log.flags("no")) {
            Ok(server) => {
                let state = dump(&mut server.connect(), DATABASES);
                assert_eq!(state, state_of_whole_part(&damaged), "{what}");
            }
            Err(said) => {
                let is_clear = said.contains(log.path());
                assert!(is_clear && !said.contains("panic"), "{what}: {said}");
            }
        }
    });
}

#[test]
fn a_bit_of_the_frame_is_never_flipped_unseen() {
    let content = sample();
    // Where arguments are, by the undamaged file: everything else is frame.
    let mut is_argument = vec![false; content.len()];
    for command in Commands::all(&content) {
        for argument in &command.arguments {
            let start = argument.as_ptr() as usize - content.as_ptr() as usize;
            is_argument[start..start + argument.len()].fill(true);
        }
    }
    let frame: Vec<_> =
        flips(content.len()).into_iter().filter(|flip| !is_argument[flip.0]).collect();
    let seen: BTreeMap<_, _> = frame
        .iter()
        .map(|(place, bit)| {
            let mut damaged = content.clone();
            damaged[*place] ^= 1 << bit;
            let log = LogFile::of(&damaged);
            ((*place, *bit), check(log.path()))
        })
        .collect();
    assert!(seen.len() > 200, "{} flips of the frame", seen.len());
    for ((place, bit), (is_whole, text)) in seen {
        assert!(!is_whole, "bit {bit} of byte {place} goes unseen: {text}");
    }
}
