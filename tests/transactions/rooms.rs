//! Commands over whole databases within blocks: FLUSHDB, SWAPDB, DBSIZE, KEYS.
//!
//! Two databases change only in blocks with an INCR of one counter, so each block has a number. In
//! the end all blocks are done again in the order of their numbers, on maps, and each must have had
//! the replies that it has there.

use std::collections::BTreeMap;

use super::harness::Random;
use super::history::{Step, Version};
use super::link::{Link, Reply, line};

/// The counter of the rooms, among the keys of the history.
const COUNTER: u32 = 5_001;

/// The databases.
const ROOMS: [usize; 2] = [2, 3];

const KEYS: u64 = 4;

type Room = BTreeMap<String, String>;

/// What a block does after its INCR.
#[derive(Clone, Debug)]
enum Action {
    /// Sets two keys in one of the rooms.
    Set(usize, [String; 2], String),
    Swap,
    Flush(usize),
    /// Looks at one of the rooms, at what it has and how much.
    Look(usize),
}

#[derive(Debug)]
struct Block {
    number: Version,
    action: Action,
    replies: Vec<Reply>,
}

/// What one client did.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Vec<Block>);

impl Rooms {
    /// Runs a block; returns what it did to the counter. `token` is a value that nobody has used.
    pub(crate) fn step(&mut self, link: &mut Link, random: &mut Random, token: u32) -> Step {
        let room = random.below(2) as usize;
        let action = match random.below(8) {
            0..4 => {
                let keys = [0; 2].map(|_| format!("room:{}", random.below(KEYS)));
                Action::Set(room, keys, token.to_string())
            }
            4 => Action::Swap,
            5 => Action::Flush(room),
            _ => Action::Look(room),
        };
        let mut block = vec![line("MULTI"), line(&format!("INCR t:{COUNTER}"))];
        let enter = |room: usize| line(&format!("SELECT {}", ROOMS[room]));
        match &action {
            Action::Set(room, [one, other], token) => {
                let mset = line(&format!("MSET {one} {token} {other} {token}"));
                block.extend([enter(*room), mset]);
            }
            Action::Swap => block.push(line(&format!("SWAPDB {} {}", ROOMS[0], ROOMS[1]))),
            Action::Flush(room) => block.extend([enter(*room), line("FLUSHDB")]),
            Action::Look(room) => {
                let keys: Vec<_> = (0..KEYS).map(|number| format!("room:{number}")).collect();
                block.extend([enter(*room), line("DBSIZE"), line("KEYS *")]);
                block.push(line(&format!("MGET {}", keys.join(" "))));
                block.push(line("DBSIZE"));
            }
        }
        block.extend([line("SELECT 0"), line("EXEC")]);
        let mut replies = link.run_all(&block).pop().expect("of EXEC").many();
        let number = replies.remove(0).number() as Version;
        self.0.push(Block { number, action, replies });
        Step::Write { key: COUNTER, version: number, after: number - 1, is_told: true }
    }
}

/// Does all blocks again and compares.
pub(crate) fn judge(all: Vec<Rooms>) {
    let mut blocks: Vec<_> = all.into_iter().flat_map(|rooms| rooms.0).collect();
    blocks.sort_by_key(|block| block.number);
    println!("the rooms: {} blocks", blocks.len());
    let mut rooms = [Room::new(), Room::new()];
    for (number, block) in (1..).zip(&blocks) {
        assert_eq!(block.number, number, "blocks are missing, or there is one too many");
        let replies = apply(&mut rooms, &block.action);
        let told: Vec<_> = block.replies.iter().cloned().map(sorted).collect();
        assert_eq!(told, replies, "{block:?}");
    }
}

/// What a block does and replies, its INCR apart.
fn apply(rooms: &mut [Room; 2], action: &Action) -> Vec<Reply> {
    let ok = Reply::Line("+OK".to_owned());
    match action {
        Action::Set(room, keys, token) => {
            for key in keys {
                rooms[*room].insert(key.clone(), token.clone());
            }
            vec![ok.clone(), ok.clone(), ok]
        }
        Action::Swap => {
            rooms.swap(0, 1);
            vec![ok.clone(), ok]
        }
        Action::Flush(room) => {
            rooms[*room].clear();
            vec![ok.clone(), ok.clone(), ok]
        }
        Action::Look(room) => {
            let room = &rooms[*room];
            let size = Reply::Number(room.len() as i64);
            let keys = Reply::Many(room.keys().cloned().map(Reply::Text).collect());
            let value = |number| {
                let value = room.get(&format!("room:{number}"));
                value.map_or(Reply::Nil, |value| Reply::Text(value.clone()))
            };
            let values = Reply::Many((0..KEYS).map(value).collect());
            let all = [ok.clone(), size.clone(), sorted(keys), sorted(values), size, ok];
            all.to_vec()
        }
    }
}

/// KEYS has no order.
fn sorted(mut reply: Reply) -> Reply {
    if let Reply::Many(replies) = &mut reply {
        let is_names = |reply: &Reply| matches!(reply, Reply::Text(text) if text.starts_with('r'));
        if replies.iter().all(is_names) {
            replies.sort_by(|one, other| one.text().cmp(&other.text()));
        }
    }
    reply
}
