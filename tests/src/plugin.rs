//! A plugin as Rust programs have them: a C library to those who open it, inside a Rust program on brkmap.

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

/// The sum of all numbers below `end`, by way of a vector.
#[unsafe(no_mangle)]
pub extern "C" fn sum_below(end: u64) -> u64 {
    let numbers: Vec<u64> = (0..end).collect();
    std::hint::black_box(&numbers).iter().sum()
}
