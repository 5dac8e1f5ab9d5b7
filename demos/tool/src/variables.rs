//! The variables that brkmap reads, and those that look as if it did.

use std::ffi::{OsStr, OsString};

/// From how many bytes on a request is a mapping. The first that has a value wins.
const THRESHOLDS: [&str; 2] = ["BRKMAP_MMAP_THRESHOLD", "MALLOC_MMAP_THRESHOLD_"];
const DEFAULT: u64 = 128 << 10;
const LEAST: u64 = 1025;
const MOST: u64 = 32 << 20;

/// A variable that does not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub name: String,
    pub reason: &'static str,
    pub text: String,
    pub help: String,
}

/// The threshold in force in an environment, and what sets it.
pub fn threshold(environment: &[(OsString, OsString)]) -> (u64, Option<&'static str>) {
    let set = THRESHOLDS.iter().find_map(|name| {
        let bytes = bytes(&value(environment, name)?).filter(|bytes| *bytes <= MOST)?;
        Some((bytes.max(LEAST), Some(*name)))
    });
    set.unwrap_or((DEFAULT, None))
}

/// What in an environment does nothing, or something else.
pub fn wrong(environment: &[(OsString, OsString)]) -> Vec<Wrong> {
    let mut found = Vec::new();
    for name in THRESHOLDS {
        let Some(value) = value(environment, name) else { continue };
        let wrong = |text: String, help: String| Wrong { name: name.to_owned(), reason: "value", text, help };
        match bytes(&value) {
            Some(bytes) if bytes < LEAST => {
                let text = format!("{name} is `{value}`: {LEAST} is taken, the least there is.");
                found.push(wrong(text, String::new()));
            }
            Some(bytes) if bytes <= MOST => {}
            _ => {
                let text = format!("{name} is `{value}`, which is ignored.");
                let help = format!("It is a count of bytes up to {MOST}, in decimal or with 0x.");
                found.push(wrong(text, help));
            }
        }
    }
    for (name, _) in environment {
        let name = name.to_string_lossy();
        if name.starts_with("BRKMAP_") && !THRESHOLDS.contains(&name.as_ref()) {
            found.push(Wrong {
                name: name.clone().into_owned(),
                reason: "unknown_variable",
                text: format!("{name} is set, and brkmap reads no variable of that name."),
                help: format!("It reads {}.", THRESHOLDS[0]),
            });
        }
    }
    found
}

fn value(environment: &[(OsString, OsString)], name: &str) -> Option<String> {
    let found = environment.iter().find(|(known, _)| known == OsStr::new(name));
    found.map(|(_, value)| value.to_string_lossy().into_owned())
}

/// A count of bytes as brkmap reads it.
fn bytes(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let plain = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn values_are_read_as_the_allocator_reads_them() {
        assert_eq!(
            (bytes("131072"), bytes("0x20000"), bytes("0X1f")),
            (Some(131_072), Some(131_072), Some(31))
        );
        for bad in ["", "0x", "12k", "+1", "-1", "99999999999999999999999"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_threshold_that_is_one_wins() {
        let of = |pairs: &[(&str, &str)]| threshold(&environment(pairs));
        assert_eq!(of(&[]), (DEFAULT, None));
        assert_eq!(of(&[("MALLOC_MMAP_THRESHOLD_", "65536")]), (65536, Some("MALLOC_MMAP_THRESHOLD_")));
        let both = [("MALLOC_MMAP_THRESHOLD_", "65536"), ("BRKMAP_MMAP_THRESHOLD", "100")];
        assert_eq!(of(&both), (LEAST, Some("BRKMAP_MMAP_THRESHOLD")));
        let ours_is_wrong = [("MALLOC_MMAP_THRESHOLD_", "65536"), ("BRKMAP_MMAP_THRESHOLD", "33554433")];
        assert_eq!(of(&ours_is_wrong).0, 65536);
    }

    #[test]
    fn names_and_values_that_do_nothing_are_told() {
        let told = |pairs: &[(&str, &str)]| {
            wrong(&environment(pairs)).into_iter().map(|wrong| wrong.reason).collect::<Vec<_>>()
        };
        assert!(told(&[("BRKMAP_MMAP_THRESHOLD", "65536"), ("PATH", "/bin")]).is_empty());
        assert_eq!(
            told(&[("BRKMAP_MMAP_TRESHOLD", "1"), ("BRKMAP_MMAP_THRESHOLD", "1")]),
            ["value", "unknown_variable"]
        );
        assert_eq!(told(&[("MALLOC_MMAP_THRESHOLD_", "64K")]), ["value"]);
    }
}
