//! What a program is told of its memory.

use std::process::Command;

use brkmap_tests::compile::{self, Compiled};
use brkmap_tests::program::{self, root};
use brkmap_tests::skip;
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
    assert_eq!(
        of("allocated"),
        of("small_bytes") + of("medium_bytes") + of("span_bytes") + of("large_bytes")
    );
    let classes = &all["classes"];
    let live = sum(classes, |class| number(class, "live") * number(class, "size"));
    assert_eq!(live, of("small_bytes") + of("medium_bytes"));
    assert!(of("medium_bytes") > 0 && live == of("allocated") - of("span_bytes") - of("large_bytes"));
    assert_eq!(sum(classes, |class| number(class, "active")), of("slab_bytes") + of("chunk_bytes"));
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

/// Stands for the libraries to preload.
const LIBRARIES: &str = "{preload}";

/// A program of the matrix, with a part of its work. The report at its end, and its rows of smaps a moment later.
fn reported(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Option<(String, String)> {
    let (program, helper) = (skip::tool(program)?, compile::library("smaps", &[])?);
    let folder = tempfile::tempdir().expect("a folder");
    let (report, rows) = (folder.path().join("report.%p"), folder.path().join("smaps"));
    let mut command = Command::new(program);
    let libraries = format!("{}:{}", program::preload().display(), helper.path().display());
    command.current_dir(root().join("benches/programs")).envs(environment.iter().copied());
    match arguments.iter().position(|word| *word == LIBRARIES) {
        // The script gives them to the one process that counts.
        Some(_) => {
            command.args(arguments.iter().map(|&word| if word == LIBRARIES { &libraries } else { word }))
        }
        None => command.args(arguments).env("LD_PRELOAD", &libraries),
    };
    command.env("BRKMAP_CONF", format!("stats:exit,stats_out:{}", report.display())).env("SMAPS", &rows);
    program::run(command).expect_success("a program of the matrix");
    let found = std::fs::read_dir(folder.path()).expect("the folder").find_map(|entry| {
        let path = entry.expect("an entry").path();
        path.file_name()?.to_str()?.starts_with("report.").then_some(path)
    });
    let report = std::fs::read_to_string(found.expect("a report")).expect("text");
    Some((report, std::fs::read_to_string(rows).expect("smaps")))
}

/// A row of the report's page about resident memory, in bytes as far as it tells.
fn row(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let words: Vec<_> = line.unwrap_or_else(|| panic!("{name} in\n{page}")).split_whitespace().collect();
    let unit = ["B", "KiB", "MiB", "GiB"].iter().position(|unit| *unit == words[1]).expect("a unit");
    words[0].parse::<f64>().expect("a number") * 1024f64.powi(unit as i32)
}

/// The report and the kernel's rows tell the same, to one per cent of what is resident and the hundredths that are
/// cut off. The program has so many bytes of mappings that it made itself, at most.
fn check_report(what: &str, report: &str, smaps: &str, mappings: f64) {
    let (_, page) = report.split_once("resident memory\n").expect("the page");
    let [live, cached, dirty, metadata, not_ours, rss] =
        ["live", "cached", "dirty", "metadata", "not ours", "RSS"].map(|name| row(page, name));
    let (mut all, mut named, mut is_named) = (0.0, 0.0, false);
    for line in smaps.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if !words[0].ends_with(':') {
            is_named = words.get(5).is_some_and(|name| *name != "[heap]" && !name.starts_with("[anon"));
        } else if words[0] == "Rss:" {
            let bytes = words[1].parse::<f64>().expect("kB") * 1024.0;
            all += bytes;
            named += if is_named { bytes } else { 0.0 };
        }
    }
    let tolerance = all / 100.0 + 6.0 * 10.24 * 1024.0;
    let sum = live + cached + dirty + metadata + not_ours;
    // Files, stacks and the kernel's own are never the allocator's. A program may have mappings besides.
    let own = (not_ours - named).min(mappings);
    for (which, ours, theirs) in
        [("all", sum, all), ("RSS", rss, all), ("not ours", not_ours - own.max(0.0), named)]
    {
        assert!((ours - theirs).abs() <= tolerance, "{what}: {which}: {ours} by {theirs}\n{page}");
    }
}

#[test]
fn resident_memory_of_real_programs_is_explained_to_one_per_cent() {
    let python = [("PYTHONMALLOC", "malloc"), ("PYTHONHASHSEED", "0")];
    for (program, arguments, environment) in [
        ("/usr/bin/python3", &["-S", "objects.py", "20"][..], &python[..]),
        ("/usr/bin/perl", &["words.pl", "20"], &[]),
        (
            "/usr/bin/sqlite3",
            &[
                "-batch",
                "-cmd",
                ".parameter init",
                "-cmd",
                ".parameter set @scale 20",
                ":memory:",
                ".read tables.sql",
            ],
            &[],
        ),
        ("/usr/bin/jq", &["-n", "--argjson", "scale", "20", "-f", "records.jq"], &[]),
    ] {
        if let Some((report, smaps)) = reported(program, arguments, environment) {
            check_report(program, &report, &smaps, 0.0);
        }
    }
    // It ends with all of its data.
    if let (Some(_), Some((report, smaps))) =
        (skip::tool("redis-server"), reported("/bin/sh", &["redis.sh", LIBRARIES, "20"], &[]))
    {
        // And with a jemalloc of its own, which it does not use.
        check_report("redis", &report, &smaps, 1e6);
        let (_, page) = report.split_once("resident memory\n").expect("the page");
        assert!(row(page, "live") > 5e5, "{report}");
    }
}

#[test]
fn a_report_at_exit_is_written_where_it_is_asked_for() {
    for front in program::Front::BOTH {
        let said = |environment: &[(&str, &str)], words: &[&str]| {
            let mut command = front.exercise(words);
            command.envs(environment.iter().copied());
            let ended = program::run(command);
            ended.expect_success("a program with a report");
            String::from_utf8(ended.stderr).expect("text")
        };
        assert_eq!(said(&[], &["nothing"]), "");
        let report = said(&[("BRKMAP_STATS", "exit")], &["small"]);
        for part in
            ["brkmap: process ", "allocated ", "mmap      tables", "class  ", "resident memory\nlive "]
        {
            assert!(report.contains(part), "{part} in\n{report}");
        }
        let lost = said(&[("BRKMAP_CONF", "stats:exit,stats_out:/no/such/folder/file")], &["nothing"]);
        let why = "brkmap: stats_out: `/no/such/folder/file` is neither an open descriptor nor a file that can be \
                   written; the report is on standard error\n";
        assert!(lost.starts_with(why) && lost.contains("allocated "), "{lost}");
    }
}
