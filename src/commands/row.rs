//! The shape of a command's row.
//!
//! Everything the server knows about a command is in its [`Row`]: the dispatch, the arity check,
//! the key positions to hash and prefetch, COMMAND and COMMAND DOCS, HELP and the ACL categories
//! all derive from it. The rows themselves stand beside their handlers, in the file of their
//! family.

use super::context::Context;
use super::long::Work;
use super::refusal::Refusal;
use crate::resp::Args;
use crate::store::Key;

/// What a handler returns: a reply has been written, or the refusal to write.
pub(super) type Outcome<'a> = Result<(), Refusal<'a>>;

/// Makes the work of a command that may take long, or refuses it.
pub(super) type BeginWork =
    for<'a> fn(&mut Context<'_>, &Args<'a>) -> Result<Box<dyn Work>, Refusal<'a>>;

/// One command, or one subcommand of a container command.
pub(super) struct Row {
    /// Lower-case name; at most 15 bytes (see the `lookup` module).
    pub(super) name: &'static str,
    /// Number of arguments with the name: exactly that many when positive, at least `-arity` when
    /// negative. A subcommand counts its container's name too.
    pub(super) arity: i32,
    /// Properties, which also give the ACL categories read, write, admin, dangerous, fast, slow.
    pub(super) flags: Flags,
    /// The ACL categories that no flag implies.
    pub(super) categories: Categories,
    /// Where the keys are, when the command has any.
    pub(super) keys: Option<Keys>,
    /// The chapter of the manual.
    pub(super) group: &'static str,
    /// The Redis version that introduced the command.
    pub(super) since: &'static str,
    /// One sentence.
    pub(super) summary: &'static str,
    /// Running time.
    pub(super) complexity: &'static str,
    /// What changed since, as pairs of a Redis version and a sentence.
    pub(super) history: &'static [(&'static str, &'static str)],
    /// The Redis version that has called it obsolete, and what it says to use instead.
    pub(super) deprecated: Option<(&'static str, &'static str)>,
    /// Hints for clients and proxies.
    pub(super) tips: &'static [&'static str],
    /// The arguments, for hints and HELP.
    pub(super) arguments: &'static [Argument],
    /// Subcommands; empty for most.
    pub(super) subcommands: &'static [Row],
    /// The code.
    pub(super) handler: Handler,
}

impl Row {
    /// A row to take the usual values from: `..Row::BASE`.
    pub(super) const BASE: Row = Row {
        name: "",
        arity: 1,
        flags: Flags::NONE,
        categories: Categories::NONE,
        keys: None,
        group: "server",
        since: "1.0.0",
        summary: "",
        complexity: "O(1)",
        history: &[],
        deprecated: None,
        tips: &[],
        arguments: &[],
        subcommands: &[],
        handler: Handler::Container,
    };

    /// Whether a command of `count` arguments, the name included, fits the arity.
    pub(super) const fn accepts(&self, count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { count == wanted } else { count >= wanted }
    }

    /// All ACL categories, in Redis's order.
    pub(super) fn all_categories(&self) -> Categories {
        let mut all = self.categories;
        for (flag, implied) in [
            (Flags::READONLY, Categories::READ),
            (Flags::WRITE, Categories::WRITE),
            (Flags::ADMIN, Categories::ADMIN.and(Categories::DANGEROUS)),
        ] {
            if self.flags.contains(flag) {
                all = all.and(implied);
            }
        }
        let speed =
            if self.flags.contains(Flags::FAST) { Categories::FAST } else { Categories::SLOW };
        all.and(speed)
    }
}

