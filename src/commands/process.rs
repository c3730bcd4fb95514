//! What the operating system says of this process and machine, read from /proc.
//!
//! Every figure is optional: where /proc is missing or different, INFO shows zero.

use std::fs;

/// Clock ticks in a second, as /proc counts processor time: fixed at 100 in Linux's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// The physical memory of this process, in bytes.
pub(super) fn resident_bytes() -> u64 {
    kilobytes_in("/proc/self/status", "VmRSS:").unwrap_or(0) * 1024
}

/// The physical memory of the machine, in bytes.
pub(super) fn system_memory_bytes() -> u64 {
    kilobytes_in("/proc/meminfo", "MemTotal:").unwrap_or(0) * 1024
}

/// Processor time of this process, in seconds.
#[derive(Default)]
pub(super) struct ProcessorTime {
    /// In the kernel.
    pub(super) system_seconds: f64,
    /// In the program.
    pub(super) user_seconds: f64,
    /// The same of waited-for child processes.
    pub(super) children_system_seconds: f64,
    /// The same of waited-for child processes.
    pub(super) children_user_seconds: f64,
}

/// The processor time used so far.
pub(super) fn processor_time() -> ProcessorTime {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    parse_stat(&text).unwrap_or_default()
}

/// The processor time of the main thread.
pub(super) fn main_thread_time() -> ProcessorTime {
    let path = format!("/proc/self/task/{}/stat", std::process::id());
    let text = fs::read_to_string(path).unwrap_or_default();
    parse_stat(&text).unwrap_or_default()
}

/// The path of the program.
pub(super) fn executable() -> String {
    std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string())
}

/// The operating system, its version and the processor's architecture.
pub(super) fn system_name() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system = match std::env::consts::OS {
        "linux" => "Linux",
        other => other,
    };
    format!("{system} {} {}", release.trim(), std::env::consts::ARCH)
}

/// The number before `kB` on the line that starts with `label`.
fn kilobytes_in(path: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

/// Reads the fields utime, stime, cutime and cstime, numbers 14 to 17. The program's name, field 2,
/// may hold spaces and parentheses; the last closing one ends it.
fn parse_stat(text: &str) -> Option<ProcessorTime> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    Some(ProcessorTime {
        user_seconds: seconds()?,
        system_seconds: seconds()?,
        children_user_seconds: seconds()?,
        children_system_seconds: seconds()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_an_odd_name() {
        let text = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 250 125 3 4 20 0 1 0 99";
        let time = parse_stat(text).expect("well formed");
        assert_eq!((time.user_seconds, time.system_seconds), (2.5, 1.25));
        assert_eq!(time.children_system_seconds, 0.04);
        assert!(parse_stat("7 (a) R 1").is_none());
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn this_process_takes_memory() {
        assert!(resident_bytes() > 0);
        assert!(system_memory_bytes() > resident_bytes());
    }
}
