//! `brkmap profile`: runs, files, their difference, pictures; right at every width and into a pipe.

use crate::support::{brkmap, json, needs, run, stderr, stdout};

const SCRIPT: &str =
    "my @a; push @a, 'x' x 3000 for 1..4000; my %h; $h{$_} = [$_] for 1..20000; print scalar(@a), \"\\n\"";

/// A profile of a run of perl, kept in a file.
fn kept(folder: &std::path::Path, name: &str) -> Option<String> {
    let perl = needs("perl")?;
    let file = folder.join(name).to_str().expect("text").to_owned();
    let output =
        run(brkmap(&["profile", "--rate", "16K", "--out", &file, "--"]).arg(perl).args(["-e", SCRIPT]));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    // What the command itself says comes first.
    assert!(text.starts_with("4000\n"), "{text}");
    assert!(text.contains(" allocated\n") && text.contains("live at the end"), "{text}");
    assert!(text.contains("libc_start"), "the callers have names: {text}");
    assert!(!text.contains('\u{1b}'), "no colour into a pipe");
    Some(file)
}

#[test]
fn a_run_is_shown_and_its_file_at_every_width() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(file) = kept(folder.path(), "heap.pb.gz") else { return };
    for width in [60, 80, 200] {
        let output = run(brkmap(&["profile", "--show", "live", &file]).env("COLUMNS", width.to_string()));
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!((40..=width).contains(&longest), "{longest} columns of {width}:\n{text}");
    }
    let document = json(&mut brkmap(&["profile", "--json", &file]));
    let sites = document["sites"].as_array().expect("sites");
    let sum = |name: &str| sites.iter().map(|site| site[name].as_i64().expect("a number")).sum::<i64>();
    assert!(
        sum("allocated") > 12_000_000 && sum("live") <= sum("allocated") && sum("requested") <= sum("live")
    );
}

#[test]
fn a_profile_without_itself_is_nothing_and_a_picture_can_be_searched() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(file) = kept(folder.path(), "heap.pb.gz") else { return };
    let output = run(&mut brkmap(&["profile", "--base", &file, &file]));
    assert!(stdout(&output).starts_with("0 B more or less\n"), "{}", stdout(&output));
    let picture = folder.path().join("heap.svg");
    let output =
        run(brkmap(&["profile", "--flame", picture.to_str().expect("text"), &file]).env("COLUMNS", "80"));
    assert!(output.status.success(), "{}", stderr(&output));
    let svg = std::fs::read_to_string(picture).expect("a picture");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{}", &svg[..200]);
    assert!(svg.contains("id=\"search\"") && svg.matches("<g class=\"f\"").count() > 5);
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    std::fs::write(at("text"), "no profile").expect("a file");
    std::fs::write(at("cut.gz"), [0x1f, 0x8b, 8, 0]).expect("a file");
    for (file, word) in [("none", "none"), ("text", "no profile of pprof's format"), ("cut.gz", "cut off")] {
        let output = run(&mut brkmap(&["profile", &at(file)]));
        assert!(!output.status.success() && stderr(&output).contains(word), "{}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
    assert_eq!(run(&mut brkmap(&["profile"])).status.code(), Some(2));
    let Some(perl) = needs("perl") else { return };
    let code = run(brkmap(&["profile", "--"]).arg(perl).args(["-e", "exit 3"])).status.code();
    assert_eq!(code, Some(3), "the command's");
    let output = run(&mut brkmap(&["profile", "--", "sh", "-c", "kill -9 $$"]));
    assert!(
        output.status.code() == Some(125) && stderr(&output).contains("left no profile"),
        "{}",
        stderr(&output)
    );
}
