//! Transactions: a stand-in whose operations take effect one by one and whose commit always
//! succeeds.

use super::{Database, Keyspace, Session};
use crate::record::{Key, Value};

/// What a key was when it began to be watched.
#[derive(Debug)]
pub struct Watched {
    database: usize,
    key: Box<[u8]>,
    state: Option<(u64, Option<i64>)>,
}

impl Session<'_> {
    /// Whether a transaction is under way (handlers then must not rely on being the only step).
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Begins a transaction: from now on operations of this session see and make changes in
    /// private. While one is under way [`renew`](Session::renew) does nothing.
    pub fn begin(&mut self) {
        debug_assert!(!self.in_transaction);
        self.in_transaction = true;
    }

    /// Makes all changes at one instant, if everything that was read is still so. False: nothing
    /// has happened, run it all again.
    #[must_use]
    pub fn commit(&mut self) -> bool {
        self.in_transaction = false;
        true
    }

    /// Forgets a transaction.
    pub fn abandon(&mut self) {
        self.in_transaction = false;
    }

    /// Whether a watched key is as it was; in a transaction it then also counts as read.
    pub fn is_unchanged(&self, keyspace: &Keyspace, watched: &Watched) -> bool {
        let key = keyspace.key(&watched.key);
        state(keyspace.database(watched.database), self, key) == watched.state
    }
}

impl Database<'_> {
    /// What a key is now, to be compared later; may outlive the session.
    pub fn watch(&self, session: &Session<'_>, key: Key<'_>) -> Watched {
        Watched { database: self.index(), key: key.bytes.into(), state: state(*self, session, key) }
    }
}

fn state(
    database: Database<'_>,
    session: &Session<'_>,
    key: Key<'_>,
) -> Option<(u64, Option<i64>)> {
    database.peek(session, key, |entry| {
        let number = match entry.value() {
            Value::Integer(number) => Some(number),
            _ => None,
        };
        (entry.version(), number)
    })
}
