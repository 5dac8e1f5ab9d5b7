//! Where everything is: for a picture.
#![forbid(unsafe_code)]

use crate::allocator::Allocator;
use crate::arena::parts::{Part, Use};
use crate::base::config::GRANULE;
use crate::base::print;
use crate::large::parts::LargePart;
use crate::os::Os;
use core::fmt::{Result, Write};

impl<O: Os> Allocator<O> {
    /// Writes two fields of an object of JSON, behind others: `parts`, each an address, the bytes and the use
    /// of what is side by side there; and `granule`, the unit of the arena's.
    pub fn write_parts(&self, out: &mut impl Write) -> Result {
        out.write_str(",\"granule\":")?;
        print::number(out, GRANULE)?;
        out.write_str(",\"parts\":[")?;
        let (mut before, mut result) = ("", Ok(()));
        let mut row = |at: usize, len: usize, word: &str| {
            let written = result.and_then(|()| {
                out.write_str(before)?;
                out.write_str("[")?;
                print::number(out, at)?;
                out.write_str(",")?;
                print::number(out, len)?;
                [",\"", word, "\"]"].into_iter().try_for_each(|text| out.write_str(text))
            });
            (before, result) = (",", written);
        };
        self.arena.for_each_part(|Part { at, len, used_for }| row(at.addr(), len, word(used_for)));
        self.large.for_each_part(|part| match part {
            LargePart::Block(at, len) => row(at.addr(), len, "large"),
            LargePart::Cached(at, len) => row(at.addr(), len, "cached"),
            LargePart::Table(at, len) => row(at.addr(), len, "tables"),
        });
        self.registry.for_each_mapping(&self.arena, |at, len| row(at.addr(), len, "tables"));
        result?;
        out.write_str("]")
    }
}

fn word(used_for: Use) -> &'static str {
    match used_for {
        Use::None => "none",
        Use::Free => "free",
        Use::Dirty => "dirty",
        Use::Slab => "slabs",
        Use::Chunk => "chunks",
        Use::Span => "spans",
        Use::Tables => "tables",
    }
}
