//! What the server notes for those who watch it, and what it tells them.

use super::{Directive, Form};
use crate::config::EventClasses;

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
                all.map(|percentile| shown(*percentile).into()).collect()
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
            get: |config| config.notify_keyspace_events.to_string().into(),
            set: |config, value| {
                let unknown = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
                config.notify_keyspace_events = EventClasses::parse(value).ok_or(unknown)?;
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

/// With six digits behind the point, but for zeros at the end, as Redis shows it.
fn shown(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn percentiles(words: &[Vec<u8>]) -> Result<Vec<f64>, String> {
    if words == [Vec::new()] {
        return Ok(Vec::new());
    }
    let one = |word: &Vec<u8>| {
        let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
        let number = number
            .filter(|number| !number.is_nan())
            .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_shown_as_redis_shows_them() {
        for (given, expected) in
            [("50", "50"), ("99.123456789", "99.123457"), ("0.1", "0.1"), ("100.0", "100")]
        {
            let read = percentiles(&[given.into()]).unwrap();
            assert_eq!(shown(read[0]), expected);
        }
        assert!(percentiles(&["nan".into()]).unwrap_err().starts_with("Invalid"));
    }
}
