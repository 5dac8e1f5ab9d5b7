//! The scenarios on a Rust front that code has set. With `another` a second one comes, which says something else.

use std::alloc::{GlobalAlloc, Layout};

use brkmap::{BrkMap, Config, HugePages};

#[global_allocator]
static GLOBAL: BrkMap<Config> = BrkMap::with(
    Config::small()
        .mmap_threshold(256 << 10)
        .huge_pages(HugePages::Always)
        .decay(std::time::Duration::from_secs(1)),
);

static SAME: BrkMap<Config> = BrkMap::with(Config::new().mmap_threshold(256 << 10));
static ANOTHER: BrkMap<Config> = BrkMap::with(Config::new().mmap_threshold(512 << 10).name("another"));

fn main() {
    let which = std::env::args().nth(1);
    for _ in 0..3 {
        match which.as_deref() {
            Some("same") => use_it(&SAME),
            Some("another") => use_it(&ANOTHER),
            Some("plain") => use_it(&BrkMap::new()),
            Some("threshold") => return println!("{}", brkmap::Stats::read().mmap_threshold),
            _ => return brkmap_tests::exercise::main(&GLOBAL),
        }
    }
}

/// A block that no thread has at hand.
fn use_it(alloc: &impl GlobalAlloc) {
    let layout = Layout::new::<[u8; 1 << 20]>();
    // SAFETY: a block that is freed by its own layout.
    unsafe {
        let block = alloc.alloc(layout);
        assert!(!block.is_null());
        alloc.dealloc(block, layout);
    }
}
