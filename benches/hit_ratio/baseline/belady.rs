//! Belady's bound: the key whose next request is farthest away goes, the newcomer itself perhaps.

use std::collections::BinaryHeap;

use super::queues::Queues;
use crate::cache::Cache;
use crate::trace::Trace;

const NEVER: u32 = u32::MAX;
const IN: usize = 0;

pub(super) struct Belady {
    objects: usize,
    at: usize,
    /// For each request, when its key is wanted again.
    next_uses: Vec<u32>,
    keys: Queues<1>,
    /// When keys that are in are wanted again. An entry whose time has passed is stale, and below
    /// every other one, so it is never the one taken out.
    uses: BinaryHeap<(u32, u32)>,
}

impl Belady {
    pub(super) fn new(objects: usize, trace: &Trace) -> Self {
        let mut seen = vec![NEVER; trace.distinct];
        let mut next_uses = vec![NEVER; trace.requests.len()];
        for (at, &key) in trace.requests.iter().enumerate().rev() {
            next_uses[at] = std::mem::replace(&mut seen[key as usize], at as u32);
        }
        let keys = Queues::new(trace.distinct);
        Self { objects, at: 0, next_uses, keys, uses: BinaryHeap::new() }
    }
}

impl Cache for Belady {
    fn request(&mut self, key: u64) -> bool {
        let key = key as u32;
        let is_hit = self.keys.queue_of(key).is_some();
        self.keys.push(IN, key);
        self.uses.push((self.next_uses[self.at], key));
        self.at += 1;
        if self.keys.len(IN) > self.objects
            && let Some((_, victim)) = self.uses.pop()
        {
            self.keys.remove(victim);
        }
        is_hit
    }
}
