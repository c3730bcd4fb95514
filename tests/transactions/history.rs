//! What clients saw: transactions with what each read and wrote.
//!
//! A key has *versions*, named by numbers; 0 is its absence. A value of a register and an element
//! of a list have numbers that are used once in a history, so whoever reads one knows who wrote it.
//! The versions of a counter are its sums.

/// Number of a version of a key.
pub(crate) type Version = u32;

/// The key is not there.
pub(crate) const ABSENT: Version = 0;

/// One thing that a transaction did, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It read a register or a counter.
    Read { key: u32, version: Version },
    /// It read a list.
    List { key: u32, elements: Box<[Version]> },
    /// It added an element to a list.
    Append { key: u32, element: Version },
    /// It replaced a version by another one.
    Write {
        key: u32,
        version: Version,
        after: Version,
        /// Whether the reply said what was replaced. Else its client knows it: nobody else writes
        /// this key.
        is_told: bool,
    },
}

/// One transaction of one client.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) client: usize,
    /// When its commands were sent, in nanoseconds.
    pub(crate) began: u64,
    /// When its last reply had come.
    pub(crate) ended: u64,
    /// Whether it was told that it has happened. If not, nobody may see what it would have written.
    pub(crate) is_committed: bool,
    pub(crate) steps: Vec<Step>,
}
