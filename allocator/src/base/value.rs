//! The value of a key: read from text as people write it, and written back so that it can be read again.
#![forbid(unsafe_code)]

use crate::base::keys::{Kind, TEXT_MOST};
use crate::base::text::Text;

/// What a text says of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// The word.
    Is(usize),
    /// The nearest word that there is.
    Clamped(usize, Bound),
    /// The text itself.
    Text,
    /// None that the key takes.
    Wrong,
}

/// Which bound was passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// It is less than the least there is.
    Least,
    /// It is more than the most there is.
    Most,
}

/// Reads a value. `None` is a key without one.
pub fn read(kind: Kind, text: Option<&[u8]>) -> Read {
    let Some(text) = text else { return if kind == Kind::Switch { Read::Is(1) } else { Read::Wrong } };
    let word = |word: Option<usize>, least, most| match word {
        None => Read::Wrong,
        Some(word) if word < least => Read::Clamped(least, Bound::Least),
        Some(word) if word > most => Read::Clamped(most, Bound::Most),
        Some(word) => Read::Is(word),
    };
    match kind {
        Kind::Bytes(least, most) => word(bytes(text), least, most),
        Kind::Share(most) => word(share(text), 0, most),
        Kind::Time(most) => word(time(text), 0, most),
        Kind::Switch => switch(text).map_or(Read::Wrong, |on| Read::Is(on as usize)),
        Kind::Choice(choices) => {
            let place = choices.iter().position(|choice| text.eq_ignore_ascii_case(choice.as_bytes()));
            place.map_or(Read::Wrong, Read::Is)
        }
        Kind::Text if (1..=TEXT_MOST).contains(&text.len()) => Read::Text,
        Kind::Text => Read::Wrong,
    }
}

/// Bytes: digits, perhaps with a fraction, and a unit of 1024; or hexadecimal digits behind `0x`. More than a
/// word holds is the most that one does.
pub fn bytes(text: &[u8]) -> Option<usize> {
    if let [b'0', b'x' | b'X', digits @ ..] = text {
        return hexadecimal(digits);
    }
    let (number, unit) = number(text)?;
    let shift = match unit {
        [] | [b'b' | b'B'] => 0,
        [letter] => shift_of(*letter)?,
        [letter, b'i' | b'I', b'b' | b'B'] => shift_of(*letter)?,
        _ => return None,
    };
    number.times(1 << shift)
}

fn shift_of(letter: u8) -> Option<u32> {
    match letter.to_ascii_lowercase() {
        b'k' => Some(10),
        b'm' => Some(20),
        b'g' => Some(30),
        b't' => Some(40),
        _ => None,
    }
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as usize);
    if digits.is_empty() || !digits.iter().all(|byte| digit(byte).is_some()) {
        return None;
    }
    let sum = digits
        .iter()
        .filter_map(digit)
        .try_fold(0usize, |sum, digit| sum.checked_mul(16).map(|sum| sum + digit));
    Some(sum.unwrap_or(usize::MAX))
}

/// A share in 1024ths of the whole, from per cents.
fn share(text: &[u8]) -> Option<usize> {
    let (number, unit) = number(text)?;
    // Rounded: an integer share reads back as what was written.
    let tenths = number.times(1024 * 10).filter(|_| matches!(unit, [] | [b'%']))?;
    Some(tenths.saturating_add(500) / 1000)
}

/// Milliseconds, which are meant where no unit is written.
fn time(text: &[u8]) -> Option<usize> {
    if text.eq_ignore_ascii_case(b"off") {
        return Some(0);
    }
    let (number, unit) = number(text)?;
    let millis = match unit {
        [] | [b'm', b's'] => 1,
        [b's'] => 1000,
        [b'm'] | [b'm', b'i', b'n'] => 60_000,
        [b'h'] => 3_600_000,
        _ => return None,
    };
    number.times(millis)
}

