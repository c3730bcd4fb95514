//! Replies in RESP2 and RESP3.
//!
//! RESP3 has types that RESP2 lacks; each method says what a RESP2 client gets instead, which is
//! what Redis sends it.

use bytes::Bytes;

use super::output::ReplyBuffer;

/// The version of the protocol that a connection speaks; `HELLO` changes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// What every connection speaks at first.
    #[default]
    Resp2,
    /// Adds maps, sets, doubles, booleans, a null of its own and pushes.
    Resp3,
}

impl Protocol {
    /// The number that HELLO gives it.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

impl ReplyBuffer {
    /// A status such as `+OK`. The text must not hold line breaks: it is the server's own.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.bytes.push(b'+');
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// An error. `text` is all of it with its code, `"ERR no such key"`. As in Redis, line breaks
    /// at either end are dropped and others become spaces.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// [`ReplyBuffer::error`] for a text that quotes a client's bytes.
    pub fn error_bytes(&mut self, text: &[u8]) {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = text.iter().position(|byte| !is_break(byte)).unwrap_or(text.len());
        let end = text.iter().rposition(|byte| !is_break(byte)).map_or(start, |last| last + 1);
        let line = text[start..end].iter();
        self.bytes.push(b'-');
        self.bytes.extend(line.map(|byte| if is_break(byte) { b' ' } else { *byte }));
        self.raw(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        if (0..10).contains(&value) {
            self.raw(&[b':', b'0' + value as u8, b'\r', b'\n']);
        } else {
            self.bytes.push(b':');
            self.raw(itoa::Buffer::new().format(value).as_bytes());
            self.raw(b"\r\n");
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        // One check of the capacity for header, value and line end.
        self.bytes.reserve(value.len() + MAX_HEADER + 2);
        self.header(b'$', value.len());
        self.raw(value);
        self.raw(b"\r\n");
    }

    /// A bulk string of the number's decimal digits.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A bulk string whose buffer is passed on to the socket without a copy. Worth it from some
    /// kilobytes on.
    pub fn bulk_large(&mut self, value: Bytes) {
        self.header(b'$', value.len());
        self.splice(value);
        self.raw(b"\r\n");
    }

    /// No value; in RESP2 the null bulk string.
    #[inline]
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"$-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// No aggregate; in RESP2 the null array.
    pub fn null_array(&mut self) {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The start of an array of `length` replies.
    #[inline]
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    /// The start of a map of `pairs` keys, each followed by its value; in RESP2 an array of twice
    /// as many replies.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', 2 * pairs),
            Protocol::Resp3 => self.header(b'%', pairs),
        }
    }

    /// The start of a set of `length` replies; in RESP2 an array.
    pub fn set(&mut self, length: usize) {
        self.aggregate(b'~', length);
    }

    /// The start of an out-of-band message of `length` replies; in RESP2 an array.
    pub fn push(&mut self, length: usize) {
        self.aggregate(b'>', length);
    }

    /// The start of `pairs` names with values that describe the reply that follows. RESP3 only.
    pub fn attribute(&mut self, pairs: usize) {
        debug_assert_eq!(self.protocol, Protocol::Resp3);
        self.header(b'|', pairs);
    }

    /// A floating-point number with 17 significant digits, as C's `%.17g` writes it; in RESP2 a
    /// bulk string.
    pub fn double(&mut self, value: f64) {
        let text = format_double(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// A truth value; in RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.raw(match (self.protocol, value) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// Text for people. `format` is three letters, `"txt"` or `"mkd"`; RESP2 has no place for it
    /// and gets a bulk string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', format.len() + 1 + text.len());
                self.raw(format.as_bytes());
                self.bytes.push(b':');
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    /// An integer of any size, given in decimal digits; in RESP2 a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    fn aggregate(&mut self, resp3: u8, length: usize) {
        let mark = match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => resp3,
        };
        self.header(mark, length);
    }

    fn line(&mut self, mark: u8, text: &[u8]) {
        self.bytes.push(mark);
        self.raw(text);
        self.raw(b"\r\n");
    }

    /// A header line such as `$32`. One and two digits, nearly all there are, need no formatter.
    #[inline]
    fn header(&mut self, mark: u8, number: usize) {
        if number < 10 {
            self.raw(&[mark, b'0' + number as u8, b'\r', b'\n']);
        } else if number < 100 {
            let (tens, ones) = ((number / 10) as u8, (number % 10) as u8);
            self.raw(&[mark, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        } else {
            self.line(mark, itoa::Buffer::new().format(number).as_bytes());
        }
    }
}

/// Bytes of the longest header line: mark, twenty digits, line end.
const MAX_HEADER: usize = 23;

/// Significant digits that tell any two doubles apart.
const DOUBLE_DIGITS: usize = 17;

/// C's `%.17g`.
fn format_double(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // "d.dddde±x", correctly rounded to 17 digits.
    let scientific = format!("{value:.*e}", DOUBLE_DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DOUBLE_DIGITS as i32).contains(&exponent) {
        let decimals = (DOUBLE_DIGITS as i32 - 1 - exponent) as usize;
        return trim_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.unsigned_abs())
}

/// Drops the zeros at the end of a fraction, and its point when nothing is left of it.
fn trim_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(encode: impl Fn(&mut ReplyBuffer)) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut out = ReplyBuffer::new();
            out.protocol = protocol;
            encode(&mut out);
            out.chunks().map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect()
        })
    }

