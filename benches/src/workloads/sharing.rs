//! Passive false sharing: neighbours from one thread go to several, and each frees its own and goes on with a
//! new one. An allocator that hands the freed piece of a shared cache line out again makes them fight for it.

use std::hint::black_box;
use std::thread;

use super::Plan;

const TURNS: u64 = 1000;
const WRITES: u64 = 400;

pub fn run(plan: Plan) -> u64 {
    let mut sum = 0u64;
    for _ in 0..plan.times(1200) / plan.threads as u64 {
        // Side by side: the first of each thread lie in one cache line.
        let seeds: Vec<Box<u64>> = (0..plan.threads as u64).map(Box::new).collect();
        let threads: Vec<_> = seeds.into_iter().map(|seed| thread::spawn(move || scribble(seed))).collect();
        for thread in threads {
            sum = sum.wrapping_add(thread.join().expect("a writer ends"));
        }
    }
    sum
}

fn scribble(seed: Box<u64>) -> u64 {
    let mut value = *seed;
    drop(seed);
    for _ in 0..TURNS {
        let mut own = black_box(Box::new(value));
        for _ in 0..WRITES {
            *own += 1;
            black_box(&mut *own);
        }
        value = *own;
    }
    value
}
