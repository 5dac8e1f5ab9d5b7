//! What a program is told of its memory.

use brkmap_tests::compile::{self, Compiled};
use brkmap_tests::program::{self, root};
use serde_json::Value;

/// A program that includes the library's header.
fn with_header(name: &str) -> Option<Compiled> {
    let include = format!("-I{}", root().join("allocator/preload/include").display());
    compile::c(name, &[&include])
}

fn sum(rows: &Value, of: impl Fn(&Value) -> u64) -> u64 {
    rows.as_array().expect("rows").iter().map(of).sum()
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("{name} of {of}"))
}

#[test]
fn what_threads_have_is_counted_to_the_byte_and_told_alike_everywhere() {
    let Some(program) = with_header("statistics") else { return };
    let ended = program::run(program.preloaded(&[program::preload()]));
    ended.expect_success("the counting program");
    let all: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let of = |name| number(&all, name);
    assert_eq!(of("allocated"), of("small_bytes") + of("span_bytes") + of("large_bytes"));
    let classes = &all["classes"];
    assert_eq!(sum(classes, |class| number(class, "live") * number(class, "size")), of("small_bytes"));
    assert_eq!(sum(classes, |class| number(class, "slab_bytes")), of("slab_bytes"));
    assert_eq!(all["break"]["mode"], "break");
    assert!(number(&all["break"], "end") - number(&all["break"], "start") >= of("slab_bytes"));
    let calls = all["calls"].as_array().expect("rows");
    let reasons: Vec<_> = calls.iter().map(|row| row["reason"].as_str().expect("a word")).collect();
    for reason in ["grow", "large", "tables", "heaps"] {
        assert!(reasons.contains(&reason), "{reason} among {reasons:?}");
    }
}

/// The exercise program that says its statistics in a form, and its own figures.
fn said(form: &str) -> String {
    let ended = program::run(program::Front::Rust.exercise(&["statistics", form]));
    ended.expect_success(form);
    String::from_utf8(ended.stdout).expect("text")
}

#[test]
fn in_rust_no_form_of_them_allocates_and_each_can_be_read() {
    let json: Value = serde_json::from_str(&said("json")).expect("JSON");
    assert!(number(&json, "allocated") > 10 << 20 && json["classes"][0]["size"].is_u64());
    let text = said("text");
    assert!(text.starts_with("allocated ") && text.contains("\nmmap      large "), "{text}");
}

/// The lines of an exposition: names, labels, figures, with the comments in their places.
fn check_metrics(text: &str) {
    let mut family = String::new();
    let mut samples = 0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (kind, rest) = rest.split_once(' ').expect("a kind");
            let (name, _) = rest.split_once(' ').expect("a name");
            match kind {
                "TYPE" => family = name.to_owned(),
                "UNIT" | "HELP" => assert_eq!(name, family, "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, figure) = line.rsplit_once(' ').expect("a sample");
        assert!(name.starts_with(&family) && figure.parse::<u64>().is_ok(), "{line} in {family}");
        samples += 1;
    }
    assert!(samples > 30, "{text}");
}

#[test]
fn metrics_are_families_that_monitoring_reads() {
    let text = said("openmetrics");
    check_metrics(&text);
    assert!(
        text.contains("# TYPE brkmap_calls counter\n")
            && text.contains("brkmap_calls_total{call=\"mmap\",reason=")
    );
}

#[test]
fn resident_memory_is_explained_to_one_per_cent() {
    program::Front::Rust.check(&["residency"]);
}
