//! Text without core's formatting, which can panic, and brings some 200 KiB of std along.
#![forbid(unsafe_code)]

use crate::base::text::Text;
use core::fmt::{Result, Write};

/// A number in decimal.
pub fn number(out: &mut impl Write, number: usize) -> Result {
    padded(out, number, 0)
}

/// The same, right-aligned in at least so many columns.
pub fn padded(out: &mut impl Write, number: usize, columns: usize) -> Result {
    let mut text = Text::<40>::new();
    text.number(number, columns);
    out.write_str(text.as_str())
}

/// A word, left-aligned in at least so many columns.
pub fn word(out: &mut impl Write, word: &str, columns: usize) -> Result {
    out.write_str(word)?;
    (word.len()..columns).try_for_each(|_| out.write_str(" "))
}

/// Bytes as people read them, right-aligned in eleven columns: `1023 B`, `12.34 MiB`.
pub fn size(out: &mut impl Write, bytes: usize) -> Result {
    const UNITS: [&str; 6] = ["  B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut whole, mut hundredths, mut unit) = (bytes, 0, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        (hundredths, whole, unit) = (whole % 1024 * 100 / 1024, whole / 1024, unit + 1);
    }
    let mut text = Text::<40>::new();
    if unit == 0 {
        text.number(whole, 7);
    } else {
        text.number(whole, 4);
        text.push(".");
        text.number(hundredths / 10, 0);
        text.number(hundredths % 10, 0);
    }
    text.push(" ");
    text.push(UNITS.get(unit).unwrap_or(&""));
    out.write_str(text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_cut_to_a_hundredth_of_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "      0   B"),
            (1023, "   1023   B"),
            (1024, "   1.00 KiB"),
            (1 << 20, "   1.00 MiB"),
            ((1 << 20) - 1, "1023.99 KiB"),
            (1234 << 20, "   1.20 GiB"),
            (usize::MAX, "16383.99 PiB"),
        ] {
            let mut out = String::new();
            size(&mut out, bytes).unwrap();
            assert_eq!(out, text, "{bytes}");
        }
    }
}