/// The code of a command.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// Takes the arguments as they are.
    Plain(for<'a> fn(&mut Context<'_>, &Args<'a>) -> Outcome<'a>),
    /// Has exactly one key, the first argument, which arrives hashed.
    OneKey(for<'a> fn(&mut Context<'_>, &Args<'a>, Key<'a>) -> Outcome<'a>),
    /// Has several keys, which it reads and changes at one instant.
    Atomic(for<'a> fn(&mut Context<'_>, &Args<'a>) -> Outcome<'a>),
    /// Does the same to each of its keys, to all at one instant.
    EachKey(&'static KeyLoop),
    /// As `Plain`, while no other client runs a command.
    Alone(for<'a> fn(&mut Context<'_>, &Args<'a>) -> Outcome<'a>),
    /// May take long: makes its [`Work`], which is done in steps.
    Work(BeginWork),
    /// As [`Plain`](Handler::Plain), and the last of its window: what it changes concerns the very
    /// next command.
    Last(for<'a> fn(&mut Context<'_>, &Args<'a>) -> Outcome<'a>),
    /// As [`Plain`](Handler::Plain), but after MULTI it is not queued.
    Immediate(for<'a> fn(&mut Context<'_>, &Args<'a>) -> Outcome<'a>),
    /// Runs what is queued since MULTI: the engine's own.
    Exec,
    /// None of its own: only its subcommands do anything.
    Container,
}

/// A command over many keys: `begin` once, `each` for every key in order, `end` once.
pub(super) struct KeyLoop {
    /// Checks the arguments and writes what comes before the first key (given their number).
    pub(super) begin: for<'a> fn(&mut Context<'_>, &Args<'a>, usize) -> Outcome<'a>,
    /// Handles the key that is argument `index`; returns what it adds to the total.
    pub(super) each: fn(&mut Context<'_>, &Args<'_>, usize, Key<'_>) -> i64,
    /// Writes what comes after the last key, given the total.
    pub(super) end: fn(&mut Context<'_>, i64),
}

/// Which arguments are keys.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// Index of the first key; the name has index 0.
    pub(super) first: usize,
    /// Whether keys repeat until the last argument.
    pub(super) until_last: bool,
    /// Distance from one key to the next.
    pub(super) step: usize,
    /// How the command uses them, in the words of Redis's key specifications.
    pub(super) access: &'static [&'static str],
    /// How it uses those after the first, when otherwise.
    pub(super) rest: Option<&'static [&'static str]>,
    /// What else there is to know.
    pub(super) notes: Option<&'static str>,
    /// How a command of these arguments, whose name is argument `start`, uses the key, when that
    /// depends on them: `variable_flags` is then among the words of `access`.
    pub(super) as_used: Option<AsUsed>,
}

/// How a command uses its key: the arguments, and where in them the command starts.
pub(super) type AsUsed = fn(&Args<'_>, usize) -> &'static [&'static str];

impl Keys {
    /// One key, the first argument, to take the usual values from.
    const FIRST: Keys = Keys {
        first: 1,
        until_last: false,
        step: 1,
        access: &[],
        rest: None,
        notes: None,
        as_used: None,
    };

    /// One key, the first argument.
    pub(super) const fn one(access: &'static [&'static str]) -> Option<Keys> {
        Some(Keys { access, ..Keys::FIRST })
    }

    /// One key, the first argument, and something to say of it.
    pub(super) const fn one_with_notes(
        access: &'static [&'static str],
        notes: &'static str,
    ) -> Option<Keys> {
        Some(Keys { access, notes: Some(notes), ..Keys::FIRST })
    }

    /// One key, the first argument, whose use depends on the others.
    pub(super) const fn one_as_used(notes: &'static str, as_used: AsUsed) -> Option<Keys> {
        let access = &["RW", "access", "update", "variable_flags"];
        Some(Keys { access, notes: Some(notes), as_used: Some(as_used), ..Keys::FIRST })
    }

    /// One key, the argument after a subcommand.
    pub(super) const fn second(access: &'static [&'static str]) -> Option<Keys> {
        Some(Keys { first: 2, access, ..Keys::FIRST })
    }

    /// Two keys, the first arguments, used differently.
    pub(super) const fn pair(
        access: &'static [&'static str],
        rest: &'static [&'static str],
    ) -> Option<Keys> {
        Some(Keys { access, rest: Some(rest), ..Keys::FIRST })
    }

    /// All arguments, `step` apart.
    pub(super) const fn all(step: usize, access: &'static [&'static str]) -> Option<Keys> {
        Some(Keys { until_last: true, step, access, ..Keys::FIRST })
    }

    /// The number of keys in a command of `count` arguments, the name included.
    pub(super) const fn count(&self, count: usize) -> usize {
        if count <= self.first {
            0
        } else if self.until_last {
            (count - self.first).div_ceil(self.step)
        } else if self.rest.is_some() {
            2
        } else {
            1
        }
    }

    /// The argument that is key number `number`, from 0.
    pub(super) const fn position(&self, number: usize) -> usize {
        self.first + number * self.step
    }

    /// Whether there are two keys that are used alike, which is one specification.
    pub(super) fn is_pair_of_one_use(&self) -> bool {
        !self.until_last && self.rest == Some(self.access)
    }

    /// How the command uses key number `number`.
    pub(super) const fn access_of(&self, number: usize) -> &'static [&'static str] {
        match self.rest {
            Some(rest) if number > 0 => rest,
            _ => self.access,
        }
    }
}

