//! What is written and what is safe, step by step.

use super::super::medium::Medium;
use super::disk::{Disk, EIO, ENOSPC};
use crate::sync::Arc;
use bytes::Bytes;

fn medium(disk: &Disk, keeps_unsynced: bool) -> Medium {
    Medium::new(Arc::new(disk.clone()), 0, keeps_unsynced)
}

fn put(medium: &mut Medium, bytes: &[u8]) {
    medium.output().open().extend_from_slice(bytes);
    medium.output().command_ended();
}

#[test]
fn what_is_written_is_readable_and_what_is_synced_is_safe() {
    let disk = Disk::default();
    let mut medium = medium(&disk, true);
    put(&mut medium, b"one,");
    assert_eq!((medium.unwritten(), medium.unsynced()), (4, 4));
    medium.write().unwrap();
    assert_eq!((medium.unwritten(), medium.unsynced()), (0, 4));
    assert_eq!((disk.cached(), disk.safe()), (b"one,".to_vec(), vec![]));
    medium.sync().unwrap();
    assert_eq!(medium.unsynced(), 0);
    assert_eq!(disk.safe(), b"one,");
    assert_eq!(medium.kept(), 0);
}

#[test]
fn a_short_write_is_cut_back_to_the_last_whole_command_and_goes_on_later() {
    let disk = Disk::default();
    let mut medium = medium(&disk, false);
    put(&mut medium, b"one,");
    medium.write().unwrap();
    disk.set_room(Some(6));
    put(&mut medium, b"two,three,");
    assert_eq!(medium.write().unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(disk.cached(), b"one,");
    assert_eq!(medium.unwritten(), 10);
    assert_eq!(medium.recover().unwrap_err().raw_os_error(), Some(ENOSPC));
    put(&mut medium, b"four,");
    disk.set_room(None);
    medium.recover().unwrap();
    assert_eq!(disk.cached(), b"one,two,three,four,");
    assert_eq!(disk.opened(), 0, "a write that fails is no reason to open the file anew");
}

#[test]
fn a_short_write_inside_a_command_of_several_pieces_is_cut_back_to_its_start() {
    let disk = Disk::default();
    let mut medium = medium(&disk, true);
    put(&mut medium, b"one,");
    medium.write().unwrap();
    medium.sync().unwrap();
    medium.output().open().extend_from_slice(b"head:");
    medium.output().splice(Bytes::from_static(b"large"));
    medium.output().open().extend_from_slice(b":end,");
    medium.output().command_ended();
    for room in 5..19 {
        disk.set_room(Some(room));
        medium.write().unwrap_err();
        assert_eq!(disk.cached(), b"one,", "with room for {room}");
    }
    disk.set_room(None);
    medium.recover().unwrap();
    assert_eq!(disk.cached(), b"one,head:large:end,");
}

#[test]
fn after_a_failed_sync_everything_since_the_last_good_one_is_written_again() {
    let disk = Disk::default();
    let mut medium = medium(&disk, true);
    put(&mut medium, b"safe,");
    medium.write().unwrap();
    medium.sync().unwrap();
    put(&mut medium, b"doubtful,");
    medium.write().unwrap();
    disk.set_sync_error(Some(EIO));
    assert_eq!(medium.sync().unwrap_err().raw_os_error(), Some(EIO));
    put(&mut medium, b"new,");
    medium.recover().unwrap_err();
    medium.recover().unwrap_err();
    assert_eq!(disk.safe(), b"safe,");
    disk.set_sync_error(None);
    medium.recover().unwrap();
    assert_eq!(disk.safe(), b"safe,doubtful,new,");
    assert_eq!(disk.opened(), 3);
    assert_eq!((medium.unsynced(), medium.kept()), (0, 0));
}

#[test]
fn the_model_of_the_disk_forgets_what_a_failed_sync_should_have_saved() {
    let disk = Disk::default();
    let mut medium = medium(&disk, true);
    put(&mut medium, b"lost,");
    medium.write().unwrap();
    disk.set_sync_error(Some(EIO));
    medium.sync().unwrap_err();
    disk.set_sync_error(None);
    medium.sync().unwrap();
    assert_eq!(disk.safe(), [0; 5], "a sync that is only repeated succeeds and saves nothing");
}

#[test]
fn a_disk_that_fails_both_ways_loses_nothing() {
    let disk = Disk::default();
    let mut medium = medium(&disk, true);
    put(&mut medium, b"one,");
    medium.write().unwrap();
    disk.set_sync_error(Some(EIO));
    medium.sync().unwrap_err();
    disk.set_room(Some(2));
    put(&mut medium, b"two,");
    medium.recover().unwrap_err();
    disk.set_sync_error(None);
    medium.recover().unwrap_err();
    disk.set_room(None);
    medium.recover().unwrap();
    assert_eq!(disk.safe(), b"one,two,");
}

#[test]
fn a_sync_that_was_overtaken_by_writes_makes_only_its_own_safe() {
    let disk = Disk::default();
    let mut medium = medium(&disk, true);
    put(&mut medium, b"one,");
    medium.write().unwrap();
    let place = medium.written();
    put(&mut medium, b"two,");
    medium.write().unwrap();
    medium.sync_has_ended(place, Ok(())).unwrap();
    assert_eq!(medium.unsynced(), 4);
    assert_eq!(medium.kept(), 8, "in one piece with what is not safe");
}

#[test]
fn without_syncs_nothing_is_kept_that_is_written() {
    let disk = Disk::default();
    let mut medium = medium(&disk, true);
    put(&mut medium, b"one,");
    medium.write().unwrap();
    assert_eq!(medium.kept(), 4);
    medium.set_keeps_unsynced(false);
    assert_eq!(medium.kept(), 0);
    put(&mut medium, b"two,");
    medium.write().unwrap();
    assert_eq!(medium.kept(), 0);
    assert_eq!(disk.cached(), b"one,two,");
}

#[test]
fn without_syncs_what_a_failed_one_has_lost_is_read_back() {
    let disk = Disk::default();
    let mut medium = medium(&disk, false);
    put(&mut medium, b"one,");
    medium.write().unwrap();
    disk.set_sync_error(Some(EIO));
    medium.sync().unwrap_err();
    disk.set_sync_error(None);
    put(&mut medium, b"two,");
    medium.recover().unwrap();
    assert_eq!(disk.safe(), b"one,two,");
}
