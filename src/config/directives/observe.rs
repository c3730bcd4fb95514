//! What the server notes for those who watch it, and what it tells them.

use super::{Directive, Form};

const TOPIC: &str = "Observation";

pub(super) const ROWS: &[Directive] = &[
    Directive::new(
        "slowlog-log-slower-than",
        Form::Integer {
            least: -1,
            most: i64::MAX,
            get: |config| config.slowlog_log_slower_than_us,
            set: |config, number| config.slowlog_log_slower_than_us = number,
        },
    )
    .help(
        TOPIC,
        "MICROSECONDS",
        "Note commands that take longer in the slow log; -1 means none \
        [default: 10000]",
    ),
    Directive::new(
        "slowlog-max-len",
        Form::Integer {
            least: 0,
            most: i64::MAX,
            get: |config| config.slowlog_max_len as i64,
            set: |config, number| config.slowlog_max_len = number as u64,
        },
    )
    .help(TOPIC, "N", "Entries of the slow log [default: 128]"),
    Directive::new(
        "latency-monitor-threshold",
        Form::Integer {
            least: 0,
            most: i64::MAX,
            get: |config| config.latency_monitor_threshold_ms as i64,
            set: |config, number| config.latency_monitor_threshold_ms = number as u64,
        },
    )
    .help(TOPIC, "MILLISECONDS", "Note events that take so long; 0 means none [default: 0]"),
    Directive::new(
        "latency-tracking",
        Form::YesNo {
            get: |config| config.latency_tracking,
            set: |config, yes| config.latency_tracking = yes,
        },
    )
    .help(TOPIC, "YES|NO", "Keep histograms of the commands' latencies [default: yes]"),
    Directive::new(
        "latency-tracking-info-percentiles",
        Form::Words {
            get: |config| {
                let all = config.latency_tracking_percentiles.iter();
                all.map(|percentile| percentile.to_string().into()).collect()
            },
            set: |config, words| {
                config.latency_tracking_percentiles = percentiles(words)?;
                Ok(())
            },
            per_line: 0,
        },
    )
    .help(TOPIC, "N...", "The percentiles of them that INFO shows [default: 50 99 99.9]"),
    Directive::new(
        "notify-keyspace-events",
        Form::Text {
            get: |config| config.notify_keyspace_events.clone().into(),
            set: |config, value| {
                config.notify_keyspace_events = events(value)?;
                Ok(())
            },
        },
    )
    .help(
        TOPIC,
        "LETTERS",
        "What to tell subscribers of changed keys, in Redis's letters \
        [default: nothing]",
    ),
];

fn percentiles(words: &[Vec<u8>]) -> Result<Vec<f64>, String> {
    if words == [Vec::new()] {
        return Ok(Vec::new());
    }
    let one = |word: &Vec<u8>| {
        let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
        let number = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        match (0.0..=100.0).contains(&number) {
            true => Ok(number),
            false => {
                Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .to_owned())
            }
        }
    };
    words.iter().map(one).collect()
}

/// The letters of events in the order in which Redis shows them; `A` stands for all of these.
const CLASSES: &str = "g$lshzxetd";

/// Those that `A` does not stand for. (Redis forgets to show `n` beside `A`.)
const APART: &str = "nKEm";

/// The letters of `value`, each once and in Redis's order.
fn events(value: &[u8]) -> Result<String, String> {
    let is_known = |&byte: &u8| {
        let letter = char::from(byte);
        letter == 'A' || CLASSES.contains(letter) || APART.contains(letter)
    };
    if !value.iter().all(is_known) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
    }
    let has = |letter: char| value.contains(&(letter as u8));
    let is_all = has('A') || CLASSES.chars().all(has);
    let mut letters = match is_all {
        true => "A".to_owned(),
        false => CLASSES.chars().filter(|&letter| has(letter)).collect(),
    };
    letters.extend(APART.chars().filter(|&letter| has(letter)));
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_events_are_put_in_order() {
        assert_eq!(events(b"EKxg").as_deref(), Ok("gxKE"));
        assert_eq!(events(b"KEA").as_deref(), Ok("AKE"));
        assert_eq!(events(b"g$lshzxetdKn").as_deref(), Ok("AnK"));
        assert_eq!(events(b"").as_deref(), Ok(""));
        assert!(events(b"KEq").is_err());
    }
}
