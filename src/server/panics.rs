//! Panics in the log.

use std::panic::PanicHookInfo;

use log::error;

/// From now on a panic is logged as one line, instead of being printed to standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        error!("panic in thread {}: {}", thread.name().unwrap_or("unnamed"), describe(info));
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = one_line(info.payload_as_str().unwrap_or("no message"));
    match info.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message,
    }
}

/// The text with line ends and other control characters escaped: a message that quotes what a
/// client has sent must not forge lines of the log.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let (escaped, plain) =
                if c.is_control() { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_left_alone() {
        assert_eq!(one_line("left: \"ä\"\r\n right\u{7}"), "left: \"ä\"\\r\\n right\\u{7}");
    }
}
