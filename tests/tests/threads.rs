//! Memory that threads hold is bounded; the bounds stand with the scenarios.

use brkmap_tests::program::Front;

#[test]
fn a_producer_and_a_consumer_are_bounded() {
    Front::BOTH.iter().for_each(|front| front.check(&["pair"]));
}

#[test]
fn a_thread_that_only_frees_is_bounded() {
    Front::BOTH.iter().for_each(|front| front.check(&["only-frees"]));
}

#[test]
fn a_thousand_short_threads_are_bounded() {
    Front::BOTH.iter().for_each(|front| front.check(&["churn"]));
}

#[test]
fn two_hundred_idle_threads_are_bounded() {
    Front::BOTH.iter().for_each(|front| front.check(&["two-hundred"]));
}
