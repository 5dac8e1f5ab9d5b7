//! The command line as a whole.

use std::fs::File;
use std::process::Stdio;

use crate::support::{brkmap, json, run, stderr, stdout};

#[test]
fn help_shows_every_command_with_examples() {
    let text = stdout(&run(&mut brkmap(&["--help"])));
    for part in ["compare", "trace", "sweep", "demo", "--json", "Examples:", "NO_COLOR"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("__probe"));
}

#[test]
fn help_is_a_command_too() {
    let output = run(&mut brkmap(&["help", "sweep"]));
    assert!(output.status.success() && stdout(&output).contains("--from"), "{}", stderr(&output));
}

#[test]
fn options_without_a_command_are_those_of_compare() {
    let document = json(&mut brkmap(&["--only", "glibc", "--sizes", "1.5K", "--json"]));
    assert_eq!(document["allocators"][0]["sizes"][0]["size"], 1536);
}

#[test]
fn output_that_cannot_be_written_is_said_in_one_line() {
    let commands: [&[&str]; 9] = [
        &["doctor", "--", "cat"],
        &["race", "--help"],
        &["race", "--only", "glibc", "--time", "1s", "--", "true"],
        &["compare", "--only", "glibc", "--sizes", "10"],
        &["compare", "--only", "glibc", "--sizes", "10", "--json"],
        &["sweep", "--only", "glibc", "--from", "64K", "--to", "256K"],
        &["demo"],
        &["demo", "--json"],
        &["--help"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let full = File::options().write(true).open("/dev/full").unwrap();
        for stdout in [Stdio::from(full), Stdio::from(writer)] {
            let output = run(brkmap(arguments).stdout(stdout).stderr(Stdio::piped()));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            let one = said.starts_with("brkmap: cannot write to stdout") && said.lines().count() == 1;
            assert!(one, "{arguments:?}: {said}");
        }
    }
}

#[test]
fn a_traced_command_dies_of_a_closed_pipe_as_it_would_by_itself() {
    let output = run(&mut brkmap(&["trace", "--summary-only", "--", "sh", "-c", "kill -PIPE $$; exit 3"]));
    assert_eq!(output.status.code(), Some(128 + libc::SIGPIPE), "{}", stderr(&output));
}

#[test]
fn an_unknown_command_is_refused() {
    let output = run(&mut brkmap(&["compere"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("compere"), "{}", stderr(&output));
}

#[test]
fn demos_are_listed_and_an_unknown_one_is_named() {
    let document = json(&mut brkmap(&["demo", "--json"]));
    let names: Vec<_> =
        document["demos"].as_array().unwrap().iter().map(|demo| demo["name"].as_str().unwrap()).collect();
    let text = stdout(&run(&mut brkmap(&["demo"])));
    assert!(names.contains(&"fork") && names.iter().all(|name| text.contains(name)), "{text}");
    let output = run(&mut brkmap(&["demo", "frok"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`frok`") && stderr(&output).contains("fork"), "{}", stderr(&output));
}

#[test]
fn a_variable_that_does_nothing_is_said_once_for_all_probes() {
    for (name, value, words) in [
        ("BRKMAP_MMAP_THRESHOLD", "64Q", "mmap_threshold is `64Q`, which is ignored"),
        ("BRKMAP_MMAP_THRESHOLD", "64", "1025 is taken, the least there is"),
        ("BRKMAP_MMAP_TRESHOLD", "65536", "`BRKMAP_MMAP_TRESHOLD` is no variable of brkmap's"),
        ("BRKMAP_CONF", "dirty_flor:1M", "`dirty_floor` is the nearest"),
    ] {
        let mut command = brkmap(&["compare", "--sizes", "10,1M", "--only", "brkmap,brkmap-rust"]);
        let output = run(command.env(name, value));
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.matches(words).count(), 1, "{said}");
    }
}

#[test]
fn what_is_set_is_said_beside_what_came_of_it() {
    let mut command = brkmap(&["compare", "--sizes", "10,1M", "--only", "brkmap"]);
    let output = run(command.env("BRKMAP_CONF", "mmap_threshold:2M"));
    let said = stdout(&output);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("brkmap's mmap_threshold is 2M, by BRKMAP_CONF."), "{said}");
}

/// Examples are lines to be copied: they stay whole at 80 columns.
#[test]
fn help_fits_80_columns_with_its_examples_whole() {
    for arguments in [
        &["--help"][..],
        &["compare", "--help"],
        &["trace", "--help"],
        &["sweep", "--help"],
        &["doctor", "--help"],
        &["race", "--help"],
        &["maps", "--help"],
        &["top", "--help"],
        &["profile", "--help"],
        &["demo", "--help"],
    ] {
        let text = |columns: &str| stdout(&run(brkmap(arguments).env("COLUMNS", columns)));
        let examples = |text: &str| text.split_once("Examples:").expect("examples").1.to_owned();
        let (narrow, wide) = (text("80"), text("100"));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert_eq!(examples(&narrow), examples(&wide), "{arguments:?}");
    }
}

#[test]
fn what_is_for_reading_fits_the_columns_there_are() {
    let commands: [&[&str]; 4] = [
        &["compare", "--only", "brkmap,brkmap-rust,glibc", "--sizes", "10,128K,10M"],
        &["sweep", "--only", "glibc", "--from", "64K", "--to", "256K"],
        &["demo"],
        &["doctor", "--", "cat"],
    ];
    for columns in [60, 80] {
        for arguments in commands {
            let text = stdout(&run(brkmap(arguments).env("COLUMNS", columns.to_string())));
            let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > columns).collect();
            assert!(!text.is_empty() && wide.is_empty(), "{columns} columns, {arguments:?}: {wide:#?}");
        }
    }
}
