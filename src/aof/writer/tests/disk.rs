//! A disk in memory that can be full, broken or slow, and that tells what would survive the loss
//! of power.

use super::super::storage::Storage;
use crate::sync::{Arc, Mutex};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// Numbers of the operating system's errors.
pub(super) const EIO: i32 = 5;
pub(super) const ENOSPC: i32 = 28;

#[derive(Default)]
struct State {
    /// What a reader of the file gets.
    cached: Vec<u8>,
    /// For each byte of it whether it waits to be brought to the disk.
    dirty: Vec<bool>,
    /// What is on the disk.
    safe: Vec<u8>,
    /// Length that the file cannot exceed.
    room: Option<usize>,
    write_error: Option<i32>,
    sync_error: Option<i32>,
    sync_takes: Duration,
    writes: u64,
    syncs: u64,
    opened: u64,
}

/// The disk, and a file on it.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.0.lock().unwrap())
    }

    /// What a reader of the file gets.
    pub(super) fn cached(&self) -> Vec<u8> {
        self.with(|state| state.cached.clone())
    }

    /// What survives the loss of power.
    pub(super) fn safe(&self) -> Vec<u8> {
        self.with(|state| state.safe.clone())
    }

    /// The file cannot grow beyond so many bytes.
    pub(super) fn set_room(&self, room: Option<usize>) {
        self.with(|state| state.room = room);
    }

    pub(super) fn set_write_error(&self, number: Option<i32>) {
        self.with(|state| state.write_error = number);
    }

    /// Syncs fail, and what they should have brought to the disk is forgotten.
    pub(super) fn set_sync_error(&self, number: Option<i32>) {
        self.with(|state| state.sync_error = number);
    }

    pub(super) fn set_sync_time(&self, time: Duration) {
        self.with(|state| state.sync_takes = time);
    }

    pub(super) fn writes(&self) -> u64 {
        self.with(|state| state.writes)
    }

    pub(super) fn syncs(&self) -> u64 {
        self.with(|state| state.syncs)
    }

    /// How often the file was opened anew.
    pub(super) fn opened(&self) -> u64 {
        self.with(|state| state.opened)
    }
}

impl State {
    fn write(&mut self, bytes: &[u8], place: usize) -> io::Result<usize> {
        self.writes += 1;
        if let Some(number) = self.write_error {
            return Err(io::Error::from_raw_os_error(number));
        }
        let count = match self.room {
            Some(room) => bytes.len().min(room.saturating_sub(place)),
            None => bytes.len(),
        };
        if count == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let end = place + count;
        if self.cached.len() < end {
            self.cached.resize(end, 0);
            self.dirty.resize(end, true);
        }
        self.cached[place..end].copy_from_slice(&bytes[..count]);
        self.dirty[place..end].fill(true);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        let dirty = std::mem::take(&mut self.dirty);
        self.dirty = vec![false; self.cached.len()];
        if let Some(number) = self.sync_error {
            return Err(io::Error::from_raw_os_error(number));
        }
        self.safe.resize(self.cached.len(), 0);
        for (place, _) in dirty.iter().enumerate().filter(|(_, dirty)| **dirty) {
            self.safe[place] = self.cached[place];
        }
        Ok(())
    }
}

impl Storage for Disk {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        self.with(|state| state.write(bytes, place as usize))
    }

    fn read_at(&self, bytes: &mut [u8], place: u64) -> io::Result<()> {
        let place = place as usize;
        self.with(|state| bytes.copy_from_slice(&state.cached[place..place + bytes.len()]));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let time = self.with(|state| state.sync_takes);
        if time == Duration::ZERO {
            return self.with(State::sync);
        }
        // Only what was there at the beginning.
        let length = self.with(|state| state.cached.len());
        std::thread::sleep(time);
        self.with(|state| {
            let later = state.cached.split_off(length.min(state.cached.len()));
            state.dirty.truncate(length);
            let result = state.sync();
            state.cached.extend(later);
            state.dirty.resize(state.cached.len(), true);
            result
        })
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.with(|state| {
            state.cached.truncate(length as usize);
            state.dirty.truncate(length as usize);
            state.safe.truncate(length as usize);
        });
        Ok(())
    }

    fn reopen(&self) -> io::Result<Arc<dyn Storage>> {
        self.with(|state| state.opened += 1);
        Ok(Arc::new(self.clone()))
    }

    fn replace(&self, _: &Path, _: Range<u64>) -> io::Result<(Arc<dyn Storage>, u64)> {
        Err(io::Error::from_raw_os_error(EIO))
    }
}
