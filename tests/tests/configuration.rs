//! The configuration: who may set a key, who wins, what is said of what is wrong; and what the documents say of it.

use std::process::Command;

use brkmap::keys::{Key, Kind, PRESETS, Text, values, write};
use brkmap_tests::calls::spans;
use brkmap_tests::program::{self, Front, binary};
use brkmap_tests::skip;

/// What a program that allocates says on standard error, in an environment.
fn said(front: Front, environment: &[(&str, &str)]) -> String {
    let mut command = front.exercise(&["nothing"]);
    command.envs(environment.iter().copied());
    said_by(command)
}

fn said_by(command: Command) -> String {
    let ended = program::run(command);
    ended.expect_success("a program with a configuration");
    String::from_utf8(ended.stderr).expect("text")
}

/// The columns of a key in the list that `help` writes: its default, what is in force, by whom.
fn row<'a>(list: &'a str, key: &str) -> [&'a str; 3] {
    let line = list.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(key)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("{key} is not in\n{list}")).trim_start();
    let (default, rest) = line.split_once(' ').expect("a default");
    let (in_force, by) = rest.trim_start().split_once(' ').expect("a value");
    [default, in_force, by.trim()]
}

/// What is in force for a key in an environment, and by whom.
fn in_force(environment: &[(&str, &str)], key: &str) -> (String, String) {
    let [_, value, by] =
        row(&said(Front::Preload, &[environment, &[("BRKMAP_HELP", "on")]].concat()), key).map(str::to_owned);
    (value, by)
}

