//! A number of bytes, as people write and read it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A number of bytes. Reads `10`, `64K`, `1.5MiB`, `1_000B`; shows the largest unit that is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

impl Bytes {
    pub const KIB: u64 = 1 << 10;
    pub const MIB: u64 = 1 << 20;
    pub const GIB: u64 = 1 << 30;

    /// For work that needs a byte at least, as clap's `value_parser`.
    pub fn some(text: &str) -> Result<Bytes, String> {
        text.parse().and_then(|bytes: Bytes| match bytes.0 {
            0 => Err(format!("`{text}` is no size to work with: {USAGE}")),
            _ => Ok(bytes),
        })
    }

    /// Three digits are enough for a total; a boundary needs every byte and uses `Display`.
    pub fn rounded(self) -> String {
        let (unit, shift) = UNITS.iter().rev().find(|(_, shift)| self.0 >= 1 << shift).unwrap_or(&UNITS[0]);
        let value = self.0 as f64 / (1u64 << shift) as f64;
        let digits = if *shift == 0 || value >= 100.0 || self.0.is_multiple_of(1 << shift) {
            0
        } else if value >= 10.0 {
            1
        } else {
            2
        };
        format!("{value:.digits$} {unit}")
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, shift): &&(&str, u32)| self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift);
        let (unit, shift) = UNITS.iter().rev().find(exact).unwrap_or(&UNITS[0]);
        f.pad(&format!("{} {unit}", self.0 >> shift))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').unwrap_or(text.len());
        let (number, unit) = (text[..end].replace('_', ""), text[end..].trim());
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            "kb" | "mb" | "gb" | "tb" => {
                let right = unit[..1].to_ascii_uppercase();
                return Err(format!("`{unit}` can mean two things; for powers of 1024 write {right}iB"));
            }
            _ if number.is_empty() => return Err(format!("`{text}` is no size: {USAGE}")),
            _ => return Err(format!("`{unit}` is no unit: {USAGE}")),
        };
        shifted(&number, shift, text).map(Bytes)
    }
}

const USAGE: &str = "write a number and, if you like, a unit: 10, 64K, 64MiB, 1.5GiB";

/// A decimal number times two to the power of `shift`, exactly.
fn shifted(number: &str, shift: u32, text: &str) -> Result<u64, String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    // More places than these divide no unit here.
    let places = fraction.len().min(19) as u32;
    let digits: Option<u128> = format!("{whole}{}", &fraction[..places as usize]).parse().ok();
    let digits =
        digits.filter(|_| !whole.is_empty()).ok_or_else(|| format!("`{text}` is no size: {USAGE}"))?;
    let scale = 10_u128.pow(places);
    let too_large = || format!("`{text}` is more than 64 bits hold");
    let scaled = digits.checked_mul(1 << shift).ok_or_else(too_large)?;
    if fraction.len() > places as usize || !scaled.is_multiple_of(scale) {
        return Err(format!(
            "`{text}` is no whole number of bytes; {} would be",
            Bytes((scaled / scale) as u64)
        ));
    }
    u64::try_from(scaled / scale).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<u64, String> {
        text.parse::<Bytes>().map(|bytes| bytes.0)
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!(parse("10"), Ok(10));
        assert_eq!(parse("10B"), Ok(10));
        assert_eq!(parse("64k"), Ok(65536));
        assert_eq!(parse("64 KiB"), Ok(65536));
        assert_eq!(parse("10M"), Ok(10 << 20));
        assert_eq!(parse("1_000"), Ok(1000));
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        assert_eq!(parse("1.5MiB"), Ok(3 << 19));
        assert_eq!(parse("0.125K"), Ok(128));
        assert_eq!(parse("3.0"), Ok(3));
    }

    #[test]
    fn what_is_no_size_is_named_in_the_error() {
        assert!(parse("ten").unwrap_err().contains("`ten`"));
        assert!(parse("").unwrap_err().contains("write a number"));
        for wrong in ["-1", ".5M", "M", "1.2.3K", "."] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("1.3K").unwrap_err().contains("1331 B would be"));
        assert!(parse("10 pages").unwrap_err().contains("`pages`"));
        assert!(parse("10KB").unwrap_err().contains("KiB"));
        for large in ["99999999999T", "99999999999999999999999999999999999999T"] {
            assert!(parse(large).unwrap_err().contains("64 bits"), "{large}");
        }
    }

    #[test]
    fn shown_sizes_are_exact_and_read_back() {
        for bytes in [0, 1, 1023, 1024, 131_071, 131_072, 135_168, 10 << 20, (10 << 20) + 4096, 1 << 40] {
            assert_eq!(parse(&Bytes(bytes).to_string()), Ok(bytes));
        }
        assert_eq!(Bytes(131_071).to_string(), "131071 B");
        assert_eq!(Bytes(135_168).to_string(), "132 KiB");
        assert_eq!(Bytes(10 << 20).to_string(), "10 MiB");
    }

    #[test]
    fn totals_are_rounded_to_three_digits() {
        assert_eq!(Bytes(0).rounded(), "0 B");
        assert_eq!(Bytes(999).rounded(), "999 B");
        assert_eq!(Bytes(1536).rounded(), "1.50 KiB");
        assert_eq!(Bytes(10 << 20).rounded(), "10 MiB");
        assert_eq!(Bytes((10 << 20) + (512 << 10)).rounded(), "10.5 MiB");
    }
}