/// One argument of a command, as COMMAND DOCS describes it.
pub(super) struct Argument {
    /// What it stands for.
    pub(super) name: &'static str,
    /// Its form.
    pub(super) kind: ArgumentKind,
    /// The word before it, or the word it consists of.
    pub(super) token: Option<&'static str>,
    /// The Redis version that introduced it, when later than the command.
    pub(super) since: Option<&'static str>,
    /// Whether it may be left out.
    pub(super) optional: bool,
    /// Whether it may be repeated.
    pub(super) multiple: bool,
    /// Whether the token is repeated with it.
    pub(super) multiple_token: bool,
    /// Which of the command's key specifications describes it, if it is a key.
    pub(super) key_spec: usize,
    /// The parts of a block, or the choices.
    pub(super) parts: &'static [Argument],
}

impl Argument {
    /// An argument to take the usual values from: `..Argument::BASE`.
    pub(super) const BASE: Argument = Argument {
        name: "",
        kind: ArgumentKind::String,
        token: None,
        since: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        key_spec: 0,
        parts: &[],
    };

    /// A required argument.
    pub(super) const fn new(name: &'static str, kind: ArgumentKind) -> Argument {
        Argument { name, kind, ..Argument::BASE }
    }

    /// A word that stands for itself.
    pub(super) const fn word(
        name: &'static str,
        token: &'static str,
        since: &'static str,
    ) -> Argument {
        Argument {
            name,
            kind: ArgumentKind::PureToken,
            token: Some(token),
            since: Some(since),
            ..Argument::BASE
        }
    }

    /// A word that stands for itself, as old as what it is part of.
    pub(super) const fn token(name: &'static str, token: &'static str) -> Argument {
        Argument { token: Some(token), ..Argument::new(name, ArgumentKind::PureToken) }
    }

    /// The same argument, which may be left out.
    pub(super) const fn optional(self) -> Argument {
        Argument { optional: true, ..self }
    }

    /// The same argument, which may be repeated.
    pub(super) const fn multiple(self) -> Argument {
        Argument { multiple: true, ..self }
    }
}

/// The form of an argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgumentKind {
    /// A key.
    Key,
    /// Any bytes.
    String,
    /// A decimal number.
    Integer,
    /// A number with a fraction.
    Double,
    /// A point in time, in the unit that the name says.
    UnixTime,
    /// A glob pattern.
    Pattern,
    /// A word that stands for itself.
    PureToken,
    /// One of the parts.
    OneOf,
    /// All of the parts, in order.
    Block,
}

impl ArgumentKind {
    /// The name COMMAND DOCS uses.
    pub(super) const fn name(self) -> &'static str {
        match self {
            ArgumentKind::Key => "key",
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::PureToken => "pure-token",
            ArgumentKind::OneOf => "oneof",
            ArgumentKind::Block => "block",
        }
    }
}

