//! `brkmap race`. That a race is right is told by its own document; nothing here depends on who is faster.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Scratch, brkmap, needs, run, stderr, stdout, text};

/// Some 20 ms of a shell's work.
const WORK: &str = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i";

fn race(arguments: &[&str], command: &[&str]) -> Command {
    brkmap(&[&["race", "--time", "20", "--rounds", "8"], arguments, &["--"], command].concat())
}

fn read(path: &PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("it was written")).expect("one JSON document")
}

fn numbers(entry: &Value, of: fn(&Value) -> f64) -> Vec<f64> {
    entry["samples"].as_array().unwrap().iter().map(of).collect()
}

fn cpu(sample: &Value) -> f64 {
    sample["user_ms"].as_f64().unwrap() + sample["system_ms"].as_f64().unwrap()
}

#[test]
fn a_race_writes_its_tables_its_document_and_its_picture() {
    let scratch = Scratch::new("race");
    let (json, svg) = (scratch.file("race.json"), scratch.file("race.svg"));
    let files = ["--only", "brkmap,glibc", "--json", text(&json), "--svg", text(&svg)];
    let output = run(&mut race(&files, &["sh", "-c", WORK]));
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = stdout(&output);
    for part in ["brkmap", "glibc", "peak RSS", "minor faults", "mmap", "8 rounds in", "• brkmap"] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(!shown.contains('\x1b') && !shown.contains("20000"), "{shown}");

    let document = read(&json);
    assert_eq!((&document["schema"], &document["reference"]), (&2.into(), &"glibc".into()));
    let find = |name: &str| {
        document["allocators"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap()
    };
    let (brkmap, glibc) = (find("brkmap"), find("glibc"));
    assert!(brkmap["library"].as_str().unwrap().contains("libbrkmap.so") && glibc["library"].is_null());
    for entry in [brkmap, glibc] {
        assert!(entry["look"]["calls"]["mmap"].as_u64().unwrap() > 0 && entry["look"]["loaded"] == true);
        let peak = entry["samples"][0]["peak_kib"].as_u64().unwrap();
        assert!((500..200_000).contains(&peak), "{peak}");
    }
    // The ratio that is told is the median of the ratios of each round.
    let rounds = document["rounds"].as_u64().unwrap() as usize;
    let mut ratios: Vec<f64> =
        numbers(brkmap, cpu).iter().zip(numbers(glibc, cpu)).map(|(one, other)| one / other).collect();
    assert_eq!(ratios.len(), rounds);
    ratios.sort_by(f64::total_cmp);
    let median = (ratios[(rounds - 1) / 2] + ratios[rounds / 2]) / 2.0;
    let told = document["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|pair| pair["allocator"] == "brkmap" && pair["to"] == "glibc" && pair["quantity"] == "cpu");
    let interval = &told.expect("the pair")["interval"];
    let bound = |name: &str| interval[name].as_f64().unwrap();
    assert!((bound("middle") - median).abs() < 1e-9 && bound("low") <= median && bound("high") >= median);
    assert!(bound("low") >= ratios[0] - 1e-9 && bound("high") <= ratios[rounds - 1] + 1e-9);

    let picture = std::fs::read_to_string(&svg).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("CPU time as a ratio, glibc = 1"), "{picture}");
}

#[test]
fn the_document_alone_goes_to_stdout() {
    let output = run(&mut race(&["--only", "glibc", "--json"], &["true"]));
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!((&document["tool"], &document["command"][0]), (&"race".into(), &"true".into()));
}

#[test]
fn a_command_that_does_nothing_is_too_short_to_tell() {
    let output = run(&mut race(&["--only", "brkmap,glibc"], &["true"]));
    assert!(output.status.success());
    assert!(stdout(&output).contains("most of it for the start of the process"), "{}", stdout(&output));
}

/// `$LD_PRELOAD` tells the command whose malloc it has.
#[test]
fn who_fails_under_one_allocator_is_told_and_the_other_is_not_lost() {
    let fails = "case $LD_PRELOAD in *brkmap*) echo alas >&2; exit 3;; esac";
    let output = run(&mut race(&["--only", "brkmap,glibc"], &["sh", "-c", fails]));
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("the command failed with brkmap: exit code 3: alas"), "{shown}");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("glibc")), "{shown}");

    // It fails only now and then: what was measured before stays.
    let scratch = Scratch::new("race-now-and-then");
    let (json, count) = (scratch.file("race.json"), scratch.file("count"));
    let script =
        format!("case $LD_PRELOAD in *brkmap*) echo x >>{0}; [ $(wc -l <{0}) -lt 5 ];; esac", text(&count));
    let output = run(&mut race(&["--only", "brkmap,glibc", "--json", text(&json)], &["sh", "-c", &script]));
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let document = read(&json);
    let of = |name: &str| {
        let all = document["allocators"].as_array().unwrap();
        let entry = all.iter().find(|entry| entry["name"] == name).unwrap();
        (entry["samples"].as_array().unwrap().len(), entry["failure"].is_string())
    };
    assert_eq!((of("brkmap"), of("glibc")), ((3, true), (8, false)));
}

