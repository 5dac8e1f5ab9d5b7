//! The shape of the source tree: what may know what, what is banned, what is dead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brkmap_tests::program::root;

mod source;

use source::production::{Production, assert_none, lines, production, production_of};
use source::shown;
use source::tokens::{self, Word, group};

/// The layers of allocator/src from below. A module knows those below its own and itself. Those in one layer
/// stand beside each other and do not know each other; only the words at the bottom do.
const LAYERS: [(&[&str], Neighbours); 12] = [
    (&["base", "sync"], Neighbours::Known),
    (&["os"], Neighbours::Unknown),
    (&["arena", "samples"], Neighbours::Unknown),
    (&["slab", "medium"], Neighbours::Unknown),
    (&["heap", "large"], Neighbours::Unknown),
    (&["allocator", "zone", "files"], Neighbours::Unknown),
    (&["process"], Neighbours::Unknown),
    (&["front::stats"], Neighbours::Unknown),
    (&["front::rust", "front::c"], Neighbours::Unknown),
    (&["front::overrides", "front::glibc_names", "front::heap", "front::profile"], Neighbours::Unknown),
    (&["front::by_layout"], Neighbours::Unknown),
    (&["front::api", "front::api2"], Neighbours::Unknown),
];

/// A folder whose modules have places of their own. It declares them, and is known to none.
const PARTED: &str = "front";

#[derive(PartialEq)]
enum Neighbours {
    Known,
    Unknown,
}

/// The tool's, likewise: each command stands by itself, and the command line above them all.
const TOOL: [(&[&str], Neighbours); 8] = [
    (&["console", "elf", "regions", "summary", "variables", "watched"], Neighbours::Unknown),
    (&["locate"], Neighbours::Unknown),
    (&["contender"], Neighbours::Unknown),
    (&["observe"], Neighbours::Unknown),
    (&["comparison"], Neighbours::Unknown),
    (&["explain", "table"], Neighbours::Unknown),
    (&["compare", "demo", "doctor", "maps", "profile", "race", "sweep", "top", "trace"], Neighbours::Unknown),
    (&["cli"], Neighbours::Unknown),
];

/// The packages of this workspace.
const PACKAGES: [(&[&str], Neighbours); 5] = [
    (&["brkmap", "brkmap-base", "brkmap-loom", "brkmap-witness"], Neighbours::Unknown),
    (&["brkmap-preload", "brkmap-probe", "brkmap-tracer"], Neighbours::Unknown),
    (&["brkmap-race"], Neighbours::Unknown),
    (&["brkmap-benches", "brkmap-demos", "brkmap-tests", "brkmap-tool"], Neighbours::Unknown),
    (&["brkmap-pages"], Neighbours::Unknown),
];

type Layers = [(&'static [&'static str], Neighbours)];

fn layer(layers: &Layers, module: &str) -> Option<usize> {
    layers.iter().position(|(modules, _)| modules.contains(&module))
}

fn may_know(layers: &Layers, from: &str, to: &str) -> bool {
    match (layer(layers, from), layer(layers, to)) {
        (Some(here), Some(there)) => {
            from == to || there < here || there == here && layers[here].1 == Neighbours::Known
        }
        _ => false,
    }
}

/// The modules with a place that code at `module` names, by `crate::x` and by `super::x`.
fn named_modules(words: &[Word], module: &[String]) -> Vec<String> {
    let is = |at: usize, text: &str| words.get(at).is_some_and(|word| word.text == text);
    let path_goes_on = |at: usize| is(at, ":") && is(at + 1, ":");
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let begin = at;
        at += 1;
        if is(begin, "crate") && path_goes_on(begin + 1) && (begin == 0 || !is(begin - 1, "$")) {
            // A macro belongs to the root, wherever it is written.
            if !is(begin + 4, "!") {
                found.extend(first_names(words, begin + 3));
            }
        } else if is(begin, "super") && path_goes_on(begin + 1) {
            let mut ups = 1;
            let mut rest = begin + 3;
            while is(rest, "super") && path_goes_on(rest + 1) {
                ups += 1;
                rest += 3;
            }
            // Only from the crate's root, and from a folder with places, does a name lead to another layer.
            if ups >= module.len() {
                found.extend(first_names(words, rest));
            } else if ups + 1 == module.len() && module[0] == PARTED {
                found.extend(first_names(words, rest).into_iter().map(in_parted));
            }
            at = rest;
        }
    }
    found
}

fn in_parted(name: String) -> String {
    format!("{PARTED}::{name}")
}

/// `a::b` gives a; `{a::{b, c}, d}` gives a and d; `front::{a, b}` gives front::a and front::b.
fn first_names(words: &[Word], at: usize) -> Vec<String> {
    let Some(first) = words.get(at) else { return Vec::new() };
    if first.text == PARTED && words.get(at + 1).is_some_and(|word| word.text == ":") {
        return first_names(words, at + 3).into_iter().map(in_parted).collect();
    }
    if first.text != "{" {
        return vec![first.text.clone()];
    }
    let (inside, _) = group(words, at);
    let (mut names, mut begins, mut place) = (Vec::new(), true, 0);
    while let Some(word) = inside.get(place) {
        if begins {
            names.extend(first_names(inside, place));
        }
        if word.text == "{" {
            place = group(inside, place).1;
        }
        begins = inside.get(place).is_some_and(|word| word.text == ",");
        place += 1;
    }
    names
}