/// A set of command properties.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// No property.
    pub(super) const NONE: Flags = Flags(0);
    /// May change keys.
    pub(super) const WRITE: Flags = Flags(1);
    /// Reads keys, changes none.
    pub(super) const READONLY: Flags = Flags(1 << 1);
    /// May make the data larger, so it is refused when memory is short.
    pub(super) const DENYOOM: Flags = Flags(1 << 2);
    /// Administers the server.
    pub(super) const ADMIN: Flags = Flags(1 << 3);
    /// Makes no sense in a script.
    pub(super) const NOSCRIPT: Flags = Flags(1 << 4);
    /// Allowed while the data is loading.
    pub(super) const LOADING: Flags = Flags(1 << 5);
    /// Allowed on a replica whose data is stale.
    pub(super) const STALE: Flags = Flags(1 << 6);
    /// Takes constant or logarithmic time.
    pub(super) const FAST: Flags = Flags(1 << 7);
    /// Allowed before authentication.
    pub(super) const NO_AUTH: Flags = Flags(1 << 8);
    /// Allowed while a script blocks the server.
    pub(super) const ALLOW_BUSY: Flags = Flags(1 << 9);
    /// Not allowed while a replica loads data beside the old.
    pub(super) const NO_ASYNC_LOADING: Flags = Flags(1 << 10);
    /// Not in the log of slow commands, where those that it runs are.
    pub(super) const SKIP_SLOWLOG: Flags = Flags(1 << 11);
    /// Not allowed after MULTI.
    pub(super) const NO_MULTI: Flags = Flags(1 << 12);
    /// About messages between clients.
    pub(super) const PUBSUB: Flags = Flags(1 << 14);
    /// Changes no key, but is told to replicas: it waits when writes do. (Redis does not
    /// show it either.)
    pub(super) const MAY_REPLICATE: Flags = Flags(1 << 13);

    /// The names COMMAND INFO uses, in its order.
    const NAMES: [(Flags, &'static str); 14] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::ALLOW_BUSY, "allow_busy"),
    ];

    /// Both sets together.
    pub(super) const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether every property of `other` is here.
    pub(super) const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the properties in the set.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let named = Flags::NAMES.into_iter();
        named.filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}

/// A set of ACL categories.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Categories(u16);

impl Categories {
    /// No category.
    pub(super) const NONE: Categories = Categories(0);
    /// Keys whatever their type.
    pub(super) const KEYSPACE: Categories = Categories(1);
    /// Implied by [`Flags::READONLY`].
    pub(super) const READ: Categories = Categories(1 << 1);
    /// Implied by [`Flags::WRITE`].
    pub(super) const WRITE: Categories = Categories(1 << 2);
    /// Strings.
    pub(super) const STRING: Categories = Categories(1 << 3);
    /// Strings as bitmaps.
    pub(super) const BITMAP: Categories = Categories(1 << 4);
    /// Implied by [`Flags::ADMIN`].
    pub(super) const ADMIN: Categories = Categories(1 << 5);
    /// Implied by [`Flags::FAST`].
    const FAST: Categories = Categories(1 << 6);
    /// Implied by the absence of [`Flags::FAST`].
    const SLOW: Categories = Categories(1 << 7);
    /// May harm; also implied by [`Flags::ADMIN`].
    pub(super) const DANGEROUS: Categories = Categories(1 << 8);
    /// The connection itself.
    pub(super) const CONNECTION: Categories = Categories(1 << 9);
    /// Transactions.
    pub(super) const TRANSACTION: Categories = Categories(1 << 10);
    /// Messages between clients.
    pub(super) const PUBSUB: Categories = Categories(1 << 11);

    /// The names, in the order of Redis.
    const NAMES: [(Categories, &'static str); 12] = [
        (Categories::KEYSPACE, "@keyspace"),
        (Categories::READ, "@read"),
        (Categories::WRITE, "@write"),
        (Categories::STRING, "@string"),
        (Categories::BITMAP, "@bitmap"),
        (Categories::PUBSUB, "@pubsub"),
        (Categories::ADMIN, "@admin"),
        (Categories::FAST, "@fast"),
        (Categories::SLOW, "@slow"),
        (Categories::DANGEROUS, "@dangerous"),
        (Categories::CONNECTION, "@connection"),
        (Categories::TRANSACTION, "@transaction"),
    ];

    /// Both sets together.
    pub(super) const fn and(self, other: Categories) -> Categories {
        Categories(self.0 | other.0)
    }

    /// Whether a category is in both sets.
    pub(super) const fn meets(self, other: Categories) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the categories in the set, each with its `@`.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let named = Categories::NAMES.into_iter();
        named.filter(move |(category, _)| self.meets(*category)).map(|(_, name)| name)
    }
}
