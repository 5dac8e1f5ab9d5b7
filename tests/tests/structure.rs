//! The shape of the source tree: what may know what, what is banned, what is dead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brkmap_tests::program::root;
use brkmap_tests::source::production::{assert_none, lines, production};
use brkmap_tests::source::{self, shown};

/// The layers of allocator/src from below. A module knows those below its own and itself. Those in one layer
/// stand beside each other and do not know each other; only the words at the bottom do.
const LAYERS: [(&[&str], Neighbours); 10] = [
    (&["units", "size_class", "config", "fatal", "row", "sync"], Neighbours::Known),
    (&["os"], Neighbours::Unknown),
    (&["arena"], Neighbours::Unknown),
    (&["slab"], Neighbours::Unknown),
    (&["heap", "large"], Neighbours::Unknown),
    (&["allocator"], Neighbours::Unknown),
    (&["process"], Neighbours::Unknown),
    (&["stats"], Neighbours::Unknown),
    (&["global", "c_api"], Neighbours::Unknown),
    (&["overrides", "glibc_names"], Neighbours::Unknown),
];

#[derive(PartialEq)]
enum Neighbours {
    Known,
    Unknown,
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(modules, _)| modules.contains(&module))
}

fn may_know(from: &str, to: &str) -> bool {
    match (layer(from), layer(to)) {
        (Some(here), Some(there)) => {
            from == to || there < here || there == here && LAYERS[here].1 == Neighbours::Known
        }
        _ => false,
    }
}

/// The modules of the crate's root that code at `module` names, by `crate::x` and by `super::x`.
fn named_modules(code: &str, module: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| !glued(code, *at)) {
        let rest = &code[at + "crate::".len()..];
        // A macro belongs to the root, wherever it is written.
        let is_macro = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').starts_with('!');
        found.extend(first_names(rest).into_iter().filter(|_| !is_macro));
    }
    for (at, _) in
        code.match_indices("super::").filter(|(at, _)| !glued(code, *at) && !code[..*at].ends_with("super::"))
    {
        let mut rest = &code[at..];
        let mut ups = 0;
        while let Some(after) = rest.strip_prefix("super::") {
            rest = after;
            ups += 1;
        }
        // Only from the crate's root does a name lead to another layer.
        if ups >= module.len() {
            found.extend(first_names(rest));
        }
    }
    found
}

fn glued(code: &str, at: usize) -> bool {
    code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
}

/// `a::b` gives a; `{a::{b, c}, d}` gives a and d.
fn first_names(path: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[begin..at]));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn layers_know_only_those_below() {
    let mut found = Vec::new();
    for file in production() {
        // lib.rs declares all of them and is known to none.
        let Some(own) = file.module.first() else { continue };
        if layer(own).is_none() {
            found.push(format!("{}: {own} has no place in the layers", shown(&file.path)));
        }
        for to in named_modules(&file.code, &file.module) {
            if !may_know(own, &to) {
                found.push(format!("{}: {own} names {to}", shown(&file.path)));
            }
        }
    }
    assert_none(found, "a layer knows what is not below it");
}

#[test]
fn the_layer_check_sees_every_way_to_name_a_module() {
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(named_modules("use crate::{heap::{A, B}, slab};", &module("arena")), ["heap", "slab"]);
    assert_eq!(named_modules("let x = crate::heap::f();", &module("arena::top")), ["heap"]);
    assert_eq!(named_modules("use super::heap::F;", &module("arena")), ["heap"]);
    assert_eq!(named_modules("use super::super::heap::F;", &module("arena::top")), ["heap"]);
    assert!(named_modules("use super::runs::F;", &module("arena::top")).is_empty());
    assert!(!may_know("arena", "heap") && !may_know("heap", "large") && !may_know("os", "arena"));
    assert!(may_know("arena", "os") && may_know("sync", "units") && may_know("c_api", "stats"));
}

#[test]
fn files_are_short_or_say_why_not() {
    let mut found = Vec::new();
    for ending in ["rs", "c"] {
        for path in source::with_ending("", ending) {
            let text = source::text(&path).expect("source is text");
            let reason = text.lines().take(12).any(|line| line.contains("// long: "));
            if text.lines().count() >= 400 && !reason {
                found.push(format!("{}: {} lines", shown(&path), text.lines().count()));
            }
        }
    }
    assert_none(found, "400 lines or more, and no `// long: why` at the head");
}

#[test]
fn no_rust_file_is_dead() {
    let mut found = Vec::new();
    let manifests: Vec<_> =
        source::with_ending("", "toml").into_iter().filter(|p| p.ends_with("Cargo.toml")).collect();
    for manifest in manifests {
        let package = manifest.parent().expect("a folder");
        if package == root() {
            continue;
        }
        let reached = source::reached(package).all;
        let inner: Vec<PathBuf> = source::with_ending(&shown(package), "rs");
        for path in inner {
            // A package inside a package answers for its own.
            let own = path.ancestors().skip(1).find(|folder| folder.join("Cargo.toml").exists());
            if own == Some(package) && !reached.contains(&path) {
                found.push(shown(&path));
            }
        }
    }
    assert_none(found, "no target reaches these");
}

