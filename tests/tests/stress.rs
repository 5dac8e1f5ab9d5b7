//! Many threads on random requests, every byte of every block checked.

use brkmap_tests::program::Front;

/// Long enough to meet the rare; `tests/run --full` soaks.
fn steps() -> &'static str {
    if std::env::var("BRKMAP_FULL").is_ok_and(|full| full == "1") { "5000000" } else { "200000" }
}

#[test]
fn blocks_keep_their_content_with_one_thread() {
    Front::BOTH.iter().for_each(|front| front.check(&["storm", "1", steps(), "1"]));
}

#[test]
fn blocks_keep_their_content_with_four_threads() {
    Front::BOTH.iter().for_each(|front| front.check(&["storm", "4", steps(), "2"]));
}

#[test]
fn blocks_keep_their_content_with_many_short_threads() {
    for front in Front::BOTH {
        (0..8).for_each(|seed: u32| front.check(&["storm", "32", "3000", &seed.to_string()]));
    }
}
