//! Which system call a request becomes, as the tracer sees it; some of it as strace does too.

use std::collections::BTreeSet;

use brkmap_tests::calls::{Call, show, spans};
use brkmap_tests::program::Front;

const MIB: usize = 1 << 20;

/// The request was answered by exactly one anonymous mapping of its size and by nothing else.
fn assert_one_mapping(span: &[Call], size: usize, what: &str) {
    let maps: Vec<_> = span.iter().filter(|call| call.name == "mmap").collect();
    assert!(maps.len() == 1 && maps[0].maps_memory(), "{what} is not one anonymous mapping: {}", show(span));
    // Page rounding and no more than a guard.
    let mapped = maps[0].length();
    assert!((size..=size + 65536).contains(&mapped), "{what}: {mapped} bytes mapped for {size}");
    assert!(!span.iter().any(Call::moves_break), "{what} moved the break too: {}", show(span));
}

/// The longest of the tables that describe a few MiB of what an allocator has: a block's, or the bits of two parts.
const TABLES: usize = 80 << 10;

/// How many of them there are: a block's, and one for each 4 MiB that a few steps of growth begin with or come to.
const TABLES_MOST: usize = 4;

/// Mappings that are no tables.
fn maps_blocks(span: &[Call]) -> bool {
    span.iter().any(|call| call.maps_memory() && call.length() > TABLES)
}

/// So many bytes of requests were answered from the break: it grew, and nothing was mapped but tables for it.
fn assert_from_break(span: &[Call], what: &str) {
    let tables = span.iter().filter(|call| call.maps_memory()).count();
    assert!(!maps_blocks(span) && tables <= TABLES_MOST, "{what} mapped memory: {}", show(span));
    assert!(
        span.iter().any(|call| call.moves_break() && !call.failed()),
        "{what} did not move the break: {}",
        show(span)
    );
}

#[test]
fn small_requests_grow_the_break() {
    for front in Front::BOTH {
        let Some(calls) = front.trace(&["small"]) else { return };
        assert_from_break(&spans(&calls, "small")[0], &format!("malloc(10) on {front:?}"));
    }
}

/// Without what differs from run to run: addresses, in how many steps the break grows from where it was put, and
/// whether it comes to 64 MiB that have no tables yet.
fn spelled(span: &[Call]) -> BTreeSet<(&str, usize, bool)> {
    let length =
        |call: &Call| if ["mmap", "mremap"].contains(&call.name.as_str()) { call.length() } else { 0 };
    let are_tables = |call: &&Call| call.maps_memory() && call.length() <= TABLES;
    span.iter()
        .filter(|call| !are_tables(call))
        .map(|call| (call.name.as_str(), length(call), call.failed()))
        .collect()
}

#[test]
fn strace_sees_the_same_calls() {
    for front in Front::BOTH {
        let labels = [
            (&["small"][..], &["small"][..]),
            (&["large"], &["first", "second", "free", "third"]),
            (&["realloc"], &["grow", "grow-on"]),
        ];
        for (scenario, labels) in labels {
            let (Some(ours), Some(theirs)) = (front.trace(scenario), front.strace(scenario)) else { return };
            for label in labels {
                let (ours, theirs) = (&spans(&ours, label)[0], &spans(&theirs, label)[0]);
                let what = format!("{label} on {front:?}: {}\nstrace:{}", show(ours), show(theirs));
                assert!(!ours.is_empty() && spelled(ours) == spelled(theirs), "{what}");
            }
        }
    }
}

#[test]
fn the_first_request_of_a_program_moves_the_break() {
    // Before main: the program itself asks for nothing.
    let Some(calls) = Front::Preload.trace(&["nothing"]) else { return };
    assert!(calls.iter().any(|call| call.moves_break() && !call.failed()), "{}", show(&calls));
}

#[test]
fn ten_mebibytes_are_one_mapping_the_first_time_and_later() {
    for front in Front::BOTH {
        let Some(calls) = front.trace(&["large"]) else { return };
        for label in ["first", "second", "third"] {
            assert_one_mapping(
                &spans(&calls, label)[0],
                10 * MIB,
                &format!("the {label} 10 MiB on {front:?}"),
            );
        }
    }
}

#[test]
fn freeing_ten_mebibytes_unmaps_them() {
    for front in Front::BOTH {
        let Some(calls) = front.trace(&["large"]) else { return };
        let span = &spans(&calls, "free")[0];
        let unmapped: usize = span.iter().filter(|call| call.name == "munmap").map(Call::length).sum();
        assert!(unmapped >= 10 * MIB, "on {front:?}: {}", show(span));
    }
}

