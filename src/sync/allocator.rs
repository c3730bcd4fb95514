//! What jemalloc says of itself, and what it can be asked to do.
//!
//! The figures are those of the whole process if jemalloc is its allocator, as it is the server's;
//! else they tell of whatever was taken from it otherwise.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use tikv_jemalloc_sys::{mallctl, malloc_stats_print};

/// Memory as the allocator sees it, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// What the program has, by the sizes it was given.
    pub allocated_bytes: u64,
    /// The pages that this is in.
    pub active_bytes: u64,
    /// The pages that are in physical memory, as far as the allocator knows.
    pub resident_bytes: u64,
}

/// The figures of this moment.
pub fn figures() -> Figures {
    // The figures are those of the last epoch; a new one gathers them anew.
    let mut epoch = 1_u64;
    let pointer = (&raw mut epoch).cast();
    // SAFETY: the name ends with a zero; the value is written from 8 bytes and not read.
    unsafe { mallctl(c"epoch".as_ptr(), null_mut(), null_mut(), pointer, size_of::<u64>()) };
    Figures {
        allocated_bytes: read(c"stats.allocated").unwrap_or(0) as u64,
        active_bytes: read(c"stats.active").unwrap_or(0) as u64,
        resident_bytes: read(c"stats.resident").unwrap_or(0) as u64,
    }
}

/// Its version, without the commit.
pub fn version() -> &'static str {
    let Some(text) = read(c"version").filter(|&address| address != 0) else {
        return "unknown";
    };
    let address: *const c_char = std::ptr::with_exposed_provenance(text);
    // SAFETY: the allocator gives the address of a constant of its own.
    let text = unsafe { CStr::from_ptr(address) }.to_str().unwrap_or("unknown");
    text.split('-').next().unwrap_or(text)
}

/// Gives the pages that hold nothing back to the system. Whether it did.
pub fn purge() -> bool {
    // 4096 stands for all arenas (`MALLCTL_ARENAS_ALL`).
    let name = c"arena.4096.purge";
    // SAFETY: the name ends with a zero; it takes and gives no value.
    unsafe { mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) == 0 }
}

/// Its own report, in English.
pub fn report() -> String {
    unsafe extern "C" fn add(text: *mut c_void, piece: *const c_char) {
        // SAFETY: called by the call below only, with its text, and with a string that ends with a
        // zero.
        let (text, piece) = unsafe { (&mut *text.cast::<Vec<u8>>(), CStr::from_ptr(piece)) };
        text.extend_from_slice(piece.to_bytes());
    }
    let mut text: Vec<u8> = Vec::new();
    // SAFETY: the text lives as long as the call, and nobody else touches it meanwhile.
    unsafe { malloc_stats_print(Some(add), (&raw mut text).cast(), std::ptr::null()) };
    String::from_utf8_lossy(&text).into_owned()
}

/// A figure, or an address, by its name.
fn read(name: &CStr) -> Option<usize> {
    let mut value = 0_usize;
    let mut length = size_of::<usize>();
    let pointer = (&raw mut value).cast();
    // SAFETY: the name ends with a zero; at most `length` bytes are written to the value.
    let result = unsafe { mallctl(name.as_ptr(), pointer, &raw mut length, null_mut(), 0) };
    (result == 0 && length == size_of::<usize>()).then_some(value)
}

/// What jemalloc takes for this layout, whose size is not 0.
#[cfg(test)]
pub(crate) fn usable_bytes(
    jemalloc: &tikv_jemallocator::Jemalloc,
    layout: std::alloc::Layout,
) -> usize {
    use std::alloc::GlobalAlloc;
    assert!(layout.size() > 0);
    // SAFETY: the size is not zero; the block is given back with the same layout.
    unsafe {
        let block = jemalloc.alloc(layout);
        let usable = tikv_jemallocator::usable_size(block);
        jemalloc.dealloc(block, layout);
        usable
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn jemalloc_answers() {
        assert_eq!(version().split('.').count(), 3, "{}", version());
        assert!(report().contains("jemalloc statistics"));
        assert!(purge());
        let layout = std::alloc::Layout::new::<[u64; 1 << 17]>();
        assert_eq!(usable_bytes(&tikv_jemallocator::Jemalloc, layout), 1 << 20);
        let figures = figures();
        assert!(figures.active_bytes >= figures.allocated_bytes);
    }
}
