//! Error replies: every reason to refuse a command, and its text.
//!
//! The texts are Redis 7.0's to the byte, since clients and tests match on them. They quote what
//! the client sent, which may be any bytes: line breaks become spaces when the reply is encoded.

use std::borrow::Cow;

use super::row::Row;
use crate::resp::Args;
use crate::sync::Arc;

/// Bytes of a client's text that a reply quotes at most, as in Redis.
const QUOTE_MAX: usize = 128;

/// Why a command was refused.
pub(super) enum Refusal<'a> {
    /// There is no such command.
    UnknownCommand(Args<'a>),
    /// The container command has no such subcommand.
    UnknownSubcommand {
        /// The container, in lower case.
        container: &'static str,
        /// What was asked for.
        name: &'a [u8],
    },
    /// The container command's subcommand cannot do with so many arguments.
    SubcommandSyntax {
        /// The container.
        container: &'static str,
        /// The subcommand, as it was given.
        name: &'a [u8],
    },
    /// LATENCY GRAPH: there was no such event.
    NoSamples(&'a [u8]),
    /// Too few or too many arguments.
    WrongArity {
        /// The container command, when it is about a subcommand.
        container: Option<&'static str>,
        /// The command or subcommand.
        name: &'static str,
    },
    /// Arguments that do not fit together.
    Syntax,
    /// Not a decimal integer of 64 bits: an argument or a stored value.
    NotAnInteger,
    /// An integer argument out of the range for it.
    NotWithin(i64, i64),
    /// The sum is outside 64 bits.
    Overflow,
    /// The negated amount is outside 64 bits.
    DecrementOverflow,
    /// The value would be longer than a value can be.
    ValueTooLong,
    /// EXPIRE and its like: an option they do not have.
    ExpireOption(&'a [u8]),
    /// A time to expire that is not positive, or outside 64 bits; with the command's name.
    ExpireTime(&'static str),
    /// An offset below zero.
    OffsetOutOfRange,
    /// The key to work on does not exist.
    NoSuchKey,
    /// Source and destination are the same.
    SameObject,
    /// Not the number of a bit that a value may have.
    BitOffset,
    /// SETBIT: neither 0 nor 1.
    NotABit,
    /// BITPOS: a number, but neither 0 nor 1.
    BitArgument,
    /// BITOP NOT with several sources.
    BitopNot,
    /// BITFIELD: not a width with or without a sign.
    FieldType,
    /// BITFIELD: OVERFLOW with an unknown word.
    OverflowType,
    /// BITFIELD_RO with an operation that writes.
    FieldReadOnly,
    /// There is no such database.
    DatabaseOutOfRange,
    /// The data is loading.
    Loading,
    /// The log takes no changes, and why: the whole text.
    Log(Arc<str>),
    /// EXEC: the log takes no changes, and why: the text of the error.
    ExecLog(Arc<str>),
    /// The memory is used up, and the command may take more.
    OutOfMemory,
    /// A client that listens may not run the command of this name.
    Confined(String),
    /// The same of EXEC, which ends the transaction.
    ExecConfined(String),
    /// EXEC: the memory is used up, and a queued command may take more.
    ExecOutOfMemory,
    /// CONFIG SET: there is no such setting.
    UnknownSetting(&'a [u8]),
    /// CONFIG SET: the setting of this name cannot be set so.
    Setting(&'a [u8], Cow<'static, str>),
    /// One of a kind: the whole text.
    Text(&'static str),
    /// HELLO asks for a protocol other than 2 and 3.
    UnsupportedProtocol,
    /// HELLO's version is not a number.
    ProtocolNotANumber,
    /// HELLO does not know the option or misses its arguments.
    HelloOption(&'a [u8]),
    /// The client has not given the password.
    NotAuthenticated,
    /// HELLO: it has not given it, and does not do so now.
    HelloNotAuthenticated,
    /// ACL CAT: there is no such category.
    UnknownCategory(&'a [u8]),
    /// ACL DRYRUN: there is no such user.
    UserNotFound(&'a [u8]),
    /// ACL DRYRUN: there is no such command.
    CommandNotFound(&'a [u8]),
    /// No such user, or not this password.
    WrongPassword,
    /// A connection's name with a space or a control character.
    ClientName,
    /// There are no clients of this type.
    ClientType(&'a [u8]),
    /// There is no such user.
    NoSuchUser(&'a [u8]),
    /// CLIENT SETINFO does not know the attribute.
    UnknownAttribute(&'a [u8]),
    /// CLIENT SETINFO: a value with a space or a control character for this attribute.
    AttributeValue(&'a [u8]),
    /// A command, its name in capitals and in small letters, that the settings do not allow.
    Protected(&'static str, &'static str),
    /// DEBUG: no such subcommand, or not with so many arguments.
    DebugSubcommand(&'a [u8]),
    /// DEBUG ERROR: whatever the client wants to see as an error.
    Echo(&'a [u8]),
    /// REPLCONF does not know the option.
    ReplicaOption(&'a [u8]),
    /// COMMAND GETKEYS: there is no such command.
    GetKeysUnknownCommand,
    /// COMMAND GETKEYS: the command has no keys.
    GetKeysNoKeys,
    /// COMMAND GETKEYS: the command would be refused for the number of its arguments.
    GetKeysArity,
}

impl Refusal<'_> {
    /// The refusal of `row` for the number of its arguments.
    pub(super) const fn arity(container: Option<&Row>, row: &Row) -> Refusal<'static> {
        let container = match container {
            Some(container) => Some(container.name),
            None => None,
        };
        Refusal::WrongArity { container, name: row.name }
    }

    /// The whole text, with its code.
    pub(super) fn text(&self) -> Cow<'static, [u8]> {
        let fixed = match self {
            Refusal::UnknownCommand(args) => return unknown_command(args).into(),
            Refusal::UnknownSubcommand { container, name } => {
                return subcommand(b"", container, name);
            }
            Refusal::SubcommandSyntax { .. }
            | Refusal::ClientType(_)
            | Refusal::NoSuchUser(_)
            | Refusal::HelloOption(_)
            | Refusal::UnknownAttribute(_)
            | Refusal::AttributeValue(_) => return self.text_about_connections(),
            Refusal::UnknownCategory(_)
            | Refusal::UserNotFound(_)
            | Refusal::CommandNotFound(_)
            | Refusal::NotAuthenticated
            | Refusal::HelloNotAuthenticated => return self.text_about_users(),
            Refusal::NoSamples(event) => {
                return join(&[b"ERR No samples available for event '", c_text(event), b"'"]);
            }
            Refusal::WrongArity { container, name } => {
                let (container, bar) = container.map_or(("", ""), |container| (container, "|"));
                let name = format!("{container}{bar}{name}");
                let start = b"ERR wrong number of arguments for '";
                return join(&[start, name.as_bytes(), b"' command"]);
            }
            Refusal::Confined(name) => return confined(b"ERR ", name),
            Refusal::ExecConfined(name) => {
                return confined(b"EXECABORT Transaction discarded because of: ", name);
            }
            Refusal::NotWithin(..)
            | Refusal::ExpireOption(_)
            | Refusal::ExpireTime(_)
            | Refusal::UnknownSetting(_)
            | Refusal::Setting(..) => return self.text_about_values(),
            Refusal::Log(text) => return text.as_bytes().to_vec().into(),
            Refusal::ExecLog(text) => {
                let start = b"EXECABORT Transaction discarded because of: ";
                return join(&[start, text.as_bytes()]);
            }
            Refusal::Protected(..)
            | Refusal::DebugSubcommand(_)
            | Refusal::Echo(_)
            | Refusal::ReplicaOption(_) => return self.of_one_command(),
            Refusal::Syntax => "ERR syntax error",
            Refusal::NotAnInteger => "ERR value is not an integer or out of range",
            Refusal::Overflow => "ERR increment or decrement would overflow",
            Refusal::DecrementOverflow => "ERR decrement would overflow",
            Refusal::ValueTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Refusal::OffsetOutOfRange => "ERR offset is out of range",
            Refusal::NoSuchKey => "ERR no such key",
            Refusal::SameObject => "ERR source and destination objects are the same",
            Refusal::Text(text) => text,
            Refusal::BitOffset => "ERR bit offset is not an integer or out of range",
            Refusal::NotABit => "ERR bit is not an integer or out of range",
            Refusal::BitArgument => "ERR The bit argument must be 1 or 0.",
            Refusal::BitopNot => "ERR BITOP NOT must be called with a single source key.",
            Refusal::FieldType => {
                "ERR Invalid bitfield type. Use something like i16 u8. \
                Note that u64 is not supported but i64 is."
            }
            Refusal::OverflowType => "ERR Invalid OVERFLOW type specified",
            Refusal::FieldReadOnly => "ERR BITFIELD_RO only supports the GET subcommand",
            Refusal::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Refusal::ExecOutOfMemory => {
                "EXECABORT Transaction discarded because of: \
                OOM command not allowed when used memory > 'maxmemory'."
            }
            Refusal::Loading => "LOADING Redis is loading the dataset in memory",
            Refusal::DatabaseOutOfRange => "ERR DB index is out of range",
            Refusal::UnsupportedProtocol => "NOPROTO unsupported protocol version",
            Refusal::ProtocolNotANumber => "ERR Protocol version is not an integer or out of range",
            Refusal::WrongPassword => {
                "WRONGPASS invalid username-password pair or user is disabled."
            }
            Refusal::ClientName => {
                "ERR Client names cannot contain spaces, newlines or special characters."
            }
            Refusal::GetKeysUnknownCommand => "ERR Invalid command specified",
            Refusal::GetKeysNoKeys => "ERR The command has no key arguments",
            Refusal::GetKeysArity => "ERR Invalid number of arguments specified for command",
        };
        fixed.as_bytes().into()
    }

    /// The text of what is wrong with a value, or with a setting.
    fn text_about_values(&self) -> Cow<'static, [u8]> {
        match self {
            Refusal::NotWithin(low, high) => {
                let text =
                    format!("ERR value is out of range, value must between {low} and {high}");
                text.into_bytes().into()
            }
            Refusal::ExpireOption(option) => join(&[b"ERR Unsupported option ", c_text(option)]),
            Refusal::ExpireTime(name) => {
                let text = format!("ERR invalid expire time in '{name}' command");
                text.into_bytes().into()
            }
            Refusal::UnknownSetting(name) => {
                let start = b"ERR Unknown option or number of arguments for CONFIG SET - '";
                join(&[start, c_text(name), b"'"])
            }
            Refusal::Setting(name, reason) => {
                let start = b"ERR CONFIG SET failed (possibly related to argument '";
                join(&[start, c_text(name), b"') - ", reason.as_bytes()])
            }
            // `text` knows the others itself.
            _ => Cow::Borrowed(b"ERR"),
        }
    }

    /// The text of those refusals about connections that quote what the client sent.
    fn text_about_connections(&self) -> Cow<'static, [u8]> {
        match self {
            Refusal::SubcommandSyntax { container, name } => {
                subcommand(b" or wrong number of arguments for", container, name)
            }
            Refusal::ClientType(name) => join(&[b"ERR Unknown client type '", c_text(name), b"'"]),
            Refusal::NoSuchUser(name) => join(&[b"ERR No such user '", c_text(name), b"'"]),
            Refusal::HelloOption(option) => {
                join(&[b"ERR Syntax error in HELLO option '", c_text(option), b"'"])
            }
            Refusal::UnknownAttribute(name) => {
                join(&[b"ERR Unrecognized option '", c_text(name), b"'"])
            }
            Refusal::AttributeValue(name) => {
                let reason = b" cannot contain spaces, newlines or special characters.";
                join(&[b"ERR ", c_text(name), reason])
            }
            // `text` knows the others itself.
            _ => Cow::Borrowed(b"ERR"),
        }
    }

    /// The text of what is about users and their rights.
    fn text_about_users(&self) -> Cow<'static, [u8]> {
        match self {
            Refusal::UnknownCategory(name) => {
                join(&[b"ERR Unknown category '", c_text(name), b"'"])
            }
            Refusal::UserNotFound(name) => join(&[b"ERR User '", c_text(name), b"' not found"]),
            Refusal::CommandNotFound(name) => {
                join(&[b"ERR Command '", c_text(name), b"' not found"])
            }
            Refusal::NotAuthenticated => b"NOAUTH Authentication required.".into(),
            Refusal::HelloNotAuthenticated => {
                b"NOAUTH HELLO must be called with the client already authenticated, otherwise \
                the HELLO AUTH <user> <pass> option can be used to authenticate the client and \
                select the RESP protocol version at the same time"
                    .into()
            }
            // `text` knows the others itself.
            _ => Cow::Borrowed(b"ERR"),
        }
    }
}

impl Refusal<'_> {
    /// The text of what one command alone says.
    fn of_one_command(&self) -> Cow<'static, [u8]> {
        match self {
            Refusal::Protected(name, option) => protected(name, option).into(),
            Refusal::DebugSubcommand(name) => {
                let start = b"ERR unknown subcommand or wrong number of arguments for '";
                join(&[start, quote(name, QUOTE_MAX), b"'. Try DEBUG HELP."])
            }
            Refusal::ReplicaOption(option) => {
                join(&[b"ERR Unrecognized REPLCONF option: ", c_text(option)])
            }
            Refusal::Echo(text) => c_text(text).to_vec().into(),
            _ => Cow::Borrowed(b"ERR"),
        }
    }
}

/// The refusal of a command that has to be enabled by a setting.
fn protected(name: &str, option: &str) -> Vec<u8> {
    let text = format!(
        "ERR {name} command not allowed. If the enable-{option}-command option is set to \
         \"local\", you can run it from a local connection, otherwise you need to set this option \
         in the configuration file, and then restart the server."
    );
    text.into_bytes()
}

/// The reply to an unknown command: its name and the first of its arguments.
fn unknown_command(args: &Args<'_>) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(QUOTE_MAX + 3);
    for argument in args.iter().skip(1) {
        if quoted.len() >= QUOTE_MAX {
            break;
        }
        let room = QUOTE_MAX - quoted.len();
        quoted.push(b'\'');
        quoted.extend_from_slice(quote(argument, room));
        quoted.extend_from_slice(b"' ");
    }
    let name = quote(args.name(), QUOTE_MAX);
    [b"ERR unknown command '", name, b"', with args beginning with: ", &quoted].concat()
}

/// The reply to a subcommand that is unknown, or what else is wrong with it.
fn subcommand(or: &[u8], container: &str, name: &[u8]) -> Cow<'static, [u8]> {
    let try_help = format!("'. Try {} HELP.", container.to_uppercase());
    let quoted = quote(name, QUOTE_MAX);
    join(&[b"ERR unknown subcommand", or, b" '", quoted, try_help.as_bytes()])
}

/// The reply to a command that a client may not run while it listens.
fn confined(start: &[u8], name: &str) -> Cow<'static, [u8]> {
    let why = b"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
        this context";
    join(&[start, b"Can't execute '", name.as_bytes(), why])
}

/// What a C string of at most `limit` bytes would show of `text`.
fn quote(text: &[u8], limit: usize) -> &[u8] {
    c_text(&text[..text.len().min(limit)])
}

/// `text` up to its first NUL, where Redis's formatting stops.
pub(super) fn c_text(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&byte| byte == 0);
    &text[..end.unwrap_or(text.len())]
}

fn join(parts: &[&[u8]]) -> Cow<'static, [u8]> {
    parts.concat().into()
}
