//! What of a command may be shown: in the slow log, to monitors, in messages.
//!
//! As in Redis, passwords and the names of users that come with them are replaced by `(redacted)`,
//! whether the command succeeds or not.

use crate::config::directives;
use crate::resp::Args;

/// What is shown in the place of a secret.
const REDACTED: &[u8] = b"(redacted)";

/// The arguments of a command, its name first, as they may be shown.
pub fn shown_arguments<'a>(args: &Args<'a>) -> impl Iterator<Item = &'a [u8]> {
    let args = *args;
    let secret = secrets(&args);
    (0..args.len()).map(move |index| if secret(&args, index) { REDACTED } else { args.get(index) })
}

/// Tells which arguments are secrets.
type IsSecret = fn(&Args<'_>, usize) -> bool;

fn secrets(args: &Args<'_>) -> IsSecret {
    let is = |index: usize, word: &[u8]| {
        index < args.len() && args.get(index).eq_ignore_ascii_case(word)
    };
    if is(0, b"auth") {
        |_, index| index > 0
    } else if is(0, b"hello") {
        |args, index| {
            let is_auth = |at: usize| args.get(at).eq_ignore_ascii_case(b"auth");
            // The version comes first, then the word.
            (index > 2 && is_auth(index - 1)) || (index > 3 && is_auth(index - 2))
        }
    } else if is(0, b"acl") && is(1, b"setuser") {
        |_, index| index > 1
    } else if is(0, b"config") && is(1, b"set") {
        |args, index| {
            let is_value = index > 2 && index % 2 == 1;
            is_value && directives::is_secret(args.get(index - 1))
        }
    } else {
        |_, _| false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Batch, Decoder, Limits};

    fn shown(line: &str) -> String {
        let (input, mut batch) = (format!("{line}\r\n"), Batch::new());
        let mut decoder = Decoder::new(Limits::default());
        let decoded = decoder.decode(input.as_bytes(), &mut batch, 1).expect("a command");
        assert_eq!(decoded.consumed, input.len());
        let args = batch.args(0, input.as_bytes());
        let words: Vec<_> = shown_arguments(&args).map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    #[test]
    fn passwords_and_their_users_are_not_shown() {
        for (line, expected) in [
            ("AUTH secret", "AUTH (redacted)"),
            ("auth me secret", "auth (redacted) (redacted)"),
            ("HELLO 3 AUTH me secret", "HELLO 3 AUTH (redacted) (redacted)"),
            ("HELLO 3 SETNAME n auth me secret", "HELLO 3 SETNAME n auth (redacted) (redacted)"),
            ("HELLO 3 SETNAME name", "HELLO 3 SETNAME name"),
            ("ACL SETUSER me on >secret", "ACL SETUSER (redacted) (redacted) (redacted)"),
            ("ACL WHOAMI", "ACL WHOAMI"),
            (
                "CONFIG SET maxclients 5 requirepass secret port 1",
                "CONFIG SET maxclients 5 requirepass (redacted) port 1",
            ),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("SET requirepass secret", "SET requirepass secret"),
            ("AUTH", "AUTH"),
            ("CONFIG", "CONFIG"),
        ] {
            assert_eq!(shown(line), expected);
        }
    }
}
