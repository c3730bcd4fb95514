//! FLUSH among writers: each thread writes one key, so it knows that a value once gone stays gone.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

const ROUNDS: usize = 12;

const FLUSHES: Model = Model(flushes);

fn flushes() {
    let keyspace = keyspace();
    on_all(&keyspace, |number, keyspace, local| {
        let name = format!("key:{number}");
        for round in 0..ROUNDS {
            let value = format!("{number}:{round}");
            set(keyspace, local, &name, value.as_bytes());
            if (round + number) % 6 == 0 {
                keyspace.database(0).flush(&local.pin());
                assert_eq!(get(keyspace, local, &name), None, "a value survived a FLUSH");
                continue;
            }
            let mut gone = false;
            for _ in 0..2 {
                match get(keyspace, local, &name) {
                    None => gone = true,
                    Some(found) => {
                        assert!(!gone, "a flushed value came back");
                        assert_eq!(found, value.as_bytes(), "not the value written last");
                    }
                }
            }
        }
    });
}

#[test]
fn a_flushed_value_stays_gone() {
    FLUSHES.holds();
}

#[test]
#[should_panic(expected = "use after free")]
fn a_generation_freed_at_once_is_seen() {
    FLUSHES.breaks_under(Planted::FlushWithoutGrace);
}

#[test]
#[should_panic]
fn a_flush_in_two_steps_is_seen() {
    FLUSHES.breaks_under(Planted::FlushBySeparateSteps);
}
