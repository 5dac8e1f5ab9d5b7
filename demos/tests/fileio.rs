mod common;

use common::{file, run};

const FILEIO: &str = env!("CARGO_BIN_EXE_fileio");

#[test]
fn both_ways_do_the_same_work_and_the_chart_is_drawn() {
    let dir = tempfile::tempdir().expect("a directory");
    let svg = dir.path().join("out.svg");
    let at = dir.path().to_str().expect("text");
    let arguments = [
        "--json",
        "--size",
        "300001",
        "--operations",
        "500",
        "--dir",
        at,
        "--svg",
        svg.to_str().expect("text"),
    ];
    let report = run(FILEIO, &arguments).all_hold(4);
    let measured = report["facts"]["measured"].as_array().expect("rows");
    let row = |work: &str, way: &str| {
        measured.iter().find(|row| row["work"] == work && row["way"] == way).expect("the row is there")
    };
    // Without ptrace the counts are errors, and their claims were skipped aloud.
    let calls = &row("random reads", "lseek/read/write")["calls"]["Ok"];
    if calls.is_object() {
        assert_eq!(calls["by_name"]["read"], 500);
        assert_eq!(calls["by_name"]["lseek"], 500);
        assert_eq!(calls["copied"], 500 * 64);
        assert_eq!(row("random updates, a sync each", "mmap")["calls"]["Ok"]["by_name"]["msync"], 50);
    } else {
        println!("SKIP system calls: no ptrace here");
    }
    assert!(row("random reads", "mmap")["faults"]["minor"].as_u64() > Some(0));
    assert_eq!(report["facts"]["verdicts"].as_array().map(Vec::len), Some(measured.len() / 2));
    let drawn = std::fs::read_to_string(svg).expect("the chart");
    assert!(
        drawn.starts_with("<svg") && drawn.contains("random reads") && drawn.trim_end().ends_with("</svg>")
    );
    let marks = drawn.matches("width=\"14\" height=\"10\"").count();
    assert_eq!((marks, drawn.matches("\nmilliseconds\n").count()), (2, 1), "{drawn}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1, "only the chart is left");
}

#[test]
fn bad_input_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let plain = file(dir.path(), "plain", b"x", 0o600);
    run(FILEIO, &["--size", "none"]).refused(&["--size", "64M"]);
    run(FILEIO, &["--size", "10"]).refused(&["64 bytes"]);
    run(FILEIO, &["--size", "8000000G"]).refused(&["bytes free"]);
    run(FILEIO, &["--dir", "/missing/here"]).refused(&["/missing/here", "does not exist"]);
    run(FILEIO, &["--dir", &plain]).refused(&[&plain, "not a directory"]);
    run(FILEIO, &["--svg", "/missing/out.svg"]).refused(&["/missing/out.svg"]);
}
