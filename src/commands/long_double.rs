//! The arithmetic of INCRBYFLOAT: the x87 80-bit extended precision format, which is the C
//! `long double` of Redis on x86-64. It has a sign, 15 bits of exponent and 64 bits of mantissa;
//! every step rounds once, to the nearest, ties to even.
//!
//! Sources: C11's `strtold` for what a number looks like, `printf("%.17Lf")` for how it is shown,
//! and the replies of Redis 7.0 for what it refuses of either.

use std::borrow::Cow;

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round, Status};

/// Bytes from which on a text is no number, as in Redis (`MAX_LONG_DOUBLE_CHARS`).
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// Decimals that are shown.
const DECIMALS: usize = 17;

/// One, in units of the last decimal.
const ONE: u128 = 10_u128.pow(DECIMALS as u32);

/// The power of two of the mantissa's lowest bit when the exponent field is 0: the bias, 16383,
/// and the 63 bits below the leading one. A field of 1 means the same power.
const LOWEST_POWER: i32 = -16_383 - 63;

/// A number, or an infinity.
#[derive(Clone, Copy)]
pub(super) struct LongDouble(X87DoubleExtended);

impl From<i64> for LongDouble {
    /// Exact: the mantissa holds every `i64`.
    fn from(integer: i64) -> LongDouble {
        LongDouble(X87DoubleExtended::from_i128(integer.into()).value)
    }
}

impl LongDouble {
    /// Reads a decimal or hexadecimal number or an infinity. `None` for what Redis calls "not a
    /// valid float": bytes before or after the number, a NaN, a number beyond the range, and one
    /// that is not zero but rounds to it.
    pub(super) fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, magnitude) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let value = match is_infinity(magnitude) {
            true => X87DoubleExtended::INFINITY,
            false => parse_magnitude(magnitude)?,
        };
        Some(LongDouble(if negative { -value } else { value }))
    }

    /// The sum. `None` when it is an infinity or no number.
    pub(super) fn add(self, other: LongDouble) -> Option<LongDouble> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(LongDouble(sum))
    }

    /// Decimal digits: rounded to 17 decimals, without zeros at their end, never with an exponent.
    /// At most 4934 bytes. The number must not be an infinity, which no sum is.
    pub(super) fn format(self) -> String {
        let bits = self.0.to_bits();
        let mantissa = u128::from(bits as u64);
        let exponent = (bits >> 64) as i32 & 0x7fff;
        let power = LOWEST_POWER + exponent.max(1);
        let magnitude = match u32::try_from(power) {
            Ok(power) => format_integer(mantissa as u64, power),
            Err(_) => format_decimals(mantissa, power.unsigned_abs()),
        };
        match self.0.is_negative() && magnitude != "0" {
            true => format!("-{magnitude}"),
            false => magnitude,
        }
    }
}

fn is_infinity(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity")
}

/// A number without a sign.
fn parse_magnitude(text: &[u8]) -> Option<X87DoubleExtended> {
    let text = Cow::Borrowed(std::str::from_utf8(text).ok()?);
    let text = match shape(text.as_bytes())? {
        // The parser of hexadecimal numbers insists on an exponent.
        Shape::HexWithoutExponent => Cow::Owned(format!("{text}p0")),
        Shape::Other => text,
    };
    let parsed = X87DoubleExtended::from_str_r(&text, Round::NearestTiesToEven).ok()?;
    let rounded_to_zero = parsed.value.is_zero() && parsed.status != Status::OK;
    (parsed.value.is_finite() && !rounded_to_zero).then_some(parsed.value)
}

/// What the number parser has to know of a number's form.
enum Shape {
    HexWithoutExponent,
    Other,
}

