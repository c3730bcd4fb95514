//! The log of changes.

use super::general::put;
use super::{Change, Directive, Form};
use crate::config::{AppendFsync, Config, INT_MAX, path_bytes, path_of};

const TOPIC: &str = "Log of changes";

pub(super) const ROWS: &[Directive] = &[
    Directive::new(
        "appendonly",
        Form::YesNo {
            get: |config| config.append_only,
            set: |config, yes| config.append_only = yes,
        },
    )
    .help(
        TOPIC,
        "YES|NO",
        "Log every change to a file in the folder appenddirname, and load it at \
        the start [default: no]",
    ),
    Directive::new(
        "aof-path",
        Form::Text {
            get: |config| match config.is_log_found {
                true => Vec::new(),
                false => path_bytes(config.aof_path.as_deref()),
            },
            set: |config, value| {
                config.aof_path = Some(path_of(value).ok_or("the name of a file is expected")?);
                // Unless `appendonly no` comes later.
                config.append_only = true;
                Ok(())
            },
        },
    )
    .change(Change::AtStart)
    .help(
        TOPIC,
        "FILE",
        "Log every change to this file, and load it at the start; a file that \
        ends in .manifest is one of redis-server's [default: as appendonly says]",
    ),
    Directive::new(
        "appendfilename",
        Form::Text {
            get: |config| shown_name(config).unwrap_or(config.append_filename.clone()).into(),
            set: |config, value| {
                config.append_filename = file_name(value, "appendfilename", "filename")?;
                Ok(())
            },
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "NAME", "Name of the log with appendonly yes [default: appendonly.aof]"),
    Directive::new(
        "appenddirname",
        Form::Text {
            get: |config| config.append_dirname.clone().into(),
            set: |config, value| {
                config.append_dirname = file_name(value, "appenddirname", "dirname")?;
                Ok(())
            },
        },
    )
    .change(Change::AtStart)
    .help(TOPIC, "NAME", "Its folder, within the working folder [default: appendonlydir]"),
    Directive::new(
        "appendfsync",
        Form::Choice {
            names: AppendFsync::names,
            get: |config| config.append_fsync.name(),
            set: |config, name| put(&mut config.append_fsync, AppendFsync::from_name(name)),
        },
    )
    .help(TOPIC, "WHEN", "When to sync the log: always, everysec or no [default: everysec]"),
    Directive::new(
        "auto-aof-rewrite-percentage",
        Form::Integer {
            least: 0,
            most: INT_MAX as i64,
            get: |config| config.auto_aof_rewrite_percentage.into(),
            set: |config, number| config.auto_aof_rewrite_percentage = number as u32,
        },
    )
    .help(
        TOPIC,
        "N",
        "Rewrite the log when it has grown by so many percent; 0 means never \
        [default: 100]",
    ),
    Directive::new(
        "auto-aof-rewrite-min-size",
        Form::Memory {
            least: 0,
            most: i64::MAX as u64,
            get: |config| config.auto_aof_rewrite_min_size_bytes,
            set: |config, bytes| config.auto_aof_rewrite_min_size_bytes = bytes,
        },
    )
    .help(TOPIC, "BYTES", "Never rewrite a log smaller than this by itself [default: 64mb]"),
];

/// The name of a log whose path was given, without its folder.
fn shown_name(config: &Config) -> Option<String> {
    let given = config.aof_path.as_ref().filter(|_| !config.is_log_found);
    Some(given?.file_name()?.to_string_lossy().into_owned())
}

/// A name without a folder, for a directive; `kind` is Redis's word for what it names.
fn file_name(value: &[u8], directive: &str, kind: &str) -> Result<String, String> {
    match std::str::from_utf8(value) {
        Ok("") => Err(format!("{directive} can't be empty")),
        Ok(name) if !name.contains('/') && ![".", ".."].contains(&name) => Ok(name.to_owned()),
        _ => Err(format!("{directive} can't be a path, just a {kind}")),
    }
}
