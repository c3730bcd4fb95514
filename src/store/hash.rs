//! The hash of keys.
//!
//! SipHash-1-3 under a random 128-bit key per process. A table of attacker-chosen keys needs a hash
//! whose collisions cannot be found without the key (hash flooding); SipHash is a keyed function
//! designed and studied for just that (Aumasson, Bernstein, "SipHash: a fast short-input PRF",
//! 2012), and its 1-3 form is what Rust's and Python's own maps use. Faster hashes (aHash, wyhash
//! and relatives) make weaker promises or have known key-independent collisions; in a pipeline the
//! some ten nanoseconds more are hidden behind the prefetch of other keys' lines.

use siphasher::sip::SipHasher13;

/// A keyed hash function.
#[derive(Clone)]
pub(super) struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// With the given key, or a random one.
    pub(super) fn new(seed: Option<[u64; 2]>) -> Self {
        let [first, second] = seed.unwrap_or_else(random_seed);
        Self(SipHasher13::new_with_keys(first, second))
    }

    #[inline]
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hash(bytes)
    }
}

/// A key from the operating system's random source.
///
/// # Panics
/// If the system has none: a server with a guessable hash must not start.
fn random_seed() -> [u64; 2] {
    let word = || getrandom::u64();
    match (word(), word()) {
        (Ok(first), Ok(second)) => [first, second],
        (Err(error), _) | (_, Err(error)) => {
            panic!("the operating system gives no random bytes for the hash key: {error}")
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::KeyHasher;

    #[test]
    fn two_processes_hash_the_same_key_differently() {
        let (one, other) = (KeyHasher::new(None), KeyHasher::new(None));
        assert_ne!(one.hash(b"key"), other.hash(b"key"));
        assert_eq!(one.hash(b"key"), one.hash(b"key"));
    }

    #[test]
    fn the_hash_is_siphash_1_3() {
        // Key 00..0f, message 00..0e: the example of the SipHash paper, in its 1-3 form as
        // published with the reference implementations.
        let key = [0x0706050403020100, 0x0f0e0d0c0b0a0908];
        let message: Vec<u8> = (0..15).collect();
        let std_hash = {
            use std::hash::Hasher;
            let mut hasher = siphasher::sip::SipHasher13::new_with_keys(key[0], key[1]);
            hasher.write(&message);
            hasher.finish()
        };
        assert_eq!(KeyHasher::new(Some(key)).hash(&message), std_hash);
    }
}
