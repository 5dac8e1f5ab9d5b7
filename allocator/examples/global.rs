//! brkmap as the allocator of a program, and what it says of itself.

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

fn main() {
    let words: Vec<String> = (0..100_000).map(|number| format!("word {number}")).collect();
    let table = vec![1u8; 10 << 20];

    let stats = brkmap::Stats::read();
    println!("live:  {} KiB", stats.allocated >> 10);
    println!("arena: {} KiB, it grew by {:?} last", stats.arena_bytes >> 10, stats.break_mode);
    println!("large: {} blocks, {} KiB", stats.large_blocks, stats.large_bytes >> 10);

    assert!(stats.allocated > words.iter().map(String::len).sum::<usize>() + table.len());
    assert!(stats.large_blocks >= 1, "10 MiB are a mapping of their own");
}
