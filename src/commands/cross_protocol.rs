//! Web browsers that were made to talk to this server.
//!
//! A page can have a browser send a request to any port of the user's machine. Its lines are no
//! commands, but what the page chose for the body may be. The first of them betrays it: `POST`
//! begins the request, `Host:` comes before any body. As in Redis such a connection is closed at
//! once, without a reply.

use log::warn;

use super::context::Context;

/// How often it is logged, in seconds, as in Redis.
pub(super) const LOGGED_EVERY_SECONDS: u64 = 60;

/// In the words of Redis, which those who watch logs look for.
const WARNING: &str = "Possible SECURITY ATTACK detected. It looks like somebody is sending POST \
    or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol \
    Scripting to compromise your Redis instance. Connection aborted.";

/// Whether a command of this name is a line of a web browser.
pub(super) fn is_sign(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Has the connection closed. Replies that it has not been sent yet are dropped.
pub(super) fn abort(context: &mut Context<'_>) {
    if context.state.cross_protocol.is_due() {
        warn!("{WARNING}");
    }
    context.out.clear();
    context.client.close_after_reply = true;
}