/// `on` or `off`, and what else people write for the two.
pub fn switch(text: &[u8]) -> Option<bool> {
    let is = |words: [&[u8]; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match () {
        () if is([b"on", b"true", b"yes", b"1"]) => Some(true),
        () if is([b"off", b"false", b"no", b"0"]) => Some(false),
        () => None,
    }
}

/// A decimal number: a whole, and thousandths of a thousandth of one.
struct Number {
    whole: usize,
    millionths: usize,
}

impl Number {
    /// Times a unit, rounded down; the most that there is where that is more.
    fn times(self, unit: usize) -> Option<usize> {
        let fraction = self.millionths as u128 * unit as u128 / 1_000_000;
        Some(self.whole.saturating_mul(unit).saturating_add(fraction as usize))
    }
}

/// The number that a text begins with, and the rest: its unit, after blanks perhaps.
fn number(text: &[u8]) -> Option<(Number, &[u8])> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = |digits: &[u8]| {
        let add = |sum: usize, byte: &u8| sum.saturating_mul(10).saturating_add((byte - b'0') as usize);
        digits.iter().fold(0, add)
    };
    let (whole, rest) = text.split_at_checked(digits(text)).filter(|(whole, _)| !whole.is_empty())?;
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => rest.split_at_checked(digits(rest)).filter(|(digits, _)| !digits.is_empty())?,
        _ => (&[][..], rest),
    };
    let places = fraction.get(..6).unwrap_or(fraction);
    let millionths = (places.len()..6).fold(value(places), |sum, _| sum * 10);
    Some((Number { whole: value(whole), millionths }, rest.trim_ascii()))
}

