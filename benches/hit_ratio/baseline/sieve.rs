//! SIEVE: one queue in order of insertion, and a hand that goes from the oldest to the youngest,
//! spares what was requested since it last came by, and evicts the first that was not.

use super::queues::Queues;
use crate::cache::Cache;

const QUEUE: usize = 0;

pub(super) struct Sieve {
    objects: usize,
    queue: Queues<1>,
    was_requested: Vec<bool>,
    /// The next key to look at; none: the oldest.
    hand: Option<u32>,
}

impl Sieve {
    pub(super) fn new(objects: usize, keys: usize) -> Self {
        Self { objects, queue: Queues::new(keys), was_requested: vec![false; keys], hand: None }
    }

    fn evict(&mut self) {
        // Ends at the latest when the hand comes by the second time.
        while let Some(key) = self.hand.or_else(|| self.queue.oldest(QUEUE)) {
            self.hand = self.queue.younger(key);
            if !std::mem::replace(&mut self.was_requested[key as usize], false) {
                self.queue.remove(key);
                return;
            }
        }
    }
}

impl Cache for Sieve {
    fn request(&mut self, key: u64) -> bool {
        let key = key as u32;
        let is_hit = self.queue.queue_of(key).is_some();
        self.was_requested[key as usize] = is_hit;
        if !is_hit {
            if self.queue.len(QUEUE) == self.objects {
                self.evict();
            }
            self.queue.push(QUEUE, key);
        }
        is_hit
    }
}
