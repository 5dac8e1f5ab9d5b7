//! The line by which a load tells the matrix what it found: `checksum=17 peak_kib=2048`.

use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    fields: Vec<(String, u64)>,
    /// In place of fields, for the one answer that is no number.
    text: Option<String>,
}

impl Line {
    pub fn text(text: String) -> Line {
        Line { text: Some(text), ..Line::default() }
    }

    pub fn with(mut self, name: &str, value: u64) -> Line {
        self.fields.push((name.into(), value));
        self
    }

    pub fn get(&self, name: &str) -> Option<u64> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Finds the line among what a program printed; the last one counts.
    pub fn parse(output: &str) -> Option<Line> {
        output.lines().rev().find_map(|line| {
            let fields: Option<Vec<_>> = line.split(' ').map(field).collect();
            fields.filter(|fields| !fields.is_empty()).map(|fields| Line { fields, text: None })
        })
    }
}

fn field(word: &str) -> Option<(String, u64)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.parse().ok()?))
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        for (at, (name, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let line = Line::default().with("checksum", u64::MAX).with("peak_kib", 12);
        assert_eq!(Line::parse(&format!("hello, world\n{line}\n")), Some(line));
    }

    #[test]
    fn other_text_is_no_line() {
        assert_eq!(Line::parse(""), None);
        assert_eq!(Line::parse("checksum=yes"), None);
        assert_eq!(Line::parse("error: a = 3\n"), None);
    }
}