#[test]
fn what_cannot_be_raced_is_said_with_what_would_be_right() {
    let scratch = Scratch::new("race-wrong");
    let (no_library, plain) = (scratch.file("text.so"), scratch.file("plain"));
    std::fs::write(&no_library, "no library, but text").unwrap();
    std::fs::write(&plain, "no program").unwrap();
    let arm = scratch.file("arm.so");
    let mut head = std::fs::read("/proc/self/exe").unwrap()[..64].to_vec();
    (head[18], head[19]) = (0xb7, 0x01);
    std::fs::write(&arm, head).unwrap();
    let with = |path: &PathBuf| format!("x={}", text(path));
    let (no_library, arm) = (with(&no_library), with(&arm));
    let cases: [(&[&str], &[&str], i32, &str); 13] = [
        (&[], &["no-such-command"], 127, "no such command in PATH"),
        (&[], &["./no/such/command"], 127, "`./no/such/command`: no such file"),
        (&[], &[text(&plain)], 126, "no right to be executed"),
        (&[], &["/"], 126, "no file that can be run"),
        (&[], &[], 2, "<CMD>"),
        (&["--only", "glibc"], &["false"], 1, "fails under each allocator, libc's own included: exit code 1"),
        (&["--with", "x=/no/such.so"], &["true"], 2, "/no/such.so cannot be opened"),
        (&["--with", &no_library], &["true"], 2, "no ELF file"),
        (&["--with", &arm], &["true"], 2, "and this machine's programs are for"),
        (&["--against", "nobody"], &["true"], 2, "--against `nobody`: it is not here; there are brkmap, "),
        (&["--width", "none"], &["true"], 2, "`none` is no width"),
        (&["--input", "/no/such"], &["true"], 2, "--input /no/such cannot be read"),
        (&["--json", "/no/such/x.json"], &["true"], 2, "cannot write /no/such/x.json"),
    ];
    for (arguments, command, code, part) in cases {
        let output = run(&mut race(arguments, command));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {command:?}: {said}");
        assert!(said.contains(part), "{arguments:?} {command:?}: {said}");
        assert!(output.stdout.is_empty(), "{}", stdout(&output));
    }
    let output = run(&mut race(&["--time", "soon"], &["true"]));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_library_that_is_no_allocator_does_not_race() {
    let maps = brkmap_witness::maps::Maps::of_this_process().unwrap();
    let Some(path) = maps.regions().filter_map(|region| region.path()).find(|path| path.contains("libgcc_s"))
    else {
        println!("SKIP: no libgcc_s.so in this process to preload");
        return;
    };
    let output = run(&mut race(&["--with", &format!("gcc={path}")], &["true"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is no allocator: it defines no malloc"), "{}", stderr(&output));
}

#[test]
fn a_static_program_takes_no_library_and_is_told_so() {
    let Some(compiler) = needs("gcc") else { return };
    let scratch = Scratch::new("race-static");
    let (source, program) = (scratch.file("static.c"), scratch.file("static"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let built = Command::new(compiler).arg("-static").arg("-o").arg(&program).arg(&source).output().unwrap();
    if !built.status.success() {
        println!("SKIP: no static libc to link with: {}", stderr(&built));
        return;
    }
    let output = run(&mut race(&["--only", "brkmap"], &[text(&program)]));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("takes no preloaded library") && said.contains("brkmap doctor"), "{said}");
}

#[test]
fn who_reads_stdin_gets_a_file_each_time_or_is_told_how() {
    let scratch = Scratch::new("race-input");
    let file = scratch.file("line");
    std::fs::write(&file, "word\n").unwrap();
    let reads = ["sh", "-c", "read x; test \"$x\" = word"];
    let given = |command: &mut Command| {
        let output = run(command);
        assert!(output.status.success() && !stdout(&output).contains("--input"), "{}", stdout(&output));
    };
    given(&mut race(&["--only", "glibc", "--input", text(&file)], &reads));
    given(race(&["--only", "glibc"], &reads).stdin(File::open(&file).unwrap()));
    let output = run(race(&["--only", "glibc"], &["cat"]).stdin(Stdio::piped()));
    assert!(stdout(&output).contains("--input FILE"), "{}", stdout(&output));
}

#[test]
fn an_interrupted_race_tells_what_it_has() {
    let scratch = Scratch::new("race-interrupted");
    let (json, count) = (scratch.file("race.json"), scratch.file("count"));
    std::fs::write(&count, "").unwrap();
    let script = format!("echo x >>{}", text(&count));
    let arguments = ["--only", "brkmap,glibc", "--width", "0.01", "--json", text(&json)];
    let words = [&["race", "--time", "1h"], &arguments[..], &["--", "sh", "-c", &script]].concat();
    let mut racing = brkmap(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while std::fs::read_to_string(&count).unwrap().lines().count() < 20 {
        assert!(racing.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // SAFETY: kill takes numbers; the process is not waited for, so the id is still its own.
    unsafe { libc::kill(racing.id() as i32, libc::SIGINT) };
    let output = racing.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let document = read(&json);
    let rounds = document["rounds"].as_u64().unwrap() as usize;
    assert!(document["ended"] == "interrupted" && rounds > 0, "{document}");
    for entry in document["allocators"].as_array().unwrap() {
        assert_eq!(entry["samples"].as_array().unwrap().len(), rounds);
    }
    assert!(stdout(&output).contains("interrupted."), "{}", stdout(&output));
}

#[test]
fn text_fits_the_columns_there_are() {
    for columns in [60, 80, 200] {
        let mut command = race(&["--only", "brkmap,glibc"], &["sh", "-c", "kill -0 $$"]);
        let text = stdout(&run(command.env("COLUMNS", columns.to_string())));
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > columns.min(100)).collect();
        assert!(!text.is_empty() && wide.is_empty(), "{columns} columns: {wide:#?}");
    }
}

#[test]
fn what_cannot_be_written_is_said() {
    let full = |output: Output| {
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot write"), "{said}");
    };
    full(run(&mut race(&["--only", "glibc", "--json", "/dev/full"], &["true"])));
    let stdout = File::options().write(true).open("/dev/full").unwrap();
    full(run(race(&["--only", "glibc"], &["true"]).stdout(stdout).stderr(Stdio::piped())));
}
