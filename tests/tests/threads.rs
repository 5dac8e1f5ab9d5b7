//! Memory that threads hold is bounded; the bounds stand with the scenarios.

use brkmap_tests::program::Front;

#[test]
fn a_producer_and_a_consumer_are_bounded() {
    Front::BOTH.iter().for_each(|front| front.check_without_swing(&["pair"]));
}

#[test]
fn a_thread_that_only_frees_is_bounded() {
    Front::BOTH.iter().for_each(|front| front.check_without_swing(&["only-frees"]));
}

#[test]
fn a_thousand_short_threads_are_bounded() {
    Front::BOTH.iter().for_each(|front| front.check_without_swing(&["churn"]));
}

#[test]
fn two_hundred_idle_threads_are_bounded() {
    for front in Front::BOTH {
        // Threads that take turns swing, up to 64 MiB; the bound is on what each keeps.
        front.check_without_swing(&["two-hundred"]);
    }
}

/// What libc frees behind a thread's last destructor, and what a thread frees by the thousand.
#[test]
fn threads_that_only_free_make_no_heaps() {
    for front in Front::BOTH {
        for (each, at_once) in [(0, 16), (1, 1), (3, 40), (200, 16), (5000, 5)] {
            // What all of them took and freed in the last rounds may have swung, if they were slow.
            front.check_without_swing(&["threads-that-free", &each.to_string(), &at_once.to_string()]);
        }
    }
}

#[test]
fn threads_that_allocate_in_their_last_destructors_leave_no_heaps() {
    for front in Front::BOTH {
        for first in ["1", "2", "3", "4"] {
            front.check(&["late-destructors", first, "1"]);
            front.check(&["late-destructors", first, "20"]);
        }
    }
}
