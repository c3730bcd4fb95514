//! Who may come in: the password of the only user, and who was turned away.
//!
//! A connection has to give the password if there was one when it was made; one that came in
//! before stays. Commands of strangers are the engine's concern (module `auth`); what they cost
//! the others is one look at a byte of the client, once a window of commands.
//!
//! Passwords are compared as SHA-256 digests, by code that takes the same time whatever they
//! hold: the time tells neither where two differ nor how long the right one is. (Digesting takes
//! longer for a longer guess, which whoever guesses knows.)

use std::fmt::Write;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::denials::Denials;
use crate::config::Secret;
use crate::sync::plain::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The only user there is.
pub(super) const DEFAULT_USER: &[u8] = b"default";

/// The digest of a password.
type Fingerprint = [u8; 32];

/// The password, as it is now, and the log of those who were turned away.
pub struct Access {
    /// Empty when there is none. Behind a lock: it is needed by AUTH and CONFIG only.
    password: Mutex<Secret>,
    /// Whether there is one.
    is_required: AtomicBool,
    /// Failed attempts, for ACL LOG.
    pub(super) denials: Denials,
}

impl Access {
    /// With this password at first; none when it is empty.
    pub(super) fn new(password: Secret) -> Access {
        Access {
            is_required: AtomicBool::new(!password.0.is_empty()),
            password: Mutex::new(password),
            denials: Denials::default(),
        }
    }

    /// Whether new clients have to give a password.
    #[inline]
    pub fn is_required(&self) -> bool {
        // Relaxed: a flag by itself. Whoever reads the old one came a little earlier.
        self.is_required.load(Ordering::Relaxed)
    }

    /// Sets another password (`requirepass`); takes it away when it is empty. Clients that are in
    /// stay in.
    pub fn set_password(&self, password: &[u8]) {
        let mut current = self.current();
        *current = Secret(password.to_vec());
        // Relaxed: as in `is_required`. The lock keeps the two together for those who set.
        self.is_required.store(!password.is_empty(), Ordering::Relaxed);
    }

    /// The password, for CONFIG GET; empty when there is none.
    pub fn password(&self) -> Vec<u8> {
        self.current().0.clone()
    }

    /// Whether a user of this name may come in with this password. With no password any will do.
    pub(super) fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        if user != DEFAULT_USER {
            return false;
        }
        let wanted = self.fingerprint();
        wanted.is_none_or(|wanted| fingerprint(password).ct_eq(&wanted).into())
    }

    /// The digest of the password in hexadecimal digits, if there is one.
    pub(super) fn password_digits(&self) -> Option<String> {
        let mut digits = String::new();
        for byte in self.fingerprint()? {
            // A string takes whatever is written to it.
            let _ = write!(digits, "{byte:02x}");
        }
        Some(digits)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        let current = self.current();
        (!current.0.is_empty()).then(|| fingerprint(&current.0))
    }

    fn current(&self) -> MutexGuard<'_, Secret> {
        // Nothing can panic between two states of a password.
        self.password.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(password: &[u8]) -> Fingerprint {
    Sha256::digest(password).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(password: &str) -> Access {
        Access::new(Secret(password.into()))
    }

    #[test]
    fn only_the_default_user_comes_in_and_only_with_the_password() {
        let access = access("sesame");
        assert!(access.is_required() && access.admits(b"default", b"sesame"));
        for wrong in ["", "sesam", "sesame ", "SESAME", "sesame\0"] {
            assert!(!access.admits(b"default", wrong.as_bytes()), "{wrong:?}");
        }
        assert!(!access.admits(b"Default", b"sesame") && !access.admits(b"", b"sesame"));
    }

    #[test]
    fn without_a_password_any_will_do() {
        let access = access("sesame");
        access.set_password(b"");
        assert!(!access.is_required() && access.admits(b"default", b"anything"));
        assert_eq!(access.password_digits(), None);
        access.set_password(b"other");
        assert!(access.is_required() && !access.admits(b"default", b"sesame"));
        assert_eq!(access.password(), b"other");
    }

    #[test]
    fn the_password_is_shown_as_its_digest() {
        // What redis-server 7.0 shows for the same password.
        let digits = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";
        assert_eq!(access("sesame").password_digits().as_deref(), Some(digits));
    }
}
