//! After 1 GiB was allocated and freed, at most 8 MiB over the live bytes stay resident; of what is taken again and
//! again, at most as much as swings, and that until the next slow path.

use brkmap_tests::program::Front;

#[test]
fn small_blocks_go_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["give-back", "small"]));
}

#[test]
fn medium_blocks_go_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["give-back", "medium"]));
}

#[test]
fn large_blocks_go_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["give-back", "large"]));
}

#[test]
fn mixed_blocks_go_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["give-back", "mixed"]));
}

#[test]
fn what_is_taken_again_and_again_goes_back_each_time() {
    Front::BOTH.iter().for_each(|front| front.check(&["give-back-again"]));
}

#[test]
fn freed_mappings_kept_for_reuse_are_bounded() {
    Front::BOTH.iter().for_each(|front| front.check(&["give-back-large-cache"]));
}

#[test]
fn what_swings_stays_while_it_swings_and_goes_when_that_is_over() {
    for kind in ["small", "medium", "spans", "large", "mixed"] {
        Front::BOTH.iter().for_each(|front| front.check(&["give-back-swing", kind]));
    }
}
