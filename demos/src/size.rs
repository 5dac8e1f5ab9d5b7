//! Sizes as people write them: `4096`, `64K`, `16M`, `1G`.

const UNITS: [(char, u64); 3] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];

/// For clap's `value_parser`.
pub fn parse(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_uppercase();
    let upper = upper.strip_suffix("IB").unwrap_or(&upper);
    let unit = UNITS.iter().find_map(|&(letter, unit)| Some((upper.strip_suffix(letter)?, unit)));
    let (digits, unit) = unit.unwrap_or((upper, 1));
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|&size| size > 0)
        .ok_or_else(|| format!("{text:?} is no size; give bytes, or a number with K, M or G, such as 64M"))
}

pub fn show(bytes: u64) -> String {
    match UNITS.iter().rev().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((letter, unit)) => format!("{} {letter}iB", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("64k"), Ok(65536));
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        for wrong in ["", "0", "-1", "12X", "M", "99999999999G"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_divides_them() {
        assert_eq!(show(64 << 20), "64 MiB");
        assert_eq!(show(1000), "1000 bytes");
    }
}
