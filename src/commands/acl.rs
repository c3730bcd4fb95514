//! ACL, for the only user there is.
//!
//! The default user may do everything, once it has given the password if there is one. So the
//! questions have answers, and what would make users or take rights away is refused in plain words.

use super::access::DEFAULT_USER;
use super::context::{Context, integer};
use super::help;
use super::lookup;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Outcome, Row};
use super::table;
use crate::resp::Args;

/// What the subcommands have in common.
const BASE: Row = Row {
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    since: "6.0.0",
    ..Row::BASE
};

/// Those that tell of users, or change them.
const ADMIN: Row = Row { flags: BASE.flags.and(Flags::ADMIN), ..BASE };

const USERNAME: Argument = Argument::new("username", ArgumentKind::String);

/// For the row of ACL.
pub(super) const SUBCOMMANDS: &[Row] = &[
    Row {
        name: "cat",
        arity: -2,
        summary: "Lists the categories of commands, or the commands of one",
        complexity: "O(N) where N is the number of commands",
        arguments: &[Argument::new("categoryname", ArgumentKind::String).optional()],
        handler: Handler::Plain(cat),
        ..BASE
    },
    Row {
        name: "deluser",
        arity: -3,
        summary: "Deletes users; there is none that could be deleted",
        complexity: "O(N) where N is the number of names",
        arguments: &[USERNAME.multiple()],
        handler: Handler::Plain(deluser),
        ..ADMIN
    },
    Row {
        name: "dryrun",
        arity: -4,
        since: "7.0.0",
        summary: "Tells whether a user may run a command, without running it",
        arguments: &[
            USERNAME,
            Argument::new("command", ArgumentKind::String),
            Argument::new("arg", ArgumentKind::String).optional().multiple(),
        ],
        handler: Handler::Plain(dryrun),
        ..ADMIN
    },
    Row {
        name: "genpass",
        arity: -2,
        summary: "Makes a password at random, of 256 bits or as many as are asked for",
        arguments: &[Argument::new("bits", ArgumentKind::Integer).optional()],
        handler: Handler::Plain(genpass),
        ..BASE
    },
    Row {
        name: "getuser",
        arity: 3,
        summary: "Describes a user",
        arguments: &[USERNAME],
        handler: Handler::Plain(getuser),
        ..ADMIN
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "acl", SUBCOMMANDS)),
        ..BASE
    },
    Row {
        name: "list",
        arity: 2,
        summary: "Lists the users as an ACL file would",
        handler: Handler::Plain(list),
        ..ADMIN
    },
    Row {
        name: "load",
        arity: 2,
        summary: "Reads the ACL file, which there is none of",
        handler: Handler::Plain(without_file),
        ..ADMIN
    },
    Row {
        name: "log",
        arity: -2,
        summary: "Lists failed attempts to authenticate, or forgets them",
        complexity: "O(N) where N is the number of entries shown",
        arguments: &[Argument {
            parts: &[
                Argument::new("count", ArgumentKind::Integer),
                Argument::token("reset", "RESET"),
            ],
            ..Argument::new("operation", ArgumentKind::OneOf).optional()
        }],
        handler: Handler::Plain(log),
        ..ADMIN
    },
    Row {
        name: "save",
        arity: 2,
        summary: "Writes the ACL file, which there is none of",
        handler: Handler::Plain(without_file),
        ..ADMIN
    },
    Row {
        name: "setuser",
        arity: -3,
        summary: "Makes or changes a user: refused, for there is only the default user",
        arguments: &[USERNAME, Argument::new("rule", ArgumentKind::String).optional().multiple()],
        handler: Handler::Plain(setuser),
        ..ADMIN
    },
    Row {
        name: "users",
        arity: 2,
        summary: "Lists the names of the users",
        handler: Handler::Plain(users),
        ..ADMIN
    },
    Row {
        name: "whoami",
        arity: 2,
        summary: "Returns the name of the user of this connection",
        handler: Handler::Plain(whoami),
        ..BASE
    },
];

/// Redis's categories, in its order; commands of some there are none here.
const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

fn cat<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let wanted = match args.len() {
        2 => {
            context.out.array(CATEGORIES.len());
            CATEGORIES.iter().for_each(|name| context.out.bulk(name.as_bytes()));
            return Ok(());
        }
        3 => args.get(2),
        _ => return Err(Refusal::SubcommandSyntax { container: "ACL", name: args.get(1) }),
    };
    let known = CATEGORIES.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(wanted));
    let category = *known.ok_or(Refusal::UnknownCategory(wanted))?;
    let mut names = Vec::new();
    for row in table::rows() {
        if belongs(row.all_categories(), category) {
            names.push(row.name.to_owned());
        }
        let members = row.subcommands.iter().filter(|it| belongs(it.all_categories(), category));
        names.extend(members.map(|subcommand| format!("{}|{}", row.name, subcommand.name)));
    }
    context.out.array(names.len());
    names.iter().for_each(|name| context.out.bulk(name.as_bytes()));
    Ok(())
}

