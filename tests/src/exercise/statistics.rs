//! The statistics of a Rust program: what it reads of itself, and that to read and to write them takes no memory.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write;

use brkmap::{Call, Residency, Stats};

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

/// Bytes of resident pages by the kernel's own rows (proc_pid_smaps(5)): of all mappings, and of those that are
/// surely nobody's malloc: files, stacks, the kernel's.
fn by_smaps() -> (usize, usize) {
    let text = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
    let (mut all, mut named, mut is_named) = (0, 0, false);
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if !words[0].ends_with(':') {
            is_named = words.get(5).is_some_and(|name| *name != "[heap]" && !name.starts_with("[anon"));
        } else if words[0] == "Rss:" {
            let bytes = words[1].parse::<usize>().expect("kB") << 10;
            all += bytes;
            named += if is_named { bytes } else { 0 };
        }
    }
    (all, named)
}

/// The resident memory is what the kernel's rows say, and what is live in it what was touched.
pub fn residency<A: GlobalAlloc>(alloc: &A) {
    let take = |size: usize, touched: usize| {
        let layout = Layout::from_size_align(size, 16).expect("a layout");
        // SAFETY: not of no bytes.
        let block = unsafe { alloc.alloc(layout) };
        assert!(!block.is_null());
        // SAFETY: at most its size.
        unsafe { block.write_bytes(1, touched) };
        (block, layout)
    };
    // SAFETY: what `take` made.
    let give = |(block, layout): (*mut u8, Layout)| unsafe { alloc.dealloc(block, layout) };
    let before = Residency::read().expect("/proc");
    let small: Vec<_> = (0..40_000).map(|at| take(100 + at % 1900, 100)).collect();
    let large = take(64 * MIB, 16 * MIB);
    let spans: Vec<_> = (0..100).map(|_| take(120_000, 60_000)).collect();
    let full = Residency::read().expect("/proc");
    let (all, named) = by_smaps();
    for (what, ours, theirs) in [
        ("all", full.live + full.cached + full.dirty + full.metadata + full.not_ours, all),
        ("the rest", full.not_ours, named),
    ] {
        let apart = ours.abs_diff(theirs);
        assert!(apart * 100 <= all, "{what}: {ours} bytes here, {theirs} by smaps\n{full}{}", Stats::read());
    }
    let live = full.live - before.live;
    let least = 16 * MIB + 100 * 60_000;
    assert!(live > least && live < least + 48 * MIB, "{live} bytes live\n{full}");
    // The large one is untouched from a quarter on.
    give(large);
    spans.into_iter().for_each(give);
    for (at, block) in small.into_iter().enumerate() {
        if at % 20 > 0 {
            give(block);
        }
    }
    let after = Residency::read().expect("/proc");
    assert!(after.live < before.live + 8 * MIB && after.dirty + after.cached < 24 * MIB, "{after}");
}
