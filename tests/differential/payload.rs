//! Payloads for RESTORE: those that redis-server gave to DUMP, and faulty variants of them.
//!
//! A payload is the value as in an RDB file, two bytes of version, and eight bytes of CRC-64 over
//! all that precedes them, both little-endian.

use fastrand::Rng;

const CHECKSUM_BYTES: usize = 8;
const VERSION_BYTES: usize = 2;

/// Payloads that the servers must agree on without having produced them: `DUMP` of Redis 7.0 for
/// "value", and what no server ever produced.
pub(crate) fn fixed(random: &mut Rng) -> Vec<u8> {
    match random.u32(..6) {
        0 => Vec::new(),
        1 => b"garbage".to_vec(),
        2 => b"123456789".to_vec(),
        3 => b"0123456789".to_vec(),
        4 => sealed(b"\0\x05value", 10),
        // An integer of 8, 16 or 32 bits, all there: what ends too early makes Redis take the
        // checksum for a part of the value, where ours says that the format is bad.
        _ => {
            let size = random.u8(..3);
            sealed(&[0, 0xc0 + size, 1, 2, 3, 4][..2 + (1 << size)], 10)
        }
    }
}

/// The payload with a fault that every server must notice, or of another version.
pub(crate) fn spoilt(random: &mut Rng, payload: &[u8]) -> Vec<u8> {
    let mut spoilt = payload.to_vec();
    let Some(body_end) = spoilt.len().checked_sub(CHECKSUM_BYTES + VERSION_BYTES) else {
        return spoilt;
    };
    match random.u32(..5) {
        // The checksum tells.
        0 => spoilt[random.usize(..payload.len())] ^= 1 << random.u32(..8),
        1 => spoilt.truncate(random.usize(..payload.len())),
        2 => spoilt.push(0),
        // The checksum is right, the version new, or old and still understood.
        3 => return sealed(&payload[..body_end], [0, 1, 6, 9, 11, 255, 0xffff][random.usize(..7)]),
        // The checksum is right and no value has this type.
        _ if body_end > 0 => {
            spoilt[0] = random.u8(100..);
            return sealed(&spoilt[..body_end], 10);
        }
        _ => {}
    }
    spoilt
}

/// A body with its version and checksum.
fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend(version.to_le_bytes());
    let checksum = crc64(&payload);
    payload.extend(checksum.to_le_bytes());
    payload
}

/// CRC-64 with Jones's polynomial, reflected, beginning with 0.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |checksum, byte| {
        (0..8).fold(checksum ^ u64::from(*byte), |checksum, _| {
            (checksum >> 1) ^ (POLYNOMIAL * (checksum & 1))
        })
    })
}

#[test]
fn the_checksum_is_that_of_redis() {
    assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
}
