//! Statistics for people.
#![forbid(unsafe_code)]

use super::{Classes, Stats};
use crate::base::print;
use core::fmt::{Display, Formatter, Result, Write};

impl Stats {
    /// The figures by name, in bytes or counts.
    pub(super) fn figures(&self) -> impl Iterator<Item = (&'static str, usize)> + use<> {
        [
            ("allocated", self.allocated),
            ("active", self.active),
            ("resident", self.resident),
            ("mapped", self.mapped),
            ("retained", self.retained),
            ("metadata", self.metadata),
            ("cached", self.cached),
            ("dirty", self.dirty),
            ("arena_bytes", self.arena_bytes),
            ("arena_used_bytes", self.arena_used_bytes),
            ("arena_peak_bytes", self.arena_peak_bytes),
            ("top_bytes", self.top_bytes),
            ("slab_bytes", self.slab_bytes),
            ("small_bytes", self.small_bytes),
            ("chunk_bytes", self.chunk_bytes),
            ("medium_bytes", self.medium_bytes),
            ("span_bytes", self.span_bytes),
            ("large_blocks", self.large_blocks),
            ("large_bytes", self.large_bytes),
            ("cached_blocks", self.cached_blocks),
            ("cached_bytes", self.cached_bytes),
            ("heaps", self.heaps as usize),
            ("mmap_threshold", self.mmap_threshold),
        ]
        .into_iter()
    }

    /// Writes a page for people, with a table of the size classes if they are given: what there is, and each
    /// call with its reasons.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn write_text(&self, out: &mut impl Write, classes: Option<Classes>) -> Result {
        for (name, bytes, what) in [
            ("allocated", self.allocated, "with the program"),
            ("  small", self.small_bytes, "in slabs, up to 32 KiB each"),
            ("  medium", self.medium_bytes, "in chunks, up to 256 KiB each and below the mmap threshold"),
            ("  spans", self.span_bytes, "granules of 64 KiB, where no chunk serves"),
            ("  large", self.large_bytes, "mappings of their own"),
            ("active", self.active, "the slabs, chunks, spans and mappings that those are in"),
            ("cached", self.cached, "free blocks that threads have at hand, or on their way home"),
            ("dirty", self.dirty, "free, and may have pages still"),
            ("resident", self.resident, "may have pages, at most"),
            ("retained", self.retained, "free addresses without pages"),
            ("metadata", self.metadata, "tables, most of them never touched"),
            ("mapped", self.mapped, "all addresses"),
        ] {
            print::word(out, name, 11)?;
            print::size(out, bytes)?;
            ["  ", what, "\n"].into_iter().try_for_each(|text| out.write_str(text))?;
        }
        let mode = self.break_mode.map_or("not begun", |mode| mode.name());
        for (before, number) in [
            ("large blocks ", self.large_blocks),
            (", cached mappings ", self.cached_blocks),
            (", heaps ", self.heaps as usize),
        ] {
            out.write_str(before)?;
            print::number(out, number)?;
        }
        [", grows by ", mode, "\n"].into_iter().try_for_each(|text| out.write_str(text))?;
        self.write_calls(out)?;
        match classes {
            Some(classes) => write_classes(out, classes),
            None => Ok(()),
        }
    }

    fn write_calls(&self, out: &mut impl Write) -> Result {
        out.write_str("call      for           calls   refused       bytes\n")?;
        for (call, reason, tally) in self.made() {
            print::word(out, call.name(), 10)?;
            print::word(out, reason.name(), 9)?;
            print::padded(out, tally.calls, 10)?;
            print::padded(out, tally.refused, 10)?;
            print::size(out, tally.bytes).and_then(|()| out.write_str("\n"))?;
        }
        Ok(())
    }
}

fn write_classes(out: &mut impl Write, classes: Classes) -> Result {
    out.write_str("class       live blocks      cached        free     in all\n")?;
    for class in classes {
        print::padded(out, class.size, 6)?;
        print::padded(out, class.live, 17)?;
        print::padded(out, class.cached, 12)?;
        print::padded(out, class.free, 12)?;
        out.write_str(" ")?;
        print::size(out, class.active).and_then(|()| out.write_str("\n"))?;
    }
    Ok(())
}

/// The page for people, without the size classes.
impl Display for Stats {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        self.write_text(out, None)
    }
}