fn belongs(categories: Categories, name: &str) -> bool {
    categories.names().any(|it| it.strip_prefix('@') == Some(name))
}

fn deluser<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if args.iter().skip(2).any(|name| name == DEFAULT_USER) {
        return Err(Refusal::Text("ERR The 'default' user cannot be removed"));
    }
    // The others do not exist.
    context.out.integer(0);
    Ok(())
}

fn dryrun<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if args.get(2) != DEFAULT_USER {
        return Err(Refusal::UserNotFound(args.get(2)));
    }
    let (name, count) = (args.get(3), args.len() - 3);
    let not_found = || Refusal::CommandNotFound(name);
    let row = lookup::command(name).ok_or_else(not_found)?;
    if row.subcommands.is_empty() || count == 1 {
        if !row.accepts(count) {
            return Err(Refusal::arity(None, row));
        }
    } else {
        let subcommand = lookup::subcommand(row, args.get(4)).ok_or_else(not_found)?;
        if !subcommand.accepts(count) {
            return Err(Refusal::arity(Some(row), subcommand));
        }
    }
    context.out.ok();
    Ok(())
}

fn genpass<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    /// Bits of one hexadecimal digit.
    const DIGIT_BITS: usize = 4;
    const BITS_MAX: i64 = 4096;
    let bits = match args.len() {
        2 => 256,
        3 => integer(args.get(2))?,
        _ => return Err(Refusal::SubcommandSyntax { container: "ACL", name: args.get(1) }),
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(Refusal::Text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        ));
    }
    let mut password = vec![0; (bits as usize).div_ceil(DIGIT_BITS)];
    if getrandom::fill(&mut password).is_err() {
        return Err(Refusal::Text("ERR the system has no random numbers to give"));
    }
    for byte in &mut password {
        // Each of the sixteen digits for sixteen of the 256 bytes.
        *byte = b"0123456789abcdef"[usize::from(*byte & 0xf)];
    }
    context.out.bulk(&password);
    Ok(())
}

fn getuser<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let digits = context.state.access.password_digits();
    let out = &mut *context.out;
    if args.get(2) != DEFAULT_USER {
        out.null();
        return Ok(());
    }
    let flags: &[&str] = if digits.is_some() { &["on"] } else { &["on", "nopass"] };
    out.map(6);
    out.bulk(b"flags");
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag.as_bytes()));
    out.bulk(b"passwords");
    out.array(usize::from(digits.is_some()));
    digits.iter().for_each(|digits| out.bulk(digits.as_bytes()));
    for (name, pattern) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
        out.bulk(name.as_bytes());
        out.bulk(pattern.as_bytes());
    }
    out.bulk(b"selectors");
    out.array(0);
    Ok(())
}

fn list<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let digits = context.state.access.password_digits();
    let password = digits.map_or("nopass".to_owned(), |digits| format!("#{digits}"));
    context.out.array(1);
    context.out.bulk(format!("user default on {password} ~* &* +@all").as_bytes());
    Ok(())
}

fn without_file<'a>(_: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    Err(Refusal::Text(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
         users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a \
         Redis configuration file set) in order to store users in the Redis configuration.",
    ))
}

fn log<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    /// Entries shown when it is not said how many, as in Redis.
    const SHOWN: i64 = 10;
    let denials = &context.state.access.denials;
    let count = match args.len() {
        2 => SHOWN,
        3 if args.get(2).eq_ignore_ascii_case(b"reset") => {
            denials.clear();
            context.out.ok();
            return Ok(());
        }
        3 => integer(args.get(2))?,
        _ => return Err(Refusal::SubcommandSyntax { container: "ACL", name: args.get(1) }),
    };
    let entries = denials.newest(usize::try_from(count).unwrap_or(0));
    let out = &mut *context.out;
    out.array(entries.len());
    for entry in entries {
        out.map(7);
        out.bulk(b"count");
        out.integer(entry.count as i64);
        for (name, text) in [
            ("reason", b"auth".as_slice()),
            ("context", entry.attempt.context.as_bytes()),
            ("object", &entry.attempt.command),
            ("username", &entry.attempt.user),
        ] {
            out.bulk(name.as_bytes());
            out.bulk(text);
        }
        out.bulk(b"age-seconds");
        out.double(entry.age_seconds());
        out.bulk(b"client-info");
        out.bulk(entry.client.as_bytes());
    }
    Ok(())
}

fn setuser<'a>(_: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    Err(Refusal::Text(
        "ERR ACL SETUSER is not supported: there is only the default user, whose password \
         CONFIG SET requirepass sets",
    ))
}

fn users<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.array(1);
    context.out.bulk(DEFAULT_USER);
    Ok(())
}

fn whoami<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.bulk(DEFAULT_USER);
    Ok(())
}