    fn same(encode: impl Fn(&mut ReplyBuffer)) -> String {
        let [resp2, resp3] = both(encode);
        assert_eq!(resp2, resp3);
        resp2
    }

    #[test]
    fn both_protocols_share_the_plain_types() {
        assert_eq!(same(|out| out.simple("PONG")), "+PONG\r\n");
        assert_eq!(same(ReplyBuffer::ok), "+OK\r\n");
        assert_eq!(same(|out| out.error("ERR no")), "-ERR no\r\n");
        assert_eq!(same(|out| out.bulk(b"")), "$0\r\n\r\n");
        assert_eq!(same(|out| out.bulk_integer(i64::MIN)), "$20\r\n-9223372036854775808\r\n");
        assert_eq!(same(|out| out.bulk_large(Bytes::from_static(b"abc"))), "$3\r\nabc\r\n");
        assert_eq!(same(|out| out.array(123)), "*123\r\n");
    }

    #[test]
    fn resp2_gets_a_substitute_for_each_type_of_resp3() {
        assert_eq!(both(ReplyBuffer::null), ["$-1\r\n", "_\r\n"]);
        assert_eq!(both(ReplyBuffer::null_array), ["*-1\r\n", "_\r\n"]);
        assert_eq!(both(|out| out.map(7)), ["*14\r\n", "%7\r\n"]);
        assert_eq!(both(|out| out.set(12)), ["*12\r\n", "~12\r\n"]);
        assert_eq!(both(|out| out.push(3)), ["*3\r\n", ">3\r\n"]);
        assert_eq!(both(|out| out.boolean(true)), [":1\r\n", "#t\r\n"]);
        assert_eq!(both(|out| out.boolean(false)), [":0\r\n", "#f\r\n"]);
        assert_eq!(both(|out| out.double(3.5)), ["$3\r\n3.5\r\n", ",3.5\r\n"]);
        assert_eq!(both(|out| out.big_number("-12")), ["$3\r\n-12\r\n", "(-12\r\n"]);
        let verbatim = both(|out| out.verbatim("txt", b"some text"));
        assert_eq!(verbatim, ["$9\r\nsome text\r\n", "=13\r\ntxt:some text\r\n"]);
    }

    #[test]
    fn numbers_of_every_width_are_written_in_full() {
        let powers = (0..19).map(|power| 10_i64.pow(power));
        let around = powers.flat_map(|power| [power - 1, power, power + 1, -power]);
        for value in around.chain([i64::MIN, i64::MAX]) {
            assert_eq!(same(|out| out.integer(value)), format!(":{value}\r\n"));
        }
        for length in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 65_536] {
            let text = "x".repeat(length);
            let expected = format!("${length}\r\n{text}\r\n");
            assert_eq!(same(|out| out.bulk(text.as_bytes())), expected);
        }
    }

    #[test]
    fn an_error_stays_on_one_line() {
        assert_eq!(same(|out| out.error("\r\nERR a\r\nb\nc\r\n")), "-ERR a  b c\r\n");
        assert_eq!(same(|out| out.error("\n")), "-\r\n");
    }

    #[test]
    fn doubles_are_written_as_redis_7_0_does() {
        let observed = [
            (0.1, "0.10000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789_012_345_678.0, "1.2345678901234568e+17"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (3.5, "3.5"),
            (0.0, "0"),
            (-0.0, "-0"),
            (-2.5e300, "-2.5000000000000001e+300"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (100.0, "100"),
        ];
        for (value, text) in observed {
            assert_eq!(format_double(value), text);
        }
    }
}
