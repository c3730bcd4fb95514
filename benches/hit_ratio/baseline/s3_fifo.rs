//! S3-FIFO: a small queue for newcomers, a main queue for what was requested again there, and a
//! ghost queue of what left the small one. The paper's parameters.

use super::queues::Queues;
use crate::cache::Cache;

const SMALL: usize = 0;
const MAIN: usize = 1;
const GHOST: usize = 2;

/// The highest count.
const USES_MAX: u8 = 3;

/// Requests in the small queue, after the first, that bring a key to the main one.
const USES_TO_STAY: u8 = 2;

pub(super) struct S3Fifo {
    objects: usize,
    small_objects: usize,
    queues: Queues<3>,
    uses: Vec<u8>,
}

impl S3Fifo {
    pub(super) fn new(objects: usize, keys: usize) -> Self {
        let small_objects = (objects / 10).max(1);
        Self { objects, small_objects, queues: Queues::new(keys), uses: vec![0; keys] }
    }

    fn is_full(&self) -> bool {
        self.queues.len(SMALL) + self.queues.len(MAIN) >= self.objects
    }

    fn make_room(&mut self) {
        while self.is_full() {
            if self.queues.len(SMALL) >= self.small_objects {
                self.shorten_small();
            } else {
                self.shorten_main();
            }
        }
    }

    /// The oldest of the small queue goes to the main one or becomes a ghost.
    fn shorten_small(&mut self) {
        let Some(key) = self.queues.pop(SMALL) else {
            return;
        };
        if std::mem::replace(&mut self.uses[key as usize], 0) >= USES_TO_STAY {
            self.queues.push(MAIN, key);
            return;
        }
        if self.queues.len(GHOST) >= self.objects - self.small_objects {
            self.queues.pop(GHOST);
        }
        self.queues.push(GHOST, key);
    }

    /// The oldest of the main queue begins anew if it was used, with a count less by one.
    fn shorten_main(&mut self) {
        let Some(key) = self.queues.pop(MAIN) else {
            // Everything is in the small queue.
            return self.shorten_small();
        };
        let uses = &mut self.uses[key as usize];
        if *uses > 0 {
            *uses -= 1;
            self.queues.push(MAIN, key);
        }
    }
}

impl Cache for S3Fifo {
    fn request(&mut self, key: u64) -> bool {
        let key = key as u32;
        match self.queues.queue_of(key) {
            Some(SMALL | MAIN) => {
                let uses = &mut self.uses[key as usize];
                *uses = (*uses + 1).min(USES_MAX);
                true
            }
            place => {
                // Before room is made, which may forget ghosts.
                let queue = if place.is_some() { MAIN } else { SMALL };
                self.queues.remove(key);
                self.make_room();
                self.uses[key as usize] = 0;
                self.queues.push(queue, key);
                false
            }
        }
    }
}
