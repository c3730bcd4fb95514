//! Memory that a model has freed: poisoned and kept until the execution ends.
//!
//! Under a model checker a free only marks the object, so that a later touch is a failed assertion
//! and not undefined behaviour. The memory itself goes when the execution is over.

use std::cell::{Cell, RefCell};

thread_local! {
    static BURIED: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
    static ALIVE: Cell<i64> = const { Cell::new(0) };
}

/// Counts an object that must be buried before the execution ends.
pub fn born() {
    ALIVE.set(ALIVE.get() + 1);
}

/// Takes a poisoned object: `free` gives its memory back at the end of the execution.
pub fn bury(free: impl FnOnce() + 'static) {
    ALIVE.set(ALIVE.get() - 1);
    BURIED.with_borrow_mut(|buried| buried.push(Box::new(free)));
}

/// Forgets everything buried: an execution has failed, and its objects cannot be dropped outside
/// it.
pub fn abandon() {
    BURIED.take().into_iter().for_each(std::mem::forget);
    ALIVE.set(0);
}

/// Gives back the memory of everything buried, once no thread of the execution is left. Returns how
/// many objects were made and not freed: leaks.
pub fn clear() -> i64 {
    loop {
        let buried = BURIED.take();
        if buried.is_empty() {
            return ALIVE.replace(0);
        }
        // What is freed here may bury what it owned.
        buried.into_iter().for_each(|free| free());
    }
}