/// Writes a word as it is read: `128K`, `12.5%`, `10s`, `on`. A text is not in its word.
pub fn write<const N: usize>(out: &mut Text<N>, kind: Kind, word: usize) {
    match kind {
        Kind::Bytes(..) => {
            in_units(out, word, &[(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")])
        }
        Kind::Share(_) => {
            let tenths = (word * 1000 + 512) / 1024;
            out.number(tenths / 10, 0);
            if tenths % 10 != 0 {
                out.push(".");
                out.number(tenths % 10, 0);
            }
            out.push("%");
        }
        Kind::Time(_) if word == 0 => out.push("off"),
        Kind::Time(_) => in_units(out, word, &[(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")]),
        Kind::Switch => out.push(if word == 0 { "off" } else { "on" }),
        Kind::Choice(choices) => out.push(choices.get(word).unwrap_or(&"")),
        Kind::Text => {}
    }
}

/// By the largest unit that is exact.
fn in_units<const N: usize>(out: &mut Text<N>, word: usize, units: &[(usize, &str)]) {
    let exact = units.iter().find(|(unit, _)| word >= *unit && word.checked_rem(*unit) == Some(0));
    let (unit, name) = exact.unwrap_or(&(1, ""));
    out.number(word.checked_div(*unit).unwrap_or(word), 0);
    out.push(name);
}

/// Says what a value looks like: behind "it takes".
pub fn describe<const N: usize>(out: &mut Text<N>, kind: Kind) {
    match kind {
        Kind::Bytes(least, most) => {
            out.push("bytes from ");
            write(out, kind, least);
            out.push(" to ");
            write(out, kind, most);
            out.push(", as 4096, 64K or 1.5M");
        }
        Kind::Share(most) => {
            out.push("a share up to ");
            write(out, kind, most);
            out.push(", as 12.5%");
        }
        Kind::Time(most) => {
            out.push("a time up to ");
            write(out, kind, most);
            out.push(", as 250ms, 10s or off");
        }
        Kind::Switch => out.push("on or off"),
        Kind::Choice(choices) => {
            for (place, choice) in choices.iter().enumerate() {
                out.push(match place {
                    0 => "",
                    _ if place + 1 == choices.len() => " or ",
                    _ => ", ",
                });
                out.push(choice);
            }
        }
        Kind::Text => out.push("text of 1 to 255 bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, word) in [
            ("131072", 131_072),
            ("0x20000", 131_072),
            ("64K", 65_536),
            ("64k", 65_536),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("1M", 1 << 20),
            ("1.5MiB", 3 << 19),
            ("0.5G", 1 << 29),
            ("1GiB", 1 << 30),
            ("2T", 2 << 40),
            ("7B", 7),
            ("0", 0),
            ("99999999999999999999999", usize::MAX),
            ("0xfffffffffffffffff", usize::MAX),
        ] {
            assert_eq!(bytes(text.as_bytes()), Some(word), "{text}");
        }
        // A KB can be two things.
        for bad in ["", "0x", "0xg", "K", "12Q", "12KB", "-1", "+1", "1.", ".5", "1..5", "1_000", "1K1"] {
            assert_eq!(bytes(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn shares_and_times_have_units() {
        let is = |kind, text: &str| read(kind, Some(text.as_bytes()));
        let share = Kind::Share(1024);
        assert_eq!([is(share, "12.5%"), is(share, "100"), is(share, "0")].map(word_of), [128, 1024, 0]);
        assert_eq!(is(share, "101%"), Read::Clamped(1024, Bound::Most));
        assert_eq!([is(share, "5s"), is(share, "%"), is(share, "-1")], [Read::Wrong; 3]);
        let times = ["250ms", "250", "10s", "2m", "1h", "off", "0", "1.5s"];
        let times = times.map(|text| word_of(is(Kind::Time(usize::MAX), text)));
        assert_eq!(times, [250, 250, 10_000, 120_000, 3_600_000, 0, 0, 1500]);
        assert_eq!([is(Kind::Time(1), "5d"), is(Kind::Time(1), "s")], [Read::Wrong; 2]);
    }

    fn word_of(read: Read) -> usize {
        match read {
            Read::Is(word) => word,
            _ => panic!("{read:?}"),
        }
    }

    #[test]
    fn what_is_beyond_a_bound_is_the_bound_and_said_to_be() {
        let kind = Kind::Bytes(1025, 32 << 20);
        assert_eq!(read(kind, Some(b"64")), Read::Clamped(1025, Bound::Least));
        assert_eq!(read(kind, Some(b"1G")), Read::Clamped(32 << 20, Bound::Most));
        assert_eq!(read(kind, Some(b"64K")), Read::Is(64 << 10));
        assert_eq!((read(kind, Some(b"x")), read(kind, None)), (Read::Wrong, Read::Wrong));
    }

    #[test]
    fn words_are_switches_choices_and_texts() {
        assert_eq!(read(Kind::Switch, None), Read::Is(1), "a key alone is on");
        assert_eq!(
            ["ON", "yes", "0", "off"].map(|text| switch(text.as_bytes())),
            [Some(true), Some(true), Some(false), Some(false)]
        );
        assert_eq!(read(Kind::Switch, Some(b"maybe")), Read::Wrong);
        let choice = Kind::Choice(&["a", "bc"]);
        assert_eq!((read(choice, Some(b"BC")), read(choice, Some(b"b"))), (Read::Is(1), Read::Wrong));
        assert_eq!((read(Kind::Text, Some(b"x")), read(Kind::Text, Some(b""))), (Read::Text, Read::Wrong));
        assert_eq!(read(Kind::Text, Some(&[b'x'; TEXT_MOST + 1])), Read::Wrong);
    }

    #[test]
    fn every_word_is_written_so_that_it_is_read_back() {
        let kinds = [
            (Kind::Bytes(0, usize::MAX), vec![0, 1, 1023, 1024, 1025, 7 << 20, 3 << 30, 1 << 46]),
            (Kind::Time(usize::MAX), vec![0, 1, 999, 1000, 90_000, 120_000, 3_600_000]),
            (
                Kind::Share(1024),
                (0..=1000)
                    .step_by(if cfg!(miri) { 50 } else { 1 })
                    .map(|tenths| (tenths * 1024 + 500) / 1000)
                    .collect(),
            ),
            (Kind::Switch, vec![0, 1]),
            (Kind::Choice(&["a", "bc"]), vec![0, 1]),
        ];
        for (kind, words) in kinds {
            for word in words {
                let mut text = Text::<32>::new();
                write(&mut text, kind, word);
                assert_eq!(read(kind, Some(text.bytes())), Read::Is(word), "{:?}", text.bytes());
            }
        }
    }
}