/// The name under which a module has its place.
fn place_of(module: &[String]) -> Option<String> {
    match module {
        [folder, inner, ..] if folder == PARTED => Some(in_parted(inner.clone())),
        // These declare all of them and are known to none.
        [only] if only == PARTED || only == "main" => None,
        [first, ..] => Some(first.clone()),
        [] => None,
    }
}

/// What a file names that is not below it.
fn breaches(layers: &Layers, file: &Production) -> Vec<String> {
    let Some(own) = place_of(&file.module) else { return Vec::new() };
    let mut found = Vec::new();
    if layer(layers, &own).is_none() {
        found.push(format!("{}: {own} has no place in the layers", shown(&file.path)));
    }
    for to in named_modules(&file.words, &file.module) {
        if !may_know(layers, &own, &to) {
            found.push(format!("{}: {own} names {to}", shown(&file.path)));
        }
    }
    found
}

#[test]
fn layers_know_only_those_below() {
    let allocator = production().into_iter().flat_map(|file| breaches(&LAYERS, &file));
    let tool = production_of("demos/tool").into_iter().flat_map(|file| breaches(&TOOL, &file));
    assert_none(allocator.chain(tool).collect(), "a layer knows what is not below it");
}

#[test]
fn packages_know_only_those_below() {
    let mut found = Vec::new();
    for manifest in source::with_ending("", "toml").into_iter().filter(|path| path.ends_with("Cargo.toml")) {
        let text = source::text(&manifest).unwrap_or_default();
        let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        // The module's own tree, and the workspace itself, are no packages here.
        let Some(own) = name.filter(|name| layer(&PACKAGES, name).is_some() || name.starts_with("brkmap"))
        else {
            continue;
        };
        let names = text.lines().filter(|line| line.starts_with("brkmap")).map(|line| {
            let renamed = line.split_once("package = \"").map(|(_, rest)| rest);
            renamed.unwrap_or(line).split(['.', ' ', '"']).next().unwrap_or_default()
        });
        let bad = names.filter(|to| !may_know(&PACKAGES, own, to));
        found.extend(bad.map(|to| format!("{}: {own} depends on {to}", shown(&manifest))));
    }
    assert_none(found, "a package knows what is not below it");
}

#[test]
fn the_layer_check_sees_every_way_to_name_a_module() {
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    let named = |code: &str, module: &[String]| named_modules(&tokens::of(code), module);
    assert_eq!(named("use crate::{heap::{A, B}, slab};", &module("arena")), ["heap", "slab"]);
    assert_eq!(named("let x = crate::heap::f();", &module("arena::top")), ["heap"]);
    assert_eq!(named("use super::heap::F;", &module("arena")), ["heap"]);
    assert_eq!(named("use super::super::heap::F;", &module("arena::top")), ["heap"]);
    assert_eq!(
        named("use crate::{os, heap::{a::B, c}, slab as d};", &module("arena")),
        ["os", "heap", "slab"]
    );
    assert!(named("$crate::heap::F; crate::at!(x); \"crate::heap\"", &module("arena")).is_empty());
    assert!(named("use super::runs::F;", &module("arena::top")).is_empty());
    assert_eq!(
        named("use crate::{front::{a::B, c}, heap::d};", &module("x")),
        ["front::a", "front::c", "heap"]
    );
    assert_eq!(named("use super::a::B; use super::super::heap;", &module("front::c")), ["front::a", "heap"]);
    assert!(named("use super::a::B;", &module("front::c::d")).is_empty());
    assert_eq!(place_of(&module("front::c::d")).as_deref(), Some("front::c"));
    let may_know = |from, to| may_know(&LAYERS, from, to);
    assert!(!may_know("arena", "heap") && !may_know("heap", "large") && !may_know("os", "arena"));
    assert!(may_know("arena", "os") && may_know("sync", "base") && may_know("front::c", "front::stats"));
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

/// What takes the loader's lock, or may. A constructor under it may be waiting for a lock of the allocator's; an
/// address that the loader is to find is a weak reference.
const LOADER: [&str; 4] = ["dlsym", "dlopen", "dladdr", "dl_iterate_phdr"];

#[test]
fn the_loader_is_asked_for_nothing() {
    let mut found = Vec::new();
    for file in production() {
        // Two looks: in a destructor that the loader itself calls, and before the first sample of a profile, with no
        // lock held: see there.
        let looks = ["os/executable.rs", "os/stack/objects.rs"];
        let may = |word: &str| looks.iter().any(|end| file.path.ends_with(end)) && word == "dl_iterate_phdr";
        let asks = file.words.iter().filter(|word| LOADER.contains(&word.text.as_str()) && !may(&word.text));
        found.extend(asks.map(|word| format!("{}: {}", shown(&file.path), word.text)));
    }
    assert_none(found, "a call into the loader");
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
        let may = ["", "sync", "os"].contains(&file.module.first().map_or("", String::as_str));
        if may || [PARTED, "base::config"].contains(&file.module.join("::").as_str()) {
            continue;
        }
        for (at, word) in file.words.iter().enumerate() {
            let open =
                if file.words.get(at + 1).is_some_and(|next| next.text == "!") { at + 2 } else { at + 1 };
            let called = file.words.get(open).is_some_and(|word| word.text == "(");
            if !called || !["cfg", "cfg_attr"].contains(&word.text.as_str()) {
                continue;
            }
            let words: Vec<&str> = group(&file.words, open).0.iter().map(|word| word.text.as_str()).collect();
            if !source::is_test_cfg(&words.join(" ")) {
                found.push(format!("{}:{}: {}", shown(&file.path), word.line, words.join(" ")));
            }
        }
    }
    assert_none(found, "cfg outside lib, front, sync, os and config");
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
