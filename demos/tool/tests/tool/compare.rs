//! `brkmap compare` on libc, whose choices malloc(3) and mallopt(3) document.

use brkmap_witness::maps::Maps;
use serde_json::Value;

use crate::support::{brkmap, json, run, stderr, stdout};

const SMALL: u64 = 10;
const LARGE: u64 = 10 << 20;

fn glibc(set: &[(&str, &str)]) -> Value {
    let mut command = brkmap(&["compare", "--json", "--only", "glibc", "--sizes", "10,10MiB"]);
    json(command.envs(set.iter().copied()))
}

fn phase<'a>(document: &'a Value, size: u64, phase: &str) -> &'a Value {
    let sizes = document["allocators"][0]["sizes"].as_array().unwrap();
    let at = sizes.iter().find(|one| one["size"] == size).unwrap();
    &at["phases"][phase]
}

fn calls<'a>(cell: &'a Value, name: &str) -> Vec<&'a Value> {
    cell["calls"].as_array().unwrap().iter().filter(|call| call["call"] == name).collect()
}

fn words(document: &Value) -> String {
    document["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().to_owned() + "\n")
        .collect()
}

#[cfg(target_env = "gnu")]
#[test]
fn ten_bytes_move_the_break_and_ten_mebibytes_are_mapped() {
    let document = glibc(&[]);
    let small = phase(&document, SMALL, "first");
    assert_eq!(small["served_from"], "break");
    assert!(calls(small, "brk").iter().any(|call| call["moved"].as_i64().unwrap() > 0), "{small}");
    assert!(calls(small, "mmap").is_empty(), "{small}");
    for name in ["first", "second"] {
        let large = phase(&document, LARGE, name);
        assert_eq!(large["served_from"], "new mapping");
        assert_eq!(calls(large, "mmap").len(), 1, "{large}");
        assert!(large["mapping_bytes"].as_u64().unwrap() >= LARGE);
        assert!(large["faults_touching"].as_u64().unwrap() > 0, "touching is what costs pages");
    }
    assert_eq!(calls(phase(&document, LARGE, "free_both"), "munmap").len(), 2);
    assert_eq!(calls(phase(&document, LARGE, "grow_2x"), "mremap").len(), 1);
}

#[cfg(target_env = "gnu")]
#[test]
fn the_words_say_that_the_threshold_rose_only_where_it_did() {
    let document = glibc(&[]);
    assert_eq!(phase(&document, LARGE, "again")["served_from"], "break");
    assert!(words(&document).contains("raised its dynamic mmap threshold"), "{}", words(&document));
    // Set from outside, the threshold stays where it is.
    let document = glibc(&[("MALLOC_MMAP_THRESHOLD_", "65536")]);
    assert_eq!(phase(&document, LARGE, "again")["served_from"], "new mapping");
    assert!(!words(&document).contains("dynamic"), "{}", words(&document));
}

#[test]
fn both_fronts_of_brkmap_choose_alike_every_time() {
    let mut command = brkmap(&["compare", "--json", "--only", "brkmap,brkmap-rust", "--sizes", "10,10MiB"]);
    let document = json(&mut command);
    let allocators = document["allocators"].as_array().unwrap();
    assert_eq!(allocators.len(), 2);
    for allocator in allocators {
        let name = &allocator["name"];
        for phase in ["first", "second", "again"] {
            let [small, large] = [0, 1].map(|at| &allocator["sizes"][at]["phases"][phase]["served_from"]);
            assert_eq!(small, "break", "{name}, {phase}");
            assert_eq!(large, "new mapping", "{name}, {phase}");
        }
        let moved = |call: &&Value| call["moved"].as_i64().unwrap() > 0;
        assert!(calls(&allocator["sizes"][0]["phases"]["first"], "brk").iter().any(moved), "{name}");
    }
}

#[test]
fn the_table_names_rows_columns_and_reasons() {
    let output = run(&mut brkmap(&["compare", "--only", "glibc", "--sizes", "10MiB"]));
    assert!(output.status.success());
    let text = stdout(&output);
    for part in ["glibc", "faults", "10 MiB", "again", "mmap", "• "] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains('\x1b'));
}

#[test]
fn a_library_that_is_no_allocator_is_not_shown_as_one() {
    let maps = Maps::of_this_process().unwrap();
    let Some(path) = maps.regions().filter_map(|region| region.path()).find(|path| path.contains("libgcc_s"))
    else {
        println!("SKIP: no libgcc_s.so in this process to preload");
        return;
    };
    let with = format!("gcc={path}");
    let output = run(&mut brkmap(&["compare", "--only", "gcc", "--with", &with, "--sizes", "10"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("gcc: the library was preloaded, yet malloc is that of"),
        "{}",
        stderr(&output)
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn bad_input_is_named_and_exits_with_2() {
    let cases: [(&[&str], &str); 6] = [
        (&["compare", "--sizes", "ten"], "`ten`"),
        (&["compare", "--sizes", "0"], "at least 1 B"),
        (&["compare", "--sizes", "2GiB"], "at most 1 GiB"),
        (&["compare", "--with", "jemalloc"], "NAME=PATH"),
        (&["compare", "--only", "tcmalloc"], "`tcmalloc`"),
        (&["compare", "--only", "x", "--with", "x=/no/such.so"], "/no/such.so"),
    ];
    for (arguments, part) in cases {
        let output = run(&mut brkmap(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
    }
}
