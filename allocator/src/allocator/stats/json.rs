//! Statistics for machines: an object of JSON (RFC 8259).
#![forbid(unsafe_code)]

use super::{Classes, Stats};
use crate::base::print;
use core::fmt::{Result, Write};

impl Stats {
    /// Writes one object of JSON, without a line's end. Sizes are in bytes; `break` is null before the first
    /// request; `calls` has a row for each call and reason that there was anything of, and `classes`, if they
    /// are given, one for each size class that has slabs or chunks.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn write_json(&self, out: &mut impl Write, classes: Option<Classes>) -> Result {
        let mut fields = Fields::begin(out)?;
        for (name, figure) in self.figures() {
            fields.number(name, figure)?;
        }
        fields.name("break")?;
        match self.break_mode {
            None => fields.out.write_str("null")?,
            Some(mode) => {
                fields.out.write_str("{\"mode\":\"")?;
                fields.out.write_str(mode.name())?;
                fields.out.write_str("\",\"start\":")?;
                print::number(fields.out, self.break_start)?;
                fields.out.write_str(",\"end\":")?;
                print::number(fields.out, self.break_end)?;
                fields.out.write_str("}")?;
            }
        }
        fields.list("calls", self.made(), |out, (call, reason, tally)| {
            let mut row = Fields::begin(out)?;
            row.word("call", call.name())?;
            row.word("reason", reason.name())?;
            row.number("calls", tally.calls)?;
            row.number("bytes", tally.bytes)?;
            row.number("refused", tally.refused)?;
            row.end()
        })?;
        if let Some(classes) = classes {
            fields.list("classes", classes, |out, class| {
                let mut row = Fields::begin(out)?;
                row.number("size", class.size)?;
                row.number("live", class.live)?;
                row.number("cached", class.cached)?;
                row.number("free", class.free)?;
                row.number("active", class.active)?;
                row.end()
            })?;
        }
        fields.end()
    }
}

/// An object that is being written. Names and words are of plain letters: nothing needs an escape.
struct Fields<'a, W: Write> {
    out: &'a mut W,
    any: bool,
}

impl<'a, W: Write> Fields<'a, W> {
    fn begin(out: &'a mut W) -> core::result::Result<Self, core::fmt::Error> {
        out.write_str("{")?;
        Ok(Fields { out, any: false })
    }

    fn name(&mut self, name: &str) -> Result {
        let before = if self.any { ",\"" } else { "\"" };
        self.any = true;
        [before, name, "\":"].into_iter().try_for_each(|text| self.out.write_str(text))
    }

    fn number(&mut self, name: &str, number: usize) -> Result {
        self.name(name)?;
        print::number(self.out, number)
    }

    fn word(&mut self, name: &str, word: &str) -> Result {
        self.name(name)?;
        ["\"", word, "\""].into_iter().try_for_each(|text| self.out.write_str(text))
    }

    fn list<T>(
        &mut self,
        name: &str,
        rows: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut W, T) -> Result,
    ) -> Result {
        self.name(name)?;
        let mut before = "[";
        for row in rows {
            self.out.write_str(before)?;
            write(self.out, row)?;
            before = ",";
        }
        self.out.write_str(if before == "[" { "[]" } else { "]" })
    }

    fn end(self) -> Result {
        self.out.write_str("}")
    }
}
