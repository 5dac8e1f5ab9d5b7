//! A server's threads, in the shape of Larson's benchmark: each replaces blocks of sessions it got from the
//! thread before it, and hands them on to the next.

use std::thread;

use super::{Plan, block, mix, seed};

const SESSIONS: usize = 2000;
const GENERATIONS: u64 = 12;

pub fn run(plan: Plan) -> u64 {
    let requests = plan.times(20_000_000) / (GENERATIONS * plan.threads as u64);
    let chains: Vec<_> = (0..plan.threads)
        .map(|chain| {
            let mut dice = fastrand::Rng::with_seed(seed(11, chain));
            let sessions = (0..SESSIONS).map(|at| block(size(&mut dice), at as u8)).collect();
            thread::spawn(move || generation(dice, sessions, requests, GENERATIONS))
        })
        .collect();
    chains.into_iter().map(|chain| chain.join().expect("a chain ends")).fold(0, u64::wrapping_add)
}

fn generation(mut dice: fastrand::Rng, mut sessions: Vec<Vec<u8>>, requests: u64, left: u64) -> u64 {
    let mut sum = 0u64;
    for request in 0..requests {
        let session = &mut sessions[dice.usize(..SESSIONS)];
        sum = mix(sum, u64::from(session[0]));
        *session = block(size(&mut dice), request as u8);
    }
    match left {
        1 => sum,
        _ => {
            let next = thread::spawn(move || generation(dice, sessions, requests, left - 1));
            sum.wrapping_add(next.join().expect("the next generation ends"))
        }
    }
}

fn size(dice: &mut fastrand::Rng) -> usize {
    dice.usize(10..500)
}
