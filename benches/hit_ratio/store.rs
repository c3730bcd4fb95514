//! Our store in this process, bounded by a number of keys.

use crate::cache::{Cache, Ending};
use ferrum_kv::store::{
    Change, EvictionOptions, Evictor, Keyspace, KeyspaceOptions, Local, NewValue, Policy, Room,
    Scope, Score,
};

/// Requests between two rounds of upkeep, which a server does some times a second.
const UPKEEP: u64 = 4096;

/// What every key holds.
const VALUE: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

/// A deadline that is not met: the last that there is, in milliseconds of Unix time.
const FAR: u64 = i64::MAX as u64;

/// An empty store with a policy and a bound; none if there is no such policy, or none that evicts.
pub(crate) fn open(policy: &str, objects: usize) -> Option<Box<dyn Cache>> {
    let policy = Policy::from_name(policy.as_bytes())?;
    let Policy::Evict(scope, _) = policy else {
        return None;
    };
    // Room is made before a key comes.
    let max_keys = objects.saturating_sub(1).max(1) as u64;
    let eviction = EvictionOptions { max_keys, policy, ..EvictionOptions::default() };
    let options = KeyspaceOptions {
        databases: 1,
        hash_seed: Some([1, 2]),
        eviction,
        ..KeyspaceOptions::default()
    };
    let keyspace = Keyspace::new(options);
    let local = keyspace.join();
    let deadline = (scope == Scope::Volatile).then_some(FAR);
    let evictor = Evictor::with_seed(1);
    Some(Box::new(Store { local, keyspace, evictor, deadline, requests: 0 }))
}

struct Store {
    local: Local,
    keyspace: Keyspace,
    evictor: Evictor,
    deadline: Option<u64>,
    requests: u64,
}

impl Cache for Store {
    fn request(&mut self, key: u64) -> bool {
        self.requests += 1;
        if self.requests.is_multiple_of(UPKEEP) {
            self.keyspace.maintain(&self.local, true);
        }
        self.evictor.tell_capacity(self.keyspace.eviction());
        let mut session = self.local.pin();
        let bytes = key.to_be_bytes();
        let key = self.keyspace.key(&bytes);
        let database = self.keyspace.database(0);
        if database.get(&session, key, |_| ()).is_some() {
            return true;
        }
        while self.evictor.make_room(&self.keyspace, &mut session) == Room::Short {}
        let deadline = self.deadline;
        database.change(&session, key, |_| Change::Put {
            value: NewValue::Copy(VALUE),
            deadline,
            result: (),
        });
        false
    }

    fn finish(&mut self) -> Ending {
        let eviction = self.keyspace.eviction();
        let learns = eviction.settings().policy().score() == Some(Score::Ahe);
        Ending { alpha: learns.then(|| eviction.ahe().alpha()), ..Ending::default() }
    }
}
