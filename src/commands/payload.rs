//! The payload of DUMP and RESTORE: a value as in Redis's RDB format, with its version and a
//! checksum.
//!
//! ```text
//! type, one byte: 0, a string
//! string           a length and as many bytes, or an encoded string
//! version          two bytes, little-endian
//! checksum         CRC-64 (Redis's, reflected) of all before it; eight bytes, little-endian
//! ```
//!
//! The two highest bits of a length's first byte say how it goes on: `00`, six more bits; `01`, six
//! bits and another byte, big-endian; `10`, 0x80 and four bytes or 0x81 and eight bytes, both
//! big-endian; `11`, no length: the six bits name an encoding. Encodings 0, 1 and 2 are integers of
//! 1, 2 and 4 bytes, little-endian, in place of their decimal text; 3 is LZF: the length of the
//! compressed bytes, that of the value, the compressed bytes.
//!
//! Source: Redis 7.0 (`rdb.h`) and what its DUMP and RESTORE do. Like it, we ignore bytes after
//! the string. Unlike it, a string may not reach into the version and the checksum. We write no
//! LZF, which is a choice the format leaves open.

use std::borrow::Cow;

use crc::{CRC_64_REDIS, Crc, Table};

use crate::record::parse_canonical;

/// The version we write and the last one we read, as Redis 7.0 does.
const VERSION: u16 = 10;

/// Bytes of the version and the checksum.
const FOOTER_BYTES: usize = 2 + 8;

/// Bytes before a string at most: its type, and a length's first byte with the eight after it.
const HEADER_BYTES_MAX: usize = 1 + 9;

/// The type of a string.
const TYPE_STRING: u8 = 0;

/// First byte of a length in the next four bytes.
const LENGTH_32: u8 = 0x80;

/// First byte of a length in the next eight bytes.
const LENGTH_64: u8 = 0x81;

/// The bits of a first byte that names an encoding instead of a length.
const ENCODED: u8 = 0xc0;

const ENCODING_INT_8: u8 = 0;
const ENCODING_INT_16: u8 = 1;
const ENCODING_INT_32: u8 = 2;
const ENCODING_LZF: u8 = 3;

/// How many times longer than its LZF form a value is at most: three bytes stand for up to 264.
const LZF_RATIO_MAX: usize = 88;

/// Sixteen bytes a step: a value may have hundreds of megabytes.
static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Why a payload is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PayloadError {
    /// "ERR DUMP payload version or checksum are wrong".
    VersionOrChecksum,
    /// "ERR Bad data format". Also said of types we do not have and of values beyond the limit.
    Format,
}

/// The payload of a value. The same bytes as from Redis, unless it would compress them.
pub(super) fn encode(value: &[u8]) -> Vec<u8> {
    match parse_canonical(value).and_then(|integer| i32::try_from(integer).ok()) {
        Some(integer) => encode_small(integer),
        None => {
            let mut payload = Vec::with_capacity(HEADER_BYTES_MAX + value.len() + FOOTER_BYTES);
            payload.push(TYPE_STRING);
            write_length(&mut payload, value.len());
            payload.extend_from_slice(value);
            finish(payload)
        }
    }
}

/// The payload of the decimal text of `integer`.
pub(super) fn encode_integer(integer: i64) -> Vec<u8> {
    match i32::try_from(integer) {
        Ok(small) => encode_small(small),
        Err(_) => encode(itoa::Buffer::new().format(integer).as_bytes()),
    }
}

/// The value of a payload, which must not be longer than `value_bytes_max`.
///
/// No more is allocated than the value takes, and nothing for a length the payload cannot hold.
pub(super) fn decode(
    payload: &[u8],
    value_bytes_max: usize,
) -> Result<Cow<'_, [u8]>, PayloadError> {
    let body = verify(payload).ok_or(PayloadError::VersionOrChecksum)?;
    let value = read_value(body, value_bytes_max).ok_or(PayloadError::Format)?;
    if value.len() > value_bytes_max {
        return Err(PayloadError::Format);
    }
    Ok(value)
}

fn encode_small(integer: i32) -> Vec<u8> {
    let mut payload = vec![TYPE_STRING];
    if let Ok(byte) = i8::try_from(integer) {
        payload.push(ENCODED | ENCODING_INT_8);
        payload.extend_from_slice(&byte.to_le_bytes());
    } else if let Ok(short) = i16::try_from(integer) {
        payload.push(ENCODED | ENCODING_INT_16);
        payload.extend_from_slice(&short.to_le_bytes());
    } else {
        payload.push(ENCODED | ENCODING_INT_32);
        payload.extend_from_slice(&integer.to_le_bytes());
    }
    finish(payload)
}

