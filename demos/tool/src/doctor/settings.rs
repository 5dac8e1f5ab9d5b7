//! Which configuration is in force, as far as it can be seen from outside.

use brkmap_base::Bytes;
use brkmap_witness::maps::Maps;

use super::finding::{Finding, note};
use super::machine::Fact;
use super::patient::Patient;

/// The variables that brkmap reads; the first that has a value wins.
const THRESHOLDS: [&str; 2] = ["BRKMAP_MMAP_THRESHOLD", "MALLOC_MMAP_THRESHOLD_"];
const DEFAULT: u64 = 128 << 10;
const LEAST: u64 = 1025;
const MOST: u64 = 32 << 20;

pub fn of(patient: &Patient, in_effect: bool) -> (Vec<Fact>, Vec<Finding>) {
    let mut wrong = Vec::new();
    let mut threshold = (DEFAULT, "the default".to_owned());
    if patient.secure {
        threshold.1 = "the default; with raised rights no variable is read".to_owned();
    } else {
        for name in THRESHOLDS.iter().rev() {
            let Some(value) = patient.variable(name).map(|value| value.to_string_lossy().into_owned()) else {
                continue;
            };
            match bytes(&value).filter(|bytes| *bytes <= MOST) {
                Some(bytes) => threshold = (bytes.max(LEAST), format!("by {name}")),
                None => {
                    let text = format!("{name} is `{value}`, which is ignored.");
                    let help = format!("It is a count of bytes up to {MOST}, in decimal or with 0x.");
                    wrong.push(note("value", text, help));
                }
            }
            if bytes(&value).is_some_and(|bytes| bytes < LEAST) {
                let text = format!("{name} is `{value}`: {LEAST} is taken, the least there is.");
                wrong.push(note("value", text, ""));
            }
        }
    }
    for (name, _) in &patient.environment {
        let name = name.to_string_lossy();
        if name.starts_with("BRKMAP_") && !THRESHOLDS.contains(&name.as_ref()) {
            let text = format!("{name} is set, and brkmap reads no variable of that name.");
            wrong.push(note("unknown_variable", text, format!("It reads {}.", THRESHOLDS[0])));
        }
    }
    let mut facts = vec![Fact::plain("mmap threshold", format!("{} ({})", Bytes(threshold.0), threshold.1))];
    if let Some(pid) = patient.pid.filter(|_| in_effect) {
        facts.push(arena(pid));
    }
    (facts, wrong)
}

/// Whose the arena's memory is: the kernel names the break `[heap]`.
fn arena(pid: i32) -> Fact {
    let maps = Maps::of(pid).ok();
    let length = maps.as_ref().and_then(|maps| {
        let heap = maps.regions().find(|region| region.line.ends_with("[heap]"))?;
        Some((heap.addresses.end - heap.addresses.start) as u64)
    });
    match length {
        Some(length) => Fact::plain("arena", format!("the break, {}", Bytes(length))),
        None => Fact::plain("arena", "regions by mmap: the process has no break"),
    }
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
}