#[test]
fn nothing_is_said_where_nothing_is_wrong() {
    for front in Front::BOTH {
        assert_eq!(said(front, &[]), "");
        let right = [("BRKMAP_CONF", "dirty_floor:1M,dirty_share=25%"), ("BRKMAP_MMAP_THRESHOLD", "0x40000")];
        assert_eq!(said(front, &right), "");
        // glibc's names are for glibc: what it takes and what it does not.
        assert_eq!(said(front, &[("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "nonsense")]), "");
        // Somebody else's.
        assert_eq!(said(front, &[("BRKMAP_VERBOSITY_OF_SOMETHING", "1")]), "");
    }
}

#[test]
fn help_lists_every_key_and_the_program_goes_on() {
    for front in Front::BOTH {
        let list = said(front, &[("BRKMAP_CONF", "help,dirty_floor:1M")]);
        for key in Key::ALL {
            assert!(list.contains(key.row().does), "{key:?} in\n{list}");
        }
        assert_eq!(row(&list, "dirty_floor"), ["7M", "1M", "BRKMAP_CONF"]);
        assert_eq!(row(&list, "mmap_threshold"), ["128K", "128K", "default"]);
    }
}

#[test]
fn each_source_wins_over_those_before_it() {
    let sources = [
        ("MALLOC_TRIM_THRESHOLD_", "2097152", "2M", "MALLOC_TRIM_THRESHOLD_"),
        (
            "GLIBC_TUNABLES",
            "glibc.malloc.check=0:glibc.malloc.trim_threshold=3145728",
            "3M",
            "GLIBC_TUNABLES",
        ),
        ("BRKMAP_CONF", "dirty_floor:4M", "4M", "BRKMAP_CONF"),
        ("BRKMAP_DIRTY_FLOOR", "5M", "5M", "BRKMAP_DIRTY_FLOOR"),
    ];
    let mut environment = Vec::new();
    assert_eq!(in_force(&environment, "dirty_floor"), ("7M".to_owned(), "default".to_owned()));
    for (name, value, is, by) in sources {
        environment.push((name, value));
        assert_eq!(in_force(&environment, "dirty_floor"), (is.to_owned(), by.to_owned()), "{environment:?}");
    }
    assert_eq!(in_force(&[("MALLOC_TRIM_THRESHOLD_", "-1")], "dirty_floor").0, "64T", "never");
    assert_eq!(in_force(&[("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")], "huge_pages").0, "always");
}

#[test]
fn a_preset_stands_below_the_keys_of_its_source_and_above_those_before() {
    let floor = |environment: &[(&str, &str)]| in_force(environment, "dirty_floor");
    let of = |value: &str, by: &str| (value.to_owned(), by.to_owned());
    assert_eq!(floor(&[("BRKMAP_CONF", "preset:small")]), of("1M", "preset:small of BRKMAP_CONF"));
    assert_eq!(floor(&[("BRKMAP_CONF", "dirty_floor:3M,preset:small")]), of("3M", "BRKMAP_CONF"));
    let both = [("BRKMAP_CONF", "preset:small"), ("MALLOC_TRIM_THRESHOLD_", "2097152")];
    assert_eq!(floor(&both), of("1M", "preset:small of BRKMAP_CONF"));
    let none = [("BRKMAP_CONF", "preset:small"), ("BRKMAP_PRESET", "none")];
    assert_eq!(floor(&none), of("7M", "preset:none of BRKMAP_PRESET"));
}

#[test]
fn what_is_wrong_is_said_on_one_line_and_the_rest_takes_effect() {
    let wrong = [
        (
            "mmap_treshold:1M",
            "BRKMAP_CONF: `mmap_treshold` is no key, and is ignored; `mmap_threshold` is the nearest",
        ),
        ("zzz:1", "BRKMAP_CONF: `zzz` is no key, and is ignored; BRKMAP_CONF=help lists those there are"),
        ("small", "BRKMAP_CONF: `small` is no key, and is ignored; write `preset:small`"),
        ("mmap_threshold:64", "BRKMAP_CONF: mmap_threshold is `64`; 1025 is taken, the least there is"),
        ("mmap_threshold:1G", "BRKMAP_CONF: mmap_threshold is `1G`; 32M is taken, the most there is"),
        (
            "mmap_threshold:12KB",
            "BRKMAP_CONF: mmap_threshold is `12KB`, which is ignored; it takes bytes from 1025 to 32M, as 4096, 64K or \
             1.5M",
        ),
        (
            "mmap_threshold",
            "BRKMAP_CONF: mmap_threshold has no value, and is ignored; it takes bytes from 1025 to 32M, \
             as 4096, 64K or 1.5M",
        ),
        (
            "huge_pages:alwys",
            "BRKMAP_CONF: huge_pages is `alwys`, which is ignored; it takes off, recycled or always; `always` is the \
             nearest",
        ),
        ("help:maybe", "BRKMAP_CONF: help is `maybe`, which is ignored; it takes on or off"),
        (
            "\x1b[31mred",
            "BRKMAP_CONF: `?[31mred` is no key, and is ignored; BRKMAP_CONF=help lists those there are",
        ),
    ];
    for (text, line) in wrong {
        for front in Front::BOTH {
            let text = format!("{text},dirty_floor:3M");
            assert_eq!(
                said(front, &[("BRKMAP_CONF", &text)]),
                format!("brkmap: {line}\n"),
                "{text} on {front:?}"
            );
        }
        assert_eq!(
            in_force(&[("BRKMAP_CONF", &format!("{text},dirty_floor:3M"))], "dirty_floor").0,
            "3M",
            "{text}"
        );
    }
    assert_eq!(
        said(Front::Preload, &[("BRKMAP_MMAP_TRESHOLD", "1M")]),
        "brkmap: `BRKMAP_MMAP_TRESHOLD` is no variable of brkmap's, and is ignored; BRKMAP_MMAP_THRESHOLD is the \
         nearest\n"
    );
    let named = said(Front::Preload, &[("BRKMAP_CONF", "name:db,x:1")]);
    assert!(named.starts_with("brkmap (db): "), "{named}");
    let long = said(Front::Preload, &[("BRKMAP_CONF", &"y".repeat(3000))]);
    assert_eq!(long.lines().count(), 1, "{long}");
    assert!(long.len() < 200 && long.contains("yyy..."), "{long}");
}

/// Runs a program where /etc/brkmap.conf has a text. None: nobody may change what it sees here.
fn with_file(text: &[u8], environment: &[(&str, &str)]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("brkmap.conf"), text).expect("a file");
    let mut command = Command::new("unshare");
    // Nothing but the file is in /etc: the loader goes on without its cache.
    let script = format!(
        "mount --bind '{}' /etc && exec '{}' nothing",
        folder.path().display(),
        binary("exercise-rust").display()
    );
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .envs(environment.iter().copied());
    let ended = program::run(command);
    if !ended.status.success() {
        skip::skip(&format!("no namespace for a file in /etc: {}", String::from_utf8_lossy(&ended.stderr)));
        return None;
    }
    Some(String::from_utf8(ended.stderr).expect("text"))
}

#[test]
fn the_file_is_read_and_variables_win_over_it() {
    let text = b"# for all\n\npreset: small   # little\n dirty_share = 50\nmmap_threshold:1M,huge_pages:always\nhelp\n";
    let Some(list) = with_file(text, &[("BRKMAP_CONF", "mmap_threshold:2M")]) else { return };
    assert_eq!(row(&list, "dirty_share"), ["12.5%", "50%", "/etc/brkmap.conf"]);
    assert_eq!(row(&list, "dirty_floor"), ["7M", "1M", "preset:small of /etc/brkmap.conf"]);
    assert_eq!(row(&list, "huge_pages"), ["recycled", "always", "/etc/brkmap.conf"]);
    assert_eq!(row(&list, "mmap_threshold"), ["128K", "2M", "BRKMAP_CONF"]);
    let wrong = with_file(b"dirty_flor: 1M\n", &[]).expect("it went a moment ago");
    assert_eq!(
        wrong,
        "brkmap: /etc/brkmap.conf: `dirty_flor` is no key, and is ignored; `dirty_floor` is the nearest\n"
    );
}

#[test]
fn of_a_file_that_is_too_long_the_whole_lines_of_its_beginning_are_read() {
    let mut text = b"dirty_floor:1M\nhelp\n".to_vec();
    text.resize(4090, b'#');
    text.extend(b"\ndirty_floor:2M\n");
    let Some(list) = with_file(&text, &[]) else { return };
    let line = "brkmap: /etc/brkmap.conf: the file is longer than 4095 bytes; what is behind its last whole line there \
                is ignored\n";
    assert!(list.starts_with(line), "{list}");
    assert_eq!(row(&list, "dirty_floor"), ["7M", "1M", "/etc/brkmap.conf"]);
}

#[test]
fn of_a_tree_of_processes_the_first_one_speaks() {
    let said = |conf: &str, script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("EXERCISE", binary("exercise"));
        said_by_with(command, conf)
    };
    let line =
        "brkmap: BRKMAP_CONF: `zzz` is no key, and is ignored; BRKMAP_CONF=help lists those there are\n";
    let three = "\"$EXERCISE\" nothing; sh -c '\"$EXERCISE\" nothing; true'; \"$EXERCISE\" nothing";
    assert_eq!(said("zzz:1", three), line);
    let other = "BRKMAP_CONF=dirty_flor:1 \"$EXERCISE\" nothing; true";
    assert!(said("zzz:1", other).contains("dirty_floor"), "what the parent has not said is said");
    assert_eq!(said("help", three).matches("mmap_threshold").count(), 1);
}

/// What a tree of processes says, all of them preloaded.
fn said_by_with(mut command: Command, conf: &str) -> String {
    command.env("LD_PRELOAD", program::preload()).env("BRKMAP_CONF", conf);
    said_by(command)
}

/// What the program says that sets its allocator by code.
fn configured(words: &[&str], environment: &[(&str, &str)]) -> program::Ended {
    let mut command = Command::new(binary("exercise-configured"));
    command.args(words).envs(environment.iter().copied());
    let ended = program::run(command);
    ended.expect_success(&format!("{words:?} with {environment:?}"));
    ended
}

#[test]
fn what_code_says_is_in_force_and_gives_way_to_the_environment() {
    let help = |environment: &[(&str, &str)]| {
        let ended = configured(&["nothing"], &[environment, &[("BRKMAP_HELP", "on")]].concat());
        String::from_utf8(ended.stderr).expect("text")
    };
    let code = "the program's code";
    let list = help(&[]);
    assert_eq!(row(&list, "preset"), ["none", "small", code]);
    assert_eq!(row(&list, "dirty_floor"), ["7M", "1M", code]);
    assert_eq!(row(&list, "mmap_threshold"), ["128K", "256K", code]);
    assert_eq!(row(&list, "huge_pages"), ["recycled", "always", code], "what is said behind a preset wins");
    assert_eq!(row(&list, "decay"), ["10s", "1s", code]);
    assert_eq!(row(&list, "thread_cache"), ["32K", "16K", code]);
    let list = help(&[("BRKMAP_CONF", "mmap_threshold:1M"), ("MALLOC_TRIM_THRESHOLD_", "2097152")]);
    assert_eq!(row(&list, "mmap_threshold"), ["128K", "1M", "BRKMAP_CONF"]);
    assert_eq!(row(&list, "dirty_floor"), ["7M", "2M", "MALLOC_TRIM_THRESHOLD_"]);
    let list = help(&[("BRKMAP_CONF", "preset:none")]);
    assert_eq!(row(&list, "dirty_floor"), ["7M", "7M", "preset:none of BRKMAP_CONF"]);
    assert_eq!(configured(&["threshold"], &[]).numbers("threshold"), [256 << 10]);
}

#[test]
fn a_second_one_that_says_something_else_is_told_once_and_the_first_stays() {
    let said = |word| String::from_utf8(configured(&[word], &[]).stderr).expect("text");
    assert_eq!((said("same"), said("plain")), (String::new(), String::new()));
    assert_eq!(
        said("another"),
        "brkmap: a second BrkMap::with says something else about mmap_threshold, and is ignored: a process has one \
         allocator, and the first BrkMap that is asked sets it\n"
    );
}

#[test]
fn mallopt_has_the_last_word() {
    // The scenario sets it, and marks what the next requests do.
    let threshold = |bytes: &str, environment: &[(&str, &str)]| {
        let calls = Front::Preload.trace_with(&["mallopt", bytes], environment)?;
        // What the program got before it set anything may have moved the break already.
        let names = |label| spans(&calls, label).concat().into_iter().map(|call| call.name);
        Some(["at", "at-again"].into_iter().flat_map(names).collect::<Vec<_>>())
    };
    let (Some(alone), Some(beside)) =
        (threshold("262144", &[]), threshold("262144", &[("BRKMAP_CONF", "mmap_threshold:32M")]))
    else {
        return;
    };
    assert!(alone.iter().any(|name| name == "mmap"), "{alone:?}");
    assert_eq!(alone, beside, "the same calls, whatever was set before");
}

/// A word as it is written.
fn written(key: Key, word: usize) -> String {
    let mut text = Text::<64>::new();
    write(&mut text, key.row().kind, word);
    String::from_utf8_lossy(text.bytes()).into_owned()
}

/// The default of a key; none of a text.
fn default_of(key: Key) -> Option<String> {
    let row = key.row();
    (row.kind != Kind::Text).then(|| written(key, row.default))
}

/// The rows of the presets: each key, and what each of them sets it to.
fn rows_of_presets() -> Vec<String> {
    let row = |at: usize, key: Key| {
        let words = (0..PRESETS.len()).map(|preset| written(key, values(preset)[at].1));
        format!("| `{}` | {} |", key.row().name, words.collect::<Vec<_>>().join(" | "))
    };
    values(0).iter().enumerate().map(|(at, (key, _))| row(at, *key)).collect()
}

fn glibcs_names(key: Key) -> String {
    let names: Vec<_> = key.row().glibc.iter().filter(|name| !name.is_empty()).copied().collect();
    names.join(", ")
}

/// A key's row in the page about the configuration.
fn row_of(key: Key) -> String {
    let default = default_of(key).map_or(String::new(), |default| format!("`{default}`"));
    let row = key.row();
    let (does, from) = (row.does.to_owned(), row.effect.words().to_owned());
    let cells = [format!("`{}`", row.name), default, does, from, glibcs_names(key)];
    format!("| {} |", cells.join(" | "))
}

/// A key's paragraph in the manual.
fn paragraph_of(key: Key) -> String {
    let default = default_of(key).map_or(String::new(), |default| format!("\nThe default is {default}."));
    let names = glibcs_names(key);
    let names = if names.is_empty() { names } else { format!("\nglibc's names for it: {names}.") };
    let row = key.row();
    let from = row.effect.words();
    format!(".TP\n.B {}\n{}\nFrom {from} on.{default}{names}\n", row.name, row.does)
}

/// Panics with what a document should have, line by line, where it has it not.
fn expect_in(file: &str, expected: &[String]) {
    let page = std::fs::read_to_string(program::root().join(file)).expect("a document");
    let all = expected.join("\n");
    assert!(page.contains(all.trim_end()), "{file} has not the keys as the table of keys has them:\n{all}");
}

#[test]
fn the_documents_have_every_key_as_the_table_has_it() {
    expect_in("allocator/docs/configuration.md", &Key::ALL.map(row_of));
    expect_in("allocator/docs/configuration.md", &rows_of_presets());
    let paragraphs = Key::ALL.map(|key| paragraph_of(key).trim_end().to_owned());
    expect_in("allocator/preload/man/libbrkmap.3", &paragraphs);
}
