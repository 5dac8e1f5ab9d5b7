//! Many threads on random requests, every byte of every block checked.

use brkmap_tests::program::Front;
use brkmap_tests::soak;

fn storm(threads: &str, seed: &str) {
    let steps = soak::rounds(200_000, 5_000_000).to_string();
    Front::BOTH.iter().for_each(|front| front.check(&["storm", threads, &steps, seed]));
}

#[test]
fn blocks_keep_their_content_with_one_thread() {
    storm("1", "1");
}

#[test]
fn blocks_keep_their_content_with_four_threads() {
    storm("4", "2");
}

#[test]
fn blocks_keep_their_content_with_many_short_threads() {
    for front in Front::BOTH {
        (0..8).for_each(|seed: u32| front.check(&["storm", "32", "3000", &seed.to_string()]));
    }
}
