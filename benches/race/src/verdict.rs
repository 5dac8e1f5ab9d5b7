//! The answer in words.

use serde::{Deserialize, Serialize};

use crate::interval::Interval;

/// Of a shorter run the start of the process is the most: what the allocator does cannot be told.
pub const SHORTEST_MS: f64 = 5.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Less,
    More,
    /// The interval holds 1.
    NoDifference,
    /// There were too few rounds for an interval.
    TooFewRounds,
    /// A run is over before the allocator matters.
    TooShort,
}

/// `cpu_ms` is what the shorter of the two takes.
pub fn of(interval: Option<&Interval>, cpu_ms: f64) -> Verdict {
    match interval {
        _ if cpu_ms < SHORTEST_MS => Verdict::TooShort,
        None => Verdict::TooFewRounds,
        Some(interval) if interval.high < 1.0 => Verdict::Less,
        Some(interval) if interval.low > 1.0 => Verdict::More,
        Some(_) => Verdict::NoDifference,
    }
}

/// A sentence on CPU time.
pub fn words(verdict: Verdict, name: &str, reference: &str, interval: Option<&Interval>) -> String {
    let pair = format!("{name} and {reference}");
    match (verdict, interval) {
        (Verdict::TooShort, _) => {
            format!(
                "{pair}: a run is shorter than {SHORTEST_MS} ms of CPU, most of which is the start of the process."
            )
        }
        (Verdict::Less | Verdict::More, Some(interval)) => {
            let off = |ratio: f64| (ratio - 1.0).abs() * 100.0;
            let (one, other) = (off(interval.low), off(interval.high));
            let word = if verdict == Verdict::Less { "less" } else { "more" };
            format!(
                "{name} takes {} {word} CPU than {reference} ({} to {}).",
                percent(off(interval.middle)),
                percent(one.min(other)),
                percent(one.max(other))
            )
        }
        (Verdict::NoDifference, Some(interval)) => {
            let side = |ratio: f64| {
                let word = if ratio < 1.0 { "less" } else { "more" };
                format!("{} {word}", percent((ratio - 1.0).abs() * 100.0))
            };
            format!(
                "{pair}: no difference that can be told. It is between {} and {}.",
                side(interval.low),
                side(interval.high)
            )
        }
        _ => format!(
            "{pair}: too few rounds for an interval; {} are the least. A longer --time gives them.",
            crate::interval::LEAST
        ),
    }
}

/// With a digit where one matters; from three times on as a whole number.
fn percent(value: f64) -> String {
    if value < 9.95 { format!("{value:.1} %") } else { format!("{value:.0} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(low: f64, middle: f64, high: f64) -> String {
        let interval = Interval { middle, low, high };
        words(of(Some(&interval), 100.0), "a", "b", Some(&interval))
    }

    #[test]
    fn less_and_more_are_told_with_their_interval() {
        assert_eq!(said(0.85, 0.88, 0.91), "a takes 12 % less CPU than b (9.0 % to 15 %).");
        assert_eq!(said(1.02, 1.04, 1.11), "a takes 4.0 % more CPU than b (2.0 % to 11 %).");
    }

    #[test]
    fn what_cannot_be_told_is_said_so() {
        assert_eq!(
            said(0.98, 1.0, 1.03),
            "a and b: no difference that can be told. It is between 2.0 % less and 3.0 % more."
        );
        assert!(words(of(None, 100.0), "a", "b", None).contains("too few rounds"));
        let interval = Interval { middle: 0.5, low: 0.4, high: 0.6 };
        assert_eq!(of(Some(&interval), 1.0), Verdict::TooShort);
        assert!(words(Verdict::TooShort, "a", "b", Some(&interval)).contains("start of the process"));
    }
}
