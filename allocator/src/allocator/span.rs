//! Spans: a block that is a run of the arena's, where chunks do not serve: above 256 KiB and below the
//! threshold, at a multiple of more than 4 KiB, or where there is no room for a chunk.

use super::{Allocator, Resized};
use crate::arena::page_map::Entry;
use crate::base::allocated::{Allocated, UNKNOWN};
use crate::base::config::{GRANULE, GRANULE_SHIFT};
use crate::base::size_class;
use crate::base::units::{Bytes, GranuleIdx, Granules, Run};
use crate::base::why::Cause;
use crate::os::Os;

impl<O: Os> Allocator<O> {
    pub(super) fn alloc_span(&self, size: usize, align: usize) -> Option<Allocated> {
        let granules = |bytes: usize| bytes.div_ceil(GRANULE).try_into().ok().map(Granules);
        let len = granules(size.max(1)).filter(|&len| len <= Entry::SPAN_MAX)?;
        let run = self.arena.alloc_run(len, granules(align)?, Entry::span(len))?;
        let block = self.arena.started().start(run.head);
        Some(Allocated { block, zeroed_from: if run.zeroed { 0 } else { UNKNOWN } })
    }

    /// Frees the span that begins at a granule.
    pub(super) fn free_span(&self, head: GranuleIdx, len: Granules) {
        self.arena.free_run(Run { head, len, zeroed: false }, Bytes(GRANULE));
        self.purge_excess(Cause::Span(len));
    }

    /// As `resize`, for a span of `len` granules.
    pub(super) fn resize_span(
        &self,
        block: *mut u8,
        head: GranuleIdx,
        len: Granules,
        size: usize,
    ) -> Resized {
        let copy = Resized::Copy { usable: (len.0 as usize) << GRANULE_SHIFT };
        if size <= size_class::CLASS_MAX || size >= self.arena.settings.mmap_threshold() {
            return copy;
        }
        let want = Granules(size.div_ceil(GRANULE) as u32);
        if want < len {
            self.arena.cut_run(head, len, want);
            self.purge_excess(Cause::Span(len));
        } else if want > len && !self.arena.extend_run(head, len, Granules(want.0 - len.0)) {
            return copy;
        }
        Resized::To(block)
    }
}
