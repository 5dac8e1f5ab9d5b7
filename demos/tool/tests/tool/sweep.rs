//! `brkmap sweep` finds boundaries that can be worked out beforehand.

use serde_json::Value;

use crate::support::{brkmap, json, run, stderr, stdout};

/// The smallest request that glibc maps: the threshold is compared with the chunk, which is the
/// request and its header of one word, rounded up to two words.
fn smallest_mapped(threshold: u64) -> u64 {
    let word = size_of::<usize>() as u64;
    (1..).find(|request| (request + word).next_multiple_of(2 * word) >= threshold).unwrap()
}

fn stretches(document: &Value) -> Vec<(u64, u64, &str)> {
    let stretches = document["allocators"][0]["stretches"].as_array().unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    stretches
        .iter()
        .map(|one| (number(&one["from"]), number(&one["to"]), one["served_from"].as_str().unwrap()))
        .collect()
}

#[cfg(target_env = "gnu")]
#[test]
fn libcs_boundary_is_found_to_the_byte() {
    // M_MMAP_THRESHOLD is 128*1024 by default (mallopt(3)).
    let boundary = smallest_mapped(128 * 1024);
    let document = json(&mut brkmap(&["sweep", "--json", "--only", "glibc"]));
    let expected = [(1, boundary - 1, "break"), (boundary, 64 << 20, "new mapping")];
    assert_eq!(stretches(&document), expected);
}

#[cfg(target_env = "gnu")]
#[test]
fn the_boundary_moves_with_the_threshold() {
    for threshold in [40_000, 65_536, 1 << 20] {
        let boundary = smallest_mapped(threshold);
        let mut command = brkmap(&["sweep", "--json", "--only", "glibc", "--from", "32K", "--to", "4M"]);
        command.env("MALLOC_MMAP_THRESHOLD_", threshold.to_string());
        let document = json(&mut command);
        let expected = [(32 << 10, boundary - 1, "break"), (boundary, 4 << 20, "new mapping")];
        assert_eq!(stretches(&document), expected, "threshold {threshold}");
    }
}

#[test]
fn no_change_is_said_to_be_none() {
    let output = run(&mut brkmap(&["sweep", "--only", "glibc", "--from", "1M", "--to", "2M"]));
    assert!(stdout(&output).contains("glibc does not change its choice"), "{}", stdout(&output));
}

#[test]
fn an_empty_range_is_refused() {
    for range in [["--from", "2M", "--to", "1M"], ["--from", "0", "--to", "1M"]] {
        let output = run(&mut brkmap(&[&["sweep"], &range[..]].concat()));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--from"), "{}", stderr(&output));
    }
}
