//! Linked queues over numbered keys, from which policies are built.

const NONE: u32 = u32::MAX;
const NOWHERE: u8 = u8::MAX;

/// `N` queues; each key is in one of them or in none.
pub(super) struct Queues<const N: usize> {
    nodes: Vec<Node>,
    /// The youngest key of each queue.
    heads: [u32; N],
    /// The oldest key of each queue.
    tails: [u32; N],
    lengths: [usize; N],
}

#[derive(Clone, Copy)]
struct Node {
    older: u32,
    younger: u32,
    queue: u8,
}

impl<const N: usize> Queues<N> {
    /// Empty queues for keys below `keys`.
    pub(super) fn new(keys: usize) -> Self {
        let node = Node { older: NONE, younger: NONE, queue: NOWHERE };
        Self { nodes: vec![node; keys], heads: [NONE; N], tails: [NONE; N], lengths: [0; N] }
    }

    /// The queue that a key is in.
    pub(super) fn queue_of(&self, key: u32) -> Option<usize> {
        let queue = self.nodes[key as usize].queue;
        (queue != NOWHERE).then_some(queue.into())
    }

    pub(super) fn len(&self, queue: usize) -> usize {
        self.lengths[queue]
    }

    pub(super) fn oldest(&self, queue: usize) -> Option<u32> {
        some(self.tails[queue])
    }

    /// The next younger key of the same queue.
    pub(super) fn younger(&self, key: u32) -> Option<u32> {
        some(self.nodes[key as usize].younger)
    }

    /// Makes a key the youngest of a queue, wherever it was.
    pub(super) fn push(&mut self, queue: usize, key: u32) {
        self.remove(key);
        let head = self.heads[queue];
        self.nodes[key as usize] = Node { older: head, younger: NONE, queue: queue as u8 };
        match some(head) {
            Some(head) => self.nodes[head as usize].younger = key,
            None => self.tails[queue] = key,
        }
        self.heads[queue] = key;
        self.lengths[queue] += 1;
    }

    /// Takes the oldest key of a queue out.
    pub(super) fn pop(&mut self, queue: usize) -> Option<u32> {
        let key = self.oldest(queue)?;
        self.remove(key);
        Some(key)
    }

    /// Takes a key out of the queue that it is in, if any.
    pub(super) fn remove(&mut self, key: u32) {
        let Some(queue) = self.queue_of(key) else {
            return;
        };
        let Node { older, younger, .. } = self.nodes[key as usize];
        match some(older) {
            Some(older) => self.nodes[older as usize].younger = younger,
            None => self.tails[queue] = younger,
        }
        match some(younger) {
            Some(younger) => self.nodes[younger as usize].older = older,
            None => self.heads[queue] = older,
        }
        self.nodes[key as usize].queue = NOWHERE;
        self.lengths[queue] -= 1;
    }
}

fn some(key: u32) -> Option<u32> {
    (key != NONE).then_some(key)
}