fn write_length(payload: &mut Vec<u8>, length: usize) {
    match length {
        0..0x40 => payload.push(length as u8),
        0x40..0x4000 => payload.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        _ => match u32::try_from(length) {
            Ok(length) => {
                payload.push(LENGTH_32);
                payload.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                payload.push(LENGTH_64);
                payload.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
}

/// Appends the version and the checksum.
fn finish(mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = CHECKSUM.checksum(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// What is before the version and the checksum, when both are right.
fn verify(payload: &[u8]) -> Option<&[u8]> {
    let (checked, checksum) = payload.split_last_chunk()?;
    let (body, version) = checked.split_last_chunk()?;
    let known = u16::from_le_bytes(*version) <= VERSION;
    // The version first: it is cheaper.
    (known && CHECKSUM.checksum(checked) == u64::from_le_bytes(*checksum)).then_some(body)
}

fn read_value(body: &[u8], value_bytes_max: usize) -> Option<Cow<'_, [u8]>> {
    let mut input = Input(body);
    if input.byte()? != TYPE_STRING {
        return None;
    }
    let integer: i32 = match input.length()? {
        Length::Plain(length) => return input.take(length).map(Cow::Borrowed),
        Length::Encoding(ENCODING_LZF) => {
            return read_lzf(&mut input, value_bytes_max).map(Cow::Owned);
        }
        Length::Encoding(ENCODING_INT_8) => i8::from_le_bytes(input.array()?).into(),
        Length::Encoding(ENCODING_INT_16) => i16::from_le_bytes(input.array()?).into(),
        Length::Encoding(ENCODING_INT_32) => i32::from_le_bytes(input.array()?),
        Length::Encoding(_) => return None,
    };
    Some(Cow::Owned(itoa::Buffer::new().format(integer).as_bytes().to_vec()))
}

fn read_lzf(input: &mut Input<'_>, value_bytes_max: usize) -> Option<Vec<u8>> {
    let compressed_length = input.length()?.number();
    let length = usize::try_from(input.length()?.number()).ok()?;
    let compressed = input.take(compressed_length)?;
    if length == 0 {
        // For Redis this is right whatever the compressed bytes are.
        return Some(Vec::new());
    }
    if length > value_bytes_max || length > compressed.len().saturating_mul(LZF_RATIO_MAX) {
        return None;
    }
    decompress(compressed, length)
}

/// Decompresses LZF to exactly `length` bytes.
///
/// The input is a row of runs. A first byte below 32 is one less than the number of bytes that
/// follow it to be copied. Else it begins a repetition of earlier output: its three high bits are
/// the number of bytes less 2, to which the next byte is added when they are 7; its five low bits
/// and the next byte are one less than the distance back.
fn decompress(compressed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    output.try_reserve_exact(length).ok()?;
    let mut input = Input(compressed);
    while let Some(control) = input.byte() {
        let run = usize::from(control >> 5);
        let count = match run {
            0 => usize::from(control) + 1,
            7 => 9 + usize::from(input.byte()?),
            _ => run + 2,
        };
        if count > length - output.len() {
            return None;
        }
        if run == 0 {
            output.extend_from_slice(input.take(count as u64)?);
        } else {
            let back = usize::from(control & 0x1f) << 8 | usize::from(input.byte()?);
            repeat(&mut output, back + 1, count)?;
        }
    }
    (output.len() == length).then_some(output)
}

/// Appends `count` bytes that repeat those `distance` back; the two may overlap.
fn repeat(output: &mut Vec<u8>, distance: usize, count: usize) -> Option<()> {
    let start = output.len().checked_sub(distance)?;
    if distance >= count {
        output.extend_from_within(start..start + count);
    } else {
        for index in start..start + count {
            output.push(output[index]);
        }
    }
    Some(())
}

/// What a length's bytes say.
enum Length {
    /// So many bytes.
    Plain(u64),
    /// Something else, in this encoding.
    Encoding(u8),
}

impl Length {
    /// The number where no encoding can stand: Redis takes the six bits as a length there.
    fn number(self) -> u64 {
        match self {
            Length::Plain(length) => length,
            Length::Encoding(bits) => bits.into(),
        }
    }
}

/// Bytes not yet read. Reading beyond their end gives `None`.
struct Input<'p>(&'p [u8]);

impl<'p> Input<'p> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: u64) -> Option<&'p [u8]> {
        let (first, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(first)
    }

    fn length(&mut self) -> Option<Length> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Some(match first {
            0..0x40 => Length::Plain(low.into()),
            0x40..0x80 => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            LENGTH_32 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            LENGTH_64 => Length::Plain(u64::from_be_bytes(self.array()?)),
            ENCODED.. => Length::Encoding(low),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LIMIT_BYTES: usize = 1 << 20;

    /// A payload around a type and a string.
    fn framed(body: &[u8]) -> Vec<u8> {
        finish(body.to_vec())
    }

    fn owned(payload: &[u8], value_bytes_max: usize) -> Result<Vec<u8>, PayloadError> {
        decode(payload, value_bytes_max).map(Cow::into_owned)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn payloads_are_those_of_redis() {
        for (value, expected) in [
            ("", "00000a005d9b5c400f7fa2da"),
            ("a", "0001610a00bffeef9b8f367db4"),
            ("0", "00c0000a009840a778f8500308"),
            ("-1", "00c0ff0a000c937e2485089dc5"),
            ("127", "00c07f0a000db5eb315254c514"),
            ("128", "00c180000a00eb7ab3b510cf4b65"),
            ("-128", "00c0800a009966326d2f0c5bd9"),
            ("-129", "00c17fff0a001760822854808480"),
            ("32767", "00c1ff7f0a00495a37da17f4d52b"),
            ("32768", "00c2008000000a0045d82eedd5bda910"),
            ("-32769", "00c2ff7fffff0a00aee34c4d06c68536"),
            ("2147483647", "00c2ffffff7f0a002c74e59ee02eada1"),
            ("2147483648", "000a323134373438333634380a00e7b129a34c1d76ee"),
            ("-2147483648", "00c2000000800a00c74f873e33558187"),
            ("-2147483649", "000b2d323134373438333634390a00c261377908f2028c"),
            (
                "9223372036854775807",
                "0013393232333337323033363835343737353830370a003a657e9481e85f22",
            ),
            ("01", "000230310a006cddc441144c7da4"),
            ("+1", "00022b310a00c286f0d7439aee6f"),
            ("-0", "00022d300a00d5411fd9d6d050cc"),
            (
                "abcdefghijklmnopqrstuvwxyz",
                "001a6162636465666768696a6b6c6d6e6f707172737475767778797a0a009e1b3f34abfc5f79",
            ),
        ] {
            assert_eq!(hex(&encode(value.as_bytes())), expected, "{value}");
            if let Some(integer) = parse_canonical(value.as_bytes()) {
                assert_eq!(hex(&encode_integer(integer)), expected, "{value}");
            }
        }
    }

    #[test]
    fn compressed_payloads_of_redis_are_read() {
        let run = b"\0\xc3\x09\x40\x40\x01aa\xe0\x33\0\x01aa\x0a\0\xc3\x65\x96\x12\xce\x1c\xc4\x6c";
        assert_eq!(owned(run, LIMIT_BYTES), Ok(vec![b'a'; 64]));
        let short = b"\0\xc3\x06\x15\x01aa\xe0\x0a\0\x0a\0\xfd\x0c\xb3\x68\x07\x41\x3f\x68";
        assert_eq!(owned(short, LIMIT_BYTES), Ok(vec![b'a'; 21]));
        assert_eq!(owned(short, 21), Ok(vec![b'a'; 21]));
        assert_eq!(owned(short, 20), Err(PayloadError::Format));
    }

    #[test]
    fn strings_are_read_as_in_redis() {
        let cases: [(&[u8], &[u8]); 15] = [
            (b"\0\x01a", b"a"),
            (b"\0\x01a and more", b"a"),
            (b"\0\x40\x03abc", b"abc"),
            (b"\0\x80\0\0\0\x03abc", b"abc"),
            (b"\0\x81\0\0\0\0\0\0\0\x03abc", b"abc"),
            (b"\0\xc0\xfe", b"-2"),
            (b"\0\xc1\0\x80", b"-32768"),
            (b"\0\xc2\0\0\0\x80", b"-2147483648"),
            (b"\0\xc3\x05\x0a\x00a\xe0\x00\x00", b"aaaaaaaaaa"),
            (b"\0\xc3\x04\x03\x02abc", b"abc"),
            // Strange, but accepted.
            (b"\0\xc3\0\0", b""),
            (b"\0\xc3\x02\0\0a", b""),
            (b"\0\xc3\xc4\x03\x02abc", b"abc"),
            (b"\0\xc3\x04\xc3\x02abc", b"abc"),
            (b"\0\0", b""),
        ];
        for (body, expected) in cases {
            let value = owned(&framed(body), LIMIT_BYTES);
            assert_eq!(value.as_deref(), Ok(expected), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn bad_data_is_refused_as_in_redis() {
        let cases: [&[u8]; 22] = [
            b"",
            b"\0",
            b"\x01",
            b"\x63\x01a",
            b"\xff\x01a",
            b"\0\x40",
            b"\0\x80\0\0",
            b"\0\x81\x7f\xff\xff\xff\xff\xff\xff\xffabc",
            b"\0\x81\xff\xff\xff\xff\xff\xff\xff\xffabc",
            b"\0\x82\0\0\0\x03abc",
            b"\0\xbf\0\0\0\x03abc",
            b"\0\xc4abc",
            b"\0\xffabc",
            b"\0\xc3\x04\x02\x02abc",
            b"\0\xc3\x04\x05\x02abc",
            b"\0\xc3\0\x03",
            b"\0\xc3\x05\x05\x00a\x20\x05",
            b"\0\xc3\x03\x05\x00a\x20",
            b"\0\xc3\x03\x0a\x00a\xe0",
            b"\0\xc3\x20\x03\x02abc",
            b"\0\xc3\x04\x81\x00\x00\x00\xff\0\0\0\0\x02abc",
            // In Redis these end in the version and the checksum; we refuse them.
            b"\0\x05ab",
        ];
        for body in cases {
            let value = owned(&framed(body), LIMIT_BYTES);
            assert_eq!(value, Err(PayloadError::Format), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn versions_and_checksums_are_verified() {
        let with_version = |version: u16| {
            let mut payload = b"\0\x01a".to_vec();
            payload.extend_from_slice(&version.to_le_bytes());
            let checksum = CHECKSUM.checksum(&payload);
            payload.extend_from_slice(&checksum.to_le_bytes());
            payload
        };
        for version in [0, 1, 9, 10] {
            assert_eq!(owned(&with_version(version), 1), Ok(b"a".to_vec()));
        }
        let refused = Err(PayloadError::VersionOrChecksum);
        for version in [11, u16::MAX] {
            assert_eq!(owned(&with_version(version), 1), refused);
        }
        let payload = encode(b"a");
        for length in 0..payload.len() {
            assert_eq!(owned(&payload[..length], 1), refused);
            let mut changed = payload.clone();
            changed[length] ^= 1;
            assert_eq!(owned(&changed, 1), refused);
        }
    }

    #[test]
    fn every_form_of_length_is_written_and_read() {
        for length in [0x3f, 0x40, 0x3fff, 0x4000, 0x1_0000] {
            let value = vec![b'x'; length];
            assert_eq!(owned(&encode(&value), LIMIT_BYTES), Ok(value));
        }
        let mut long = Vec::new();
        write_length(&mut long, 0x1_0000_0000);
        assert_eq!(long, b"\x81\0\0\0\x01\0\0\0\0");
    }

    proptest! {
        #[test]
        fn values_come_back(value in vec(any::<u8>(), 0..200), integer in any::<i64>()) {
            prop_assert_eq!(owned(&encode(&value), 200), Ok(value));
            let text = integer.to_string();
            prop_assert_eq!(encode_integer(integer), encode(text.as_bytes()));
            prop_assert_eq!(owned(&encode_integer(integer), 20), Ok(text.into_bytes()));
        }

        #[test]
        fn no_payload_panics_or_exceeds_the_limit(
            start in prop::sample::select(vec![&b""[..], b"\0", b"\0\xc3", b"\0\xc3\x40"]),
            rest in vec(prop_oneof![any::<u8>(), 0_u8..40, Just(0xc3), Just(0xe0)], 0..80),
            limit_bytes in 0_usize..200,
        ) {
            let payload = framed(&[start, &rest].concat());
            if let Ok(value) = decode(&payload, limit_bytes) {
                prop_assert!(value.len() <= limit_bytes);
            }
            let _ = decode(&rest, limit_bytes);
        }

        #[test]
        fn broken_lzf_does_not_panic(bytes in vec(any::<u8>(), 0..80), length in 1_usize..300) {
            if let Some(output) = decompress(&bytes, length) {
                prop_assert_eq!(output.len(), length);
            }
        }
    }
}
