//! Freed memory goes back by itself, to a bound; `trim` gives back the rest.

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn free_mib() -> usize {
    brkmap::Stats::read().dirty >> 20
}

fn main() {
    let blocks: Vec<Box<[u8; 1000]>> = (0..200_000).map(|_| Box::new([7; 1000])).collect();
    println!("live: {} MiB", brkmap::Stats::read().allocated >> 20);
    assert_eq!(blocks.iter().map(|block| block[999] as usize).sum::<usize>(), 7 * blocks.len());

    drop(blocks);
    let kept = free_mib();
    GLOBAL.trim();
    println!("freed: {kept} MiB have pages still, and {} MiB after trim", free_mib());

    assert!(kept <= 8, "what is free and has pages is bounded");
    assert!(free_mib() <= kept);
}
