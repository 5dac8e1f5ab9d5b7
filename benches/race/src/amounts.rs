//! Durations and percentages, as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time(pub Duration);

/// As a part of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let wrong = || format!("`{text}` is no time: write a number of seconds, or 90s, 5m, 1h");
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let number: f64 = text[..end].parse().map_err(|_| wrong())?;
        let unit = match &text[end..] {
            "" | "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let seconds = number * unit;
        // A year: beyond it clocks end.
        if !(0.001..=31_536_000.0).contains(&seconds) {
            return Err(format!("`{text}` is too short or too long to race for"));
        }
        Ok(Time(Duration::from_secs_f64(seconds)))
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Percent, String> {
        let number = text.trim_end_matches('%').trim_end().parse::<f64>();
        match number {
            Ok(percent) if (0.01..=100.0).contains(&percent) => Ok(Percent(percent / 100.0)),
            _ => Err(format!("`{text}` is no width: write a percentage from 0.01 to 100, for example 2%")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", (self.0 * 1e6).round() / 1e4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_units() {
        let of = |text: &str| text.parse::<Time>().map(|time| time.0.as_secs_f64());
        assert_eq!((of("90"), of("1.5m"), of("2h")), (Ok(90.0), Ok(90.0), Ok(7200.0)));
        for wrong in ["", "soon", "5 minutes", "-1", "0", "1e9", "9999999h"] {
            assert!(of(wrong).unwrap_err().contains(&format!("`{wrong}`")), "{wrong}");
        }
    }

    #[test]
    fn percentages_are_read_and_shown() {
        let of = |text: &str| text.parse::<Percent>().map(|percent| percent.0);
        assert_eq!((of("2"), of("0.5%"), of("10 %")), (Ok(0.02), Ok(0.005), Ok(0.1)));
        assert_eq!(Percent(0.005).to_string(), "0.5 %");
        for wrong in ["", "0", "two", "101"] {
            assert!(of(wrong).unwrap_err().contains(&format!("`{wrong}`")), "{wrong}");
        }
    }
}
