//! Names of files with wildcards, for `include`: `*` is any text, `?` one character, `[abc]` and
//! `[a-z]` one of some, `[!a]` one of the others. None of them is a slash or a leading dot.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The files that a name stands for, in order. A name without wildcards stands for itself, whether
/// there is such a file or not; one that fits nothing for no file.
///
/// # Errors
/// A folder cannot be read.
pub(super) fn expand(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let bytes = part.as_os_str().as_bytes();
        if !matches!(part, Component::Normal(_)) || !has_wildcards(bytes) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in found {
            next.extend(fitting(&folder, bytes)?);
        }
        next.sort();
        found = next;
    }
    Ok(found)
}

fn has_wildcards(name: &[u8]) -> bool {
    name.iter().any(|byte| b"*?[".contains(byte))
}

/// What in a folder fits a pattern.
fn fitting(folder: &Path, pattern: &[u8]) -> io::Result<Vec<PathBuf>> {
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match place.read_dir() {
        Ok(entries) => entries,
        // What is no folder has nothing in it.
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let is_hidden = name.as_bytes().starts_with(b".") && !pattern.starts_with(b".");
        if !is_hidden && matches(pattern, name.as_bytes()) {
            paths.push(folder.join(name));
        }
    }
    Ok(paths)
}

/// Whether a pattern fits a name. Only the last `*` is tried again after a mismatch: an earlier one
/// could not make the rest fit any sooner.
fn matches(mut pattern: &[u8], mut name: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            retry = Some((rest, name));
            pattern = rest;
            continue;
        }
        match (pattern, name) {
            ([], []) => return true,
            (_, [byte, after @ ..]) if !pattern.is_empty() => {
                if let Some(rest) = one(pattern, *byte) {
                    (pattern, name) = (rest, after);
                    continue;
                }
            }
            _ => {}
        }
        match retry {
            Some((rest, [_, after @ ..])) => {
                retry = Some((rest, after));
                (pattern, name) = (rest, after);
            }
            _ => return false,
        }
    }
}

/// What follows the first item of a pattern, if that item fits a byte.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', inner @ ..] => {
            let is_not = inner.first().is_some_and(|first| b"!^".contains(first));
            let inner = &inner[usize::from(is_not)..];
            // A bracket at the beginning stands for itself.
            let end = inner.iter().skip(1).position(|&byte| byte == b']')? + 1;
            (in_class(&inner[..end], byte) != is_not).then_some(&inner[end + 1..])
        }
        [b'\\', plain, rest @ ..] | [plain, rest @ ..] => (*plain == byte).then_some(rest),
        [] => None,
    }
}

fn in_class(mut class: &[u8], byte: u8) -> bool {
    loop {
        class = match class {
            [] => return false,
            [low, b'-', high, ..] if (low..=high).contains(&&byte) => return true,
            [_, b'-', _, rest @ ..] => rest,
            [plain, ..] if *plain == byte => return true,
            [_, rest @ ..] => rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("*", "x"),
            ("a*b*c", "aXbYbZc"),
            ("?x", "ax"),
            ("[a-c]1", "b1"),
            ("[!a-c]1", "d1"),
            ("[]]", "]"),
            ("a\\*", "a*"),
        ] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.conf", "a.con"), ("?", ""), ("[a-c]", "d"), ("[!a]", "a"), ("[a", "a"), ("a", "")]
        {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn a_name_without_wildcards_stands_for_itself() {
        let path = Path::new("no/such/file.conf");
        assert_eq!(expand(path).unwrap(), [path]);
        assert_eq!(expand(Path::new("no/such/*.conf")).unwrap(), [""; 0].map(PathBuf::from));
        let here = expand(Path::new("Cargo.[t]oml")).unwrap();
        assert_eq!(here, [Path::new("Cargo.toml")]);
    }
}