/// The shape of a number without a sign; `None` if it is none. C11, 7.22.1.3: digits with at most
/// one point, at least one of them, and perhaps an exponent, which has digits too.
fn shape(text: &[u8]) -> Option<Shape> {
    let (hex, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let is_digit = |byte: &u8| if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let after_digits = |text: &[u8]| text.iter().take_while(|byte| is_digit(byte)).count();
    let whole = after_digits(digits);
    let (fraction, rest) = match &digits[whole..] {
        [b'.', rest @ ..] => (after_digits(rest), &rest[after_digits(rest)..]),
        rest => (0, rest),
    };
    if whole + fraction == 0 {
        return None;
    }
    let exponent = match (rest, hex) {
        ([], true) => return Some(Shape::HexWithoutExponent),
        ([], false) => return Some(Shape::Other),
        ([b'p' | b'P', exponent @ ..], true) | ([b'e' | b'E', exponent @ ..], false) => exponent,
        _ => return None,
    };
    let exponent = match exponent {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    let has_digits = !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit);
    has_digits.then_some(Shape::Other)
}

/// The digits of `mantissa` / 2^`halvings`, rounded to [`DECIMALS`] decimals.
fn format_decimals(mantissa: u128, halvings: u32) -> String {
    // Fits: 64 bits times 57 bits.
    let scaled = mantissa * ONE;
    let rounded = match halvings {
        0..=127 => {
            let (floor, rest) = (scaled >> halvings, scaled & ((1 << halvings) - 1));
            let half = (1 << halvings) >> 1;
            let up = rest > half || (rest == half && floor % 2 == 1);
            floor + u128::from(up)
        }
        // Far less than half a unit.
        _ => 0,
    };
    let mut text = format!("{}.{:0DECIMALS$}", rounded / ONE, rounded % ONE);
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    text
}

/// The digits of `mantissa` * 2^`doublings`.
fn format_integer(mantissa: u64, doublings: u32) -> String {
    /// Base of the limbs. A limb shifted by [`STEP`] bits fits 64 bits, with the carry.
    const BASE: u64 = 1_000_000_000;
    const STEP: u32 = 32;
    // Lowest first; a mantissa has at most 20 digits.
    let mut limbs = vec![mantissa % BASE, mantissa / BASE % BASE, mantissa / BASE / BASE];
    let mut left = doublings;
    while left > 0 {
        let step = left.min(STEP);
        let mut carry = 0;
        for limb in &mut limbs {
            let shifted = (*limb << step) + carry;
            *limb = shifted % BASE;
            carry = shifted / BASE;
        }
        while carry > 0 {
            limbs.push(carry % BASE);
            carry /= BASE;
        }
        left -= step;
    }
    let digits: String = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    let text = digits.trim_start_matches('0');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::LongDouble;

    /// What INCRBYFLOAT replies to `number` + `increment`.
    fn sum(number: &str, increment: &str) -> Result<String, &'static str> {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).ok_or("no float");
        let sum = parse(number)?.add(parse(increment)?);
        sum.map(LongDouble::format).ok_or("infinite")
    }

    #[test]
    fn sums_are_those_of_redis() {
        let cases = [
            (
                "48749089533.9830535581408",
                "600.5638754845833194851",
                "48749090134.54692904278635979",
            ),
            ("80471551.2258364e+22", "24593396229085147911", "804715512282957396189640654848"),
            ("956.8790e+16", "7469.", "9568790000000007469"),
            ("-5342320.40561573871107321876", "4872831539E+16", "48728315389999999996657664"),
            (
                "+8534395711304310.909056652924",
                "5589432428.29962e-1",
                "8534396270247553.7392578125",
            ),
            ("14442097200639706024", "-12117900284034562465740031", "-12117885841937361825431552"),
            ("+.54932142618", "124.", "124.54932142618"),
            ("-8945.6389", "-935978750", "-935987695.6389000000199303"),
            ("0x9b1039b1cFbEfDb", "0xcDDB47", "698343381973715746"),
            ("-0xFB92cf43dF91bAe", "-05478537012.712e9", "-6611523221495768494"),
            ("-4862E-19", "-4196638930825899.918087763", "-4196638930825899.91796875"),
            ("22582570451061.9", "234009955535E-4656", "22582570451061.89999961853027344"),
            ("-558.3195", "67288483389628157870", "67288483389628157312"),
            ("-95840.1352752348245", "16450939655252891000", "16450939655252795160"),
            ("0x9aADbcE4B3F26C2F.dfca89P4", "-51.64", "178332357492310721232"),
            ("751.9", "-43e18", "-42999999999999999248"),
            ("0x60.d2529", "-82244778.", "-82244681.17842769622802734"),
            ("-817232E-1", "-061.3010615492275671051", "-81784.50106154922757185"),
            ("25296327641568161372", "-972.6", "25296327641568160400"),
            ("833630634037865934135541.022633666132012e-4927", "95479524227E3", "95479524227000"),
            ("51234384061.50860751", "1995.48033299716803", "51234386056.98894050717353821"),
            ("+32524716484771418.31229774918", "+0.9", "32524716484771419.212890625"),
            ("-804484056976.1967", "4111828640830.1", "3307344583853.90329980850219727"),
            (
                "0x515BD0d92939C871A6c4P4",
                "30515915435477.020519926146",
                "6147286206880225027424256",
            ),
            ("1007.", "-54132923.198", "-54131916.19800000000032014"),
            ("-251418.8942296399986700", "-779765613.168", "-780017032.06222964002517983"),
            (
                "96218777596.507812",
                "-170282284437.6170924132930458212",
                "-74063506841.10928041487932205",
            ),
            ("+0.539", "+0x5F9.a1ed686f24d96", "1530.1715288077685847"),
            ("25084124506812827067", "+92117258187e+7", "26005297088682827068"),
            ("8420.3485", "+9.96", "8430.30849999999999955"),
            ("-0x41EA3E72E43EfP0", "+433997650856560016386104", "433997649696970802462720"),
            ("+462275909824550846553e5", "+33.5159036177523400550", "46227590982455084655312896"),
            ("936006043.2", "+7540.903655091754188217309893e-4944", "936006043.20000000001164153"),
            ("+.144921116330", "+35.7074071531100898950000001", "35.85232826944008989"),
            ("+45865450382E14", "8.4", "4586545038200000000032768"),
            ("-4.2621966878471494551", "26.1", "21.83780331215285055"),
            ("+5408402131628", "+48.730", "5408402131676.73000001907348633"),
            (
                "-20908037127755483582",
                "68489823988226159893541899393",
                "68489823967318122763743395840",
            ),
            ("26141791073587e+5", "-.275711737747897078", "2614179107358699999.75"),
            ("+50332111402.45793996674597", "8048206523258141998", "8048206573590253400.5"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("3", "1.1", "4.1"),
        ];
        for (number, increment, expected) in cases {
            assert_eq!(sum(number, increment).as_deref(), Ok(expected), "{number} + {increment}");
        }
    }

    #[test]
    fn texts_are_numbers_as_in_redis() {
        for (text, expected) in [
            ("0x10", "16"),
            ("0x.8", "0.5"),
            ("0x1.", "1"),
            ("0x1.8p3", "12"),
            ("0X1P-3", "0.125"),
            ("0x1p+3", "8"),
            ("0x1e5", "485"),
            ("0x1.ffffffffffffffff8p0", "2"),
            ("0x0p99999999999999999999", "0"),
            ("0x1p-16445", "0"),
            ("3e-4951", "0"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+5", "5"),
            ("-5", "-5"),
            ("1e+2", "100"),
            ("1E2", "100"),
            ("1.e5", "100000"),
            ("1e-2", "0.01"),
            ("1e0001", "10"),
            ("0e999999999999999999999", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("-1e-30", "0"),
            ("9223372036854775807", "9223372036854775807"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551617", "18446744073709551616"),
            ("0.00000000000000001", "0.00000000000000001"),
            ("0.000000000000000005", "0"),
            ("0.000000000000000015", "0.00000000000000002"),
            ("1e20", "100000000000000000000"),
            ("1e30", "1000000000000000000024696061952"),
        ] {
            assert_eq!(sum("0", text).as_deref(), Ok(expected), "{text}");
        }
        let long = format!("0.{}", "3".repeat(300));
        assert_eq!(sum("0", &long).as_deref(), Ok("0.33333333333333333"));
        let longest = format!("{}1", "0".repeat(5_118));
        assert_eq!(sum("0", &longest).as_deref(), Ok("1"));
        let far_point = format!("0.{}1e5001", "0".repeat(5_000));
        assert_eq!(sum("0", &far_point).as_deref(), Ok("1"));
        let largest = sum("0", "1.18973149535723176502e4932").expect("a number");
        assert_eq!((largest.len(), &largest[..24]), (4933, "118973149535723176502126"));
    }

    #[test]
    fn texts_are_refused_as_in_redis() {
        for text in [
            "",
            " 1",
            "1 ",
            "\t1",
            ".",
            "-",
            "+-5",
            "--1",
            "e5",
            ".e5",
            "1e",
            "1e+",
            "1.5e3.2",
            "0x",
            "0x.",
            "0x1p",
            "0x.p1",
            "0b1",
            "1f",
            "1L",
            "1_0",
            "1,5",
            "1\0",
            "1\x002",
            "infinit",
            "nan",
            "-nan",
            "nan(1)",
            "1e5000",
            "1e-5000",
            "1e-4951",
            "1.18973149535723176508e4932",
            "1e999999999999999999999",
            "1e-99999999999999999999",
            "0x1p16384",
            "0x1p-16446",
            "\u{661}",
        ] {
            assert_eq!(sum("0", text), Err("no float"), "{text:?}");
        }
        assert_eq!(sum("0", &format!("{}1", "0".repeat(5_119))), Err("no float"));
        assert_eq!(sum("0", &format!("1{}", "0".repeat(5_000))), Err("no float"));
        assert!(LongDouble::parse(b"1\xff").is_none());
    }

    #[test]
    fn sums_beyond_the_range_are_refused() {
        for (number, increment) in [
            ("0", "inf"),
            ("3", "-INF"),
            ("inf", "-Infinity"),
            ("1.1e4932", "1.1e4932"),
            ("-1.1e4932", "-1.1e4932"),
        ] {
            assert_eq!(sum(number, increment), Err("infinite"), "{number} + {increment}");
        }
    }

    #[test]
    fn integers_are_exact() {
        for integer in [0, 1, -1, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN] {
            assert_eq!(LongDouble::from(integer).format(), integer.to_string());
        }
    }
}
