//! Threads that allocate small and large, keep some for long, and swap blocks through places they share: most
//! blocks are freed by another thread than their own.

use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use super::{Plan, block, seed};

const PLACES: usize = 1000;
const ROUNDS: u64 = 20;

type Shared = Vec<Mutex<Vec<u8>>>;

pub fn run(plan: Plan) -> u64 {
    let places: Arc<Shared> = Arc::new((0..PLACES).map(|_| Mutex::default()).collect());
    let barrier = Arc::new(Barrier::new(plan.threads));
    let steps = plan.times(10_000_000) / (ROUNDS * plan.threads as u64);
    let threads: Vec<_> = (0..plan.threads)
        .map(|number| {
            let (places, barrier) = (Arc::clone(&places), Arc::clone(&barrier));
            thread::spawn(move || worker(&places, &barrier, steps, seed(13, number)))
        })
        .collect();
    let freed = threads.into_iter().map(|thread| thread.join().expect("a worker ends")).sum::<u64>();
    // Who freed a block depends on the scheduler; what was freed in the end does not.
    places.iter().fold(freed, |sum, place| sum + tag(&place.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn worker(places: &Shared, barrier: &Barrier, steps: u64, seed: u64) -> u64 {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut freed = 0;
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..ROUNDS {
        let mut held: Vec<Vec<u8>> = Vec::new();
        for step in 0..steps {
            let new = block(size(&mut dice), step as u8);
            match dice.u32(..10) {
                0 if kept.len() < 4000 => kept.push(new),
                0..4 => held.push(new),
                _ => {
                    let mut place = places[dice.usize(..PLACES)].lock().expect("no worker panics");
                    let old = std::mem::replace(&mut *place, new);
                    drop(place);
                    freed += tag(&old);
                }
            }
            if held.len() > 500 {
                let at = dice.usize(..held.len());
                freed += tag(&held.swap_remove(at));
            }
        }
        freed += held.iter().map(|block| tag(block)).sum::<u64>();
        drop(held);
        barrier.wait();
    }
    freed + kept.iter().map(|block| tag(block)).sum::<u64>()
}

fn tag(block: &[u8]) -> u64 {
    block.first().map_or(0, |&byte| u64::from(byte))
}

/// One of a hundred is large.
fn size(dice: &mut fastrand::Rng) -> usize {
    if dice.u32(..100) == 0 { dice.usize(1024..40_000) } else { dice.usize(8..512) }
}
