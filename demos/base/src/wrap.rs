//! Prose in lines that fit.

use anstream::adapter::strip_str;

/// Breaks a paragraph into lines of at most `width` characters, all but the first indented. A unit stays with its
/// number, and a word that is longer than a line stays whole. Colours take no room.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let columns = |text: &str| strip_str(text).to_string().chars().count();
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_unit = matches!(
            word.trim_end_matches([',', ';', ':', '.', ')']),
            "B" | "KiB" | "MiB" | "GiB" | "%" | "ms"
        );
        match words.last_mut() {
            Some(number) if is_unit => *number = format!("{number} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    let mut words = words.into_iter();
    let mut lines = vec![words.next().unwrap_or_default()];
    for word in words {
        let line = lines.last_mut().expect("there is a first line");
        if columns(line) + 1 + columns(&word) > width {
            lines.push(format!("{indent}{word}"));
        } else {
            *line = format!("{line} {word}");
        }
    }
    lines.join("\n")
}

/// A line that fits stays as it is; of one that does not, the blanks in front are those of its lines too.
pub fn fit(line: &str, width: usize) -> String {
    if strip_str(line).to_string().chars().count() <= width {
        return line.to_owned();
    }
    let indent = &line[..line.len() - line.trim_start().len()];
    format!("{indent}{}", wrap(line, width - indent.len().min(width), indent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::{STRONG, paint};

    #[test]
    fn paragraphs_are_wrapped_and_indented() {
        assert_eq!(wrap("one two three", 7, "  "), "one two\n  three");
        assert_eq!(wrap("one", 2, ""), "one");
        assert_eq!(wrap("", 10, ""), "");
        assert_eq!(wrap("at 64 KiB, then", 7, ""), "at\n64 KiB,\nthen");
        assert_eq!(wrap("less (3 to 5 %).", 11, ""), "less (3 to\n5 %).");
        let strong = paint(STRONG, "one");
        assert_eq!(wrap(&format!("{strong} two three"), 7, ""), format!("{strong} two\nthree"));
    }

    #[test]
    fn what_fits_keeps_its_blanks() {
        assert_eq!(fit("  a   b", 7), "  a   b");
        assert_eq!(fit("  a   b", 4), "  a\n  b");
    }
}
