//! DEBUG PROTOCOL: one reply of each type, for the tests of client libraries.

use super::context::Context;
use super::refusal::Refusal;
use super::row::Outcome;
use crate::resp::Protocol;

/// Redis's number with a fraction.
#[expect(clippy::approx_constant, reason = "it is what Redis sends, to the digit")]
const DOUBLE: f64 = 3.141;

/// Writes a value of the type that a client names. The values are Redis's.
pub(super) fn reply<'a>(context: &mut Context<'_>, kind: &[u8]) -> Outcome<'a> {
    let out = &mut *context.out;
    let is_resp3 = out.protocol == Protocol::Resp3;
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => out.bulk(b"Hello World"),
        b"integer" => out.integer(12345),
        b"double" => out.double(DOUBLE),
        b"bignum" => out.big_number("1234567999999999999999999999999999999"),
        b"null" => out.null(),
        b"array" => {
            out.array(3);
            (0..3).for_each(|number| out.integer(number));
        }
        b"set" => {
            out.set(3);
            (0..3).for_each(|number| out.integer(number));
        }
        b"map" => {
            out.map(3);
            for number in 0..3 {
                out.integer(number);
                out.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                out.attribute(1);
                out.bulk(b"key-popularity");
                out.array(2);
                out.bulk(b"key:123");
                out.integer(90);
            }
            out.bulk(b"Some real reply following the attribute");
        }
        b"push" if !is_resp3 => {
            return Err(Refusal::Text("ERR RESP2 is not supported by this command"));
        }
        b"push" => {
            out.push(2);
            out.bulk(b"server-cpu-usage");
            out.integer(42);
            out.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => out.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => out.boolean(true),
        b"false" => out.boolean(false),
        _ => {
            return Err(Refusal::Text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
