//! The statistics of a Rust program: what it reads of itself, and that to read and to write them takes no memory.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write;

use brkmap::{Call, Stats};

use super::MIB;

/// Room that no allocator gave.
struct Page {
    bytes: [u8; 64 << 10],
    len: usize,
}

impl Write for Page {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Says them in a form, on standard output.
pub fn say<A: GlobalAlloc>(alloc: &A, form: &str) {
    let layouts = [10, 1000, 30_000, 100_000, 10 * MIB]
        .map(|size| Layout::from_size_align(size, 16).expect("a layout"));
    // SAFETY: none is of no bytes.
    let blocks = layouts.map(|layout| unsafe { alloc.alloc(layout) });
    assert!(blocks.iter().all(|block| !block.is_null()));
    let mut page = Page { bytes: [0; 64 << 10], len: 0 };
    let before = Stats::read();
    match form {
        "json" => before.write_json(&mut page, Some(Stats::classes())),
        "openmetrics" => before.write_openmetrics(&mut page, Some(Stats::classes())),
        "text" => before.write_text(&mut page, Some(Stats::classes())),
        _ => panic!("no form {form}"),
    }
    .expect("room");
    let heaps: usize = Stats::heaps().map(|heap| heap.slab_bytes).sum();
    assert_eq!((Stats::read(), heaps), (before, before.slab_bytes), "to read is to change nothing");
    assert!(before.calls(Call::Mmap).bytes >= 10 * MIB && before.allocated >= 10 * MIB + 131_010);
    // SAFETY: what was allocated above, with its layout.
    layouts.iter().zip(blocks).for_each(|(layout, block)| unsafe { alloc.dealloc(block, *layout) });
    let after = Stats::read();
    assert!(before.allocated - after.allocated >= 10 * MIB + 131_010, "{before}\n{after}");
    println!("{}", std::str::from_utf8(&page.bytes[..page.len]).expect("text").trim_end());
}
