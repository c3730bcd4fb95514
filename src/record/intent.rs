//! The intent: what stands in a slot while a commit over several keys is under way.
//!
//! It is a record like any other (so a probe finds the key by it, and it is freed like one), whose
//! payload says which commit it belongs to and what the slot held before. What a commit is, the
//! table knows.

use super::Header;

/// The payload of an intent.
pub struct Intent {
    /// Shared ownership of the commit.
    commit: *const (),
    /// Gives that ownership back.
    release: unsafe fn(*const ()),
    /// The word of the slot that the intent has replaced, flags and all.
    before: *mut Header,
    /// Which of the commit's keys it is.
    index: u32,
}

impl Intent {
    /// # Safety
    /// `commit` is an ownership that `release` may be called with once, on any thread.
    pub unsafe fn new(
        commit: *const (),
        release: unsafe fn(*const ()),
        before: *mut Header,
        index: u32,
    ) -> Self {
        Self { commit, release, before, index }
    }

    /// The commit, alive as long as the intent.
    #[inline]
    pub fn commit(&self) -> *const () {
        self.commit
    }

    /// The word of the slot that the intent has replaced.
    #[inline]
    pub fn before(&self) -> *mut Header {
        self.before
    }

    /// Which of the commit's keys it is.
    #[inline]
    pub fn index(&self) -> usize {
        self.index as usize
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        // SAFETY: the promise of `new`; dropped once.
        unsafe { (self.release)(self.commit) };
    }
}
