//! The matrix as its user starts it, on the least work it can do.

use std::path::Path;
use std::process::{Command, Output};

use brkmap_benches::matrix::programs;
use brkmap_benches::results::{Kind, Results};
use brkmap_benches::workloads;

fn matrix(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_matrix"));
    command.args(arguments).output().expect("the matrix starts")
}

fn small(only: &str, folder: &Path, more: &[&str]) -> Output {
    let folder = folder.to_str().expect("a folder of text");
    let common = ["--scale=1", "--repetitions=1", "--threads=2", "--profile=dev"];
    matrix(
        &[&common[..], &["--allocators=brkmap,system,glibc,musl", "--only", only, "--output", folder], more]
            .concat(),
    )
}

fn results(folder: &Path) -> Results {
    let text = std::fs::read_to_string(folder.join("results.json")).expect("results were written");
    serde_json::from_str(&text).expect("they are the document")
}

#[test]
fn every_workload_agrees_over_the_allocators_and_the_results_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut names: Vec<&str> = workloads::ALL.iter().map(|workload| workload.name).collect();
    names.extend(programs::ALL.iter().map(|program| program.name));
    names.push("hello");
    let output = small(&names.join(","), folder.path(), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let results = results(folder.path());
    assert_eq!(results.sets.len(), 3);
    for set in &results.sets {
        let programs = if set.kind == Kind::Preload { programs::ALL.len() } else { 0 };
        // A program that is not here is the only reason to have a row less.
        for skipped in &set.skipped {
            println!("SKIP {}: {}", skipped.name, skipped.reason);
        }
        if set.kind == Kind::Musl && set.allocators.is_empty() {
            continue;
        }
        assert_eq!(set.rows.len() + set.skipped.len(), workloads::ALL.len() + programs, "{said}");
        assert_eq!(set.allocators.len(), 2, "{said}");
        for allocator in &set.allocators {
            assert!(allocator.hello_kib.is_some_and(|kib| kib > 500), "{}", allocator.name);
        }
        for row in &set.rows {
            assert_eq!(row.failure, None, "{}", row.name);
            for allocator in &set.allocators {
                let cell = &row.cells[&allocator.name];
                assert!(cell.failure.is_none() && cell.checksum.is_some(), "{} {cell:?}", row.name);
                assert_eq!(cell.samples.len(), 1, "{}", row.name);
            }
        }
    }
    let page = std::fs::read_to_string(folder.path().join("RESULTS.md")).unwrap();
    assert!(page.contains("## Inside Rust programs") && page.contains("## Preloaded"));

    // A piece more, into the same folder.
    let output = small("pairs", folder.path(), &["--merge", "--set", "rust"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let merged = self::results(folder.path());
    assert_eq!((merged.pieces, merged.sets[0].rows.len()), (2, workloads::ALL.len()));

    // Shown once more, without a run.
    let (page, document) = (folder.path().join("RESULTS.md"), folder.path().join("results.json"));
    let (shown, measured) = (std::fs::read(&page).unwrap(), std::fs::read(&document).unwrap());
    std::fs::remove_file(&page).unwrap();
    let output = matrix(&["--render", "--output", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read(&page).unwrap() == shown && std::fs::read(&document).unwrap() == measured);
}

#[test]
fn a_pair_is_run_in_turn_and_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let common =
        ["--pairs=brkmap,system", "--only=maps", "--scale=2", "--threads=2", "--profile=dev", "--time=5s"];
    let output =
        matrix(&[&common[..], &["--set=rust", "--output", folder.path().to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let results = results(folder.path());
    let (pair, row) = (&results.pairs[0], &results.sets[0].rows[0]);
    assert_eq!(
        (pair.one.as_str(), pair.other.as_str(), pair.rows[0].name.as_str()),
        ("brkmap", "system", "maps")
    );
    for name in ["brkmap", "system"] {
        assert_eq!(row.cells[name].samples.len(), pair.rows[0].rounds, "{said}");
    }
    if pair.rows[0].rounds >= brkmap_race::interval::LEAST {
        let cpu = pair.rows[0].cpu.expect("enough rounds for an interval");
        assert!(cpu.low <= cpu.middle && cpu.middle <= cpu.high);
    }
    let page = std::fs::read_to_string(folder.path().join("RESULTS.md")).unwrap();
    assert!(page.contains("brkmap to system, by pairs"), "{page}");
    let Some(costs) = &pair.calibration else {
        println!("SKIP the account: {:?}", results.remarks);
        return;
    };
    assert!(costs.instruction > 0.01 && costs.instruction < 100.0, "{costs:?}");
    for name in ["brkmap", "system"] {
        let account =
            row.cells[name].account.as_ref().unwrap_or_else(|| panic!("no account of {name}: {said}"));
        assert!(account.own > 1000 && account.own < account.instructions, "{account:?}");
        assert!(
            account.small_faults > 0 && account.calls["mmap"] > 0 && !account.functions.is_empty(),
            "{account:?}"
        );
    }
    let two = matrix(&["--pairs=brkmap"]);
    assert_eq!(two.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&two.stderr).contains("two allocators"));
}

#[test]
fn without_results_there_is_nothing_to_render() {
    let folder = tempfile::tempdir().unwrap();
    let output = matrix(&["--render", "--output", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no results.json"));
}

#[test]
fn a_name_that_nothing_has_is_a_usage_error() {
    for arguments in [["--only", "pears"], ["--allocators", "maloc"]] {
        let output = matrix(&arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(arguments[1]));
    }
}

#[test]
fn a_library_that_is_no_malloc_is_skipped_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("libnothing.so");
    std::fs::write(&other, "no library").unwrap();
    let with = format!("nothing={}", other.display());
    let folder = folder.path().join("out");
    let arguments = [
        "--profile=dev",
        "--set=preload",
        "--with",
        &with,
        "--allocators=glibc,nothing",
        "--only=hello",
        "--output",
    ];
    let output = matrix(&[&arguments[..], &[folder.to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("nothing is skipped"), "{said}");
    let results = results(&folder);
    assert_eq!(results.sets[0].skipped[0].name, "nothing");
    assert_eq!(results.sets[0].allocators.len(), 1);
}
