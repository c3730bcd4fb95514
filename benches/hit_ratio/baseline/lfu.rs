//! Exact LFU. A key's count begins anew when it comes back after an eviction.

use std::collections::BTreeSet;

use crate::cache::Cache;

pub(super) struct Lfu {
    objects: usize,
    now: u64,
    /// Requests since the key came in and the time of the last one; 0 requests: absent.
    usage: Vec<(u64, u64)>,
    /// Requests, time and key of all that are in.
    order: BTreeSet<(u64, u64, u64)>,
}

impl Lfu {
    pub(super) fn new(objects: usize, keys: usize) -> Self {
        Self { objects, now: 0, usage: vec![(0, 0); keys], order: BTreeSet::new() }
    }
}

impl Cache for Lfu {
    fn request(&mut self, key: u64) -> bool {
        self.now += 1;
        let (requests, time) = self.usage[key as usize];
        let is_hit = requests > 0;
        if is_hit {
            self.order.remove(&(requests, time, key));
        } else if self.order.len() == self.objects
            && let Some((.., victim)) = self.order.pop_first()
        {
            self.usage[victim as usize].0 = 0;
        }
        self.usage[key as usize] = (requests + 1, self.now);
        self.order.insert((requests + 1, self.now, key));
        is_hit
    }
}
