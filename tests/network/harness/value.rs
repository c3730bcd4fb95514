//! Replies as trees of values, in both protocols.

/// One reply, or one element of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// What is written on one line, with the name of its type: a simple string, an error, a
    /// number, a boolean, a null.
    Line(&'static str, String),
    /// A bulk or verbatim string.
    Text(&'static str, Vec<u8>),
    /// An array, a set, a push.
    List(&'static str, Vec<Value>),
    /// Pairs.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// Reads a whole reply, which has come as it should.
    pub(crate) fn parse(reply: &[u8]) -> Value {
        let mut rest = reply;
        let value = Value::take(&mut rest);
        assert!(rest.is_empty(), "more than one reply in {}", super::show(reply));
        value
    }

    fn take(rest: &mut &[u8]) -> Value {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line");
        let (kind, line) = (rest[0], String::from_utf8_lossy(&rest[1..end]).into_owned());
        *rest = &rest[end + 2..];
        match kind {
            b'+' => Value::Line("simple string", line),
            b'-' => Value::Line("error", line),
            b':' => Value::Line("integer", line),
            b'_' => Value::Line("null", line),
            b',' => Value::Line("double", line),
            b'#' => Value::Line("boolean", line),
            b'(' => Value::Line("big number", line),
            b'$' | b'=' => Value::take_text(kind, &line, rest),
            b'*' if line == "-1" => Value::Line("null array", line),
            _ => Value::take_elements(kind, line.parse().expect("a count"), rest),
        }
    }

    fn take_text(kind: u8, length: &str, rest: &mut &[u8]) -> Value {
        let Ok(length) = length.parse::<usize>() else {
            return Value::Line("null", length.to_owned());
        };
        let text = rest[..length].to_vec();
        *rest = &rest[length + 2..];
        Value::Text(if kind == b'$' { "bulk string" } else { "verbatim string" }, text)
    }

    fn take_elements(kind: u8, count: usize, rest: &mut &[u8]) -> Value {
        if kind == b'%' {
            return Value::Map(
                (0..count).map(|_| (Value::take(rest), Value::take(rest))).collect(),
            );
        }
        let name = match kind {
            b'*' => "array",
            b'~' => "set",
            b'>' => "push",
            _ => panic!("no reply begins with '{}'", char::from(kind)),
        };
        Value::List(name, (0..count).map(|_| Value::take(rest)).collect())
    }

    /// Its text, when it is a string, an error or a number.
    pub(crate) fn text(&self) -> String {
        match self {
            Value::Line(_, text) => text.clone(),
            Value::Text(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// Its elements, when it is an array, a set or a push.
    pub(crate) fn elements(&self) -> &[Value] {
        match self {
            Value::List(_, elements) => elements,
            other => panic!("no elements: {other:?}"),
        }
    }

    /// What a map has under a name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let Value::Map(pairs) = self else { panic!("no map: {self:?}") };
        pairs.iter().find(|(key, _)| key.text() == name).map(|(_, value)| value)
    }
}