#[test]
fn small_requests_of_threads_come_from_the_break() {
    for front in Front::BOTH {
        let Some(calls) = front.trace(&["threads"]) else { return };
        for span in spans(&calls, "thread-small") {
            let what = format!("malloc(10) of a thread on {front:?}");
            match front {
                Front::Preload => assert_from_break(&span, &what),
                // Beside libc's malloc the break is not moved once there are threads: regions are mapped, and the
                // steps become longer.
                Front::Rust | Front::Heap => {
                    assert!(!span.iter().any(Call::moves_break), "{what} moved the break: {}", show(&span));
                    let regions =
                        span.iter().filter(|call| call.maps_memory() && call.length() > TABLES).count();
                    assert!((1..8).contains(&regions), "{what}: {}", show(&span));
                }
            }
        }
    }
}

#[test]
fn ten_mebibytes_of_threads_are_one_mapping() {
    for front in Front::BOTH {
        let Some(calls) = front.trace(&["threads"]) else { return };
        for label in ["thread-large", "main-large"] {
            for span in spans(&calls, label) {
                assert_one_mapping(&span, 10 * MIB, &format!("{label} on {front:?}"));
            }
        }
    }
}

/// One byte less comes from the break or from what is already there, the threshold itself from a mapping.
fn assert_threshold(calls: &[Call], bytes: usize, what: &str) {
    for span in spans(calls, "below") {
        // As long as the request, or tables: nothing else would be.
        let own = |call: &Call| call.maps_memory() && (bytes - 1..=bytes + 65536).contains(&call.length());
        assert!(!span.iter().any(own), "{what}, {bytes} - 1: {}", show(&span));
    }
    for label in ["at", "at-again"] {
        // The first one only: a later one may be served by a freed mapping kept for reuse.
        assert_one_mapping(&spans(calls, label)[0], bytes, &format!("{what}, {label} {bytes}"));
    }
    for span in spans(calls, "at").iter().chain(&spans(calls, "at-again")) {
        assert!(!span.iter().any(Call::moves_break), "{what}, {bytes} moved the break: {}", show(span));
    }
}

#[test]
fn the_threshold_is_128_kib() {
    for front in Front::BOTH {
        let Some(calls) = front.trace(&["threshold", "131072"]) else { return };
        assert_threshold(&calls, 131_072, &format!("by default on {front:?}"));
    }
}

#[test]
fn mallopt_sets_the_threshold() {
    for bytes in [65_536, 1_048_576] {
        let Some(calls) = Front::Preload.trace(&["mallopt", &bytes.to_string()]) else { return };
        assert_threshold(&calls, bytes, "set by mallopt");
    }
}

#[test]
fn the_environment_sets_the_threshold() {
    for front in Front::BOTH {
        for bytes in [65_536_usize, 1_048_576] {
            let text = bytes.to_string();
            let environment = [("BRKMAP_MMAP_THRESHOLD", text.as_str())];
            let Some(calls) = front.trace_with(&["threshold", &text], &environment) else { return };
            assert_threshold(&calls, bytes, &format!("set by the environment on {front:?}"));
        }
    }
}

#[test]
fn no_huge_pages_are_asked_for_under_small_blocks() {
    for front in Front::BOTH {
        // 1 GiB of them, and all of it goes back.
        let Some(calls) = front.trace(&["give-back", "small"]) else { return };
        let asks = |call: &&Call| call.name == "madvise" && call.arguments[2] == "MADV_HUGEPAGE";
        assert_eq!(calls.iter().find(asks), None, "on {front:?}");
    }
}

#[test]
fn large_blocks_grow_by_mremap() {
    for front in Front::BOTH {
        let Some(calls) = front.trace(&["realloc"]) else { return };
        for label in ["grow", "grow-on"] {
            let span = &spans(&calls, label)[0];
            assert!(
                span.iter().any(|call| call.name == "mremap" && !call.failed()),
                "{label} on {front:?}: {}",
                show(span)
            );
            assert!(!span.iter().any(Call::maps_memory), "{label} on {front:?} copied: {}", show(span));
        }
    }
}

#[test]
fn zeroed_memory_is_zero_and_fresh_pages_are_not_written() {
    for front in Front::BOTH {
        front.check(&["zeroed"]);
    }
}