#[test]
fn no_script_is_dead() {
    let texts: BTreeMap<PathBuf, String> = source::files("")
        .into_iter()
        .filter_map(|path| source::text(&path).map(|text| (path, text)))
        .collect();
    let mut found = Vec::new();
    for (path, text) in texts.iter().filter(|(_, text)| text.starts_with("#!/")) {
        // A suite is named by its stem in the list of tests/run, other scripts by folder and name.
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder =
            path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let called = match folder.as_str() {
            "suites" => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            // In a folder of scripts the name alone says enough.
            _ if name.contains('.') => name,
            _ => format!("{folder}/{name}"),
        };
        let listed = |other: &Path| folder != "suites" || other.ends_with("tests/run");
        let known =
            texts.iter().any(|(other, text)| other != path && listed(other) && text.contains(&called));
        if !known {
            found.push(format!(
                "{} (nothing mentions {called}), {} lines",
                shown(path),
                text.lines().count()
            ));
        }
    }
    assert_none(found, "scripts nobody calls or names");
}

/// What allocates, formats or panics. Assertions stay: a broken invariant must stop the program.
const BANNED: [&str; 13] = [
    ".unwrap()",
    ".expect(",
    "panic!",
    "unreachable!",
    "todo!",
    "unimplemented!",
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "format!",
    "dbg!",
    "vec!",
];

#[test]
fn the_allocator_neither_allocates_nor_formats_nor_panics() {
    let mut found = Vec::new();
    for file in production() {
        found.extend(lines(&file.path, &file.code, |line| {
            let is = |word: &&&str| {
                line.match_indices(**word).any(|(at, _)| word.starts_with('.') || !glued(line, at))
            };
            BANNED.iter().find(is).map(|word| (*word).to_owned())
        }));
    }
    assert_none(found, "banned in the allocator");
}

#[test]
fn lines_of_the_allocator_are_at_most_110_wide() {
    let mut found = Vec::new();
    for ending in ["rs", "c", "h", "sh"] {
        for path in source::with_ending("allocator", ending) {
            let text = source::text(&path).expect("source is text");
            let wide = |line: &str| {
                (line.chars().count() > 110).then(|| format!("{} columns", line.chars().count()))
            };
            found.extend(lines(&path, &text, wide));
        }
    }
    assert_none(found, "too wide");
}

#[test]
fn conditions_stay_in_their_places() {
    let mut found = Vec::new();
    for file in production() {
        if ["", "sync", "os", "config"].contains(&file.module.first().map_or("", String::as_str)) {
            continue;
        }
        found.extend(lines(&file.path, &file.code, |line| {
            let (_, argument) = line
                .split_once("cfg(")
                .or_else(|| line.split_once("cfg_attr("))
                .or_else(|| line.split_once("cfg!("))?;
            let argument = argument.split(']').next().unwrap_or("");
            (!source::is_test_cfg(argument)).then(|| line.trim().to_owned())
        }));
    }
    assert_none(found, "cfg outside lib, sync, os and config");
}

#[test]
fn no_text_names_a_machine() {
    // In two parts, or this file would find itself.
    let paths = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    for path in source::files("") {
        let Some(text) = source::text(&path) else { continue };
        found.extend(lines(&path, &text, |line| {
            let absolute = |word: &&String| {
                let mut hits = line.match_indices(word.as_str());
                hits.any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_.-}*~".contains(c))
                })
            };
            paths.iter().find(absolute).cloned()
        }));
    }
    assert_none(found, "a path of somebody's machine");
}

/// The picture of the layers in a document: from below, the modules of each row.
fn pictured(page: &str) -> Vec<Vec<&str>> {
    let (_, section) = page.split_once("\n## Layers\n").unwrap_or_default();
    let (_, picture) = section.split_once("```text\n").unwrap_or_default();
    let rows = picture.lines().take_while(|line| !line.starts_with("```"));
    let modules = rows.filter_map(|row| row.split('│').next());
    let mut rows: Vec<Vec<_>> = modules.map(|modules| modules.split_whitespace().collect()).collect();
    rows.reverse();
    rows
}

#[test]
fn the_picture_of_the_layers_is_what_is_tested() {
    let page = source::text(&root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let tested: Vec<_> = LAYERS.iter().map(|(modules, _)| modules.to_vec()).collect();
    assert_eq!(pictured(&page), tested, "the picture in ARCHITECTURE, and LAYERS above, from below");
    let below = pictured("\n## Layers\n\n```text\n  b  c   │ words\n  a\n```\n");
    assert_eq!(below, [vec!["a"], vec!["b", "c"]]);
}
