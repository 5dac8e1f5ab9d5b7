//! The documents: their sizes, where their links lead, and what in them a program can check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use brkmap::keys::Key;
use brkmap_tests::program::root;
use quote::ToTokens;

mod markdown;
mod source;

use source::production::{assert_none, production};
use source::{shown, text, with_ending};

const DECISIONS: &str = "allocator/docs/decisions";

/// What stands in a decision's page, in this order.
const PARTS: [&str; 5] = ["Context", "Decision", "Figures", "Rejected", "What would change it"];

/// Bytes that a document may have.
const SIZES: [(&str, usize); 2] = [("ARCHITECTURE.md", 12 << 10), ("README.md", 9 << 10)];

fn read(file: &str) -> String {
    text(&root().join(file)).unwrap_or_else(|| panic!("{file} is not there"))
}

fn too_long(size: usize, most: usize) -> Option<String> {
    (size > most).then(|| format!("{size} bytes, {most} at most"))
}

#[test]
fn documents_are_as_short_as_they_promise() {
    let long = SIZES
        .iter()
        .filter_map(|(file, most)| too_long(read(file).len(), *most).map(|why| format!("{file}: {why}")));
    assert_none(long.collect(), "too long");
    assert!(too_long(1025, 1024).is_some() && too_long(1024, 1024).is_none());
}

/// Why a link in a file leads nowhere.
fn broken(file: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let folder = file.parent().expect("a file is in a folder");
    let target = if path.is_empty() { file.to_owned() } else { folder.join(path) };
    if !target.exists() {
        return Some(format!("{}: no file {link}", shown(file)));
    }
    let anchor = anchor?;
    let page = text(&target).unwrap_or_default();
    let known = markdown::headings(&page).iter().any(|(_, heading)| markdown::anchor(heading) == anchor);
    (!known).then(|| format!("{}: no heading for {link}", shown(file)))
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    for file in with_ending("", "md") {
        let page = text(&file).expect("a document is text");
        found.extend(markdown::links(&page).iter().filter_map(|link| broken(&file, link)));
    }
    assert_none(found, "links that lead nowhere");
    let readme = root().join("README.md");
    assert!(broken(&readme, "no-such-file.md").is_some() && broken(&readme, "README.md#no-such").is_some());
    assert!(broken(&readme, "ARCHITECTURE.md#layers").is_none());
}

/// A file or folder of the tree, named as one would name it here.
fn looks_like_a_path(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    span.contains('/')
        && span.chars().all(plain)
        && span.starts_with(|c: char| c.is_ascii_lowercase() || c == '.')
}

/// Documents that name files from the root or from the allocator's source on.
fn guides() -> Vec<PathBuf> {
    let mut guides = with_ending(DECISIONS, "md");
    guides.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    guides
}

fn is_there(path: &str) -> bool {
    // Build output comes and goes.
    path.starts_with("target/")
        || ["", "allocator/src"].iter().any(|from| root().join(from).join(path).exists())
}

#[test]
fn files_that_are_named_are_there() {
    let mut found = Vec::new();
    for file in guides() {
        let spans = markdown::spans(&text(&file).expect("a document is text"));
        let missing = spans.iter().filter(|span| looks_like_a_path(span) && !is_there(span));
        found.extend(missing.map(|span| format!("{}: {span}", shown(&file))));
    }
    assert_none(found, "named, and not there");
    assert!(looks_like_a_path("arena/no.rs") && !is_there("arena/no.rs") && is_there("sync/lock.rs"));
}

/// Names that are paths of Rust: the last part has to be declared somewhere in the allocator.
fn undeclared(spans: &[String], code: &str) -> Vec<String> {
    let declares = |name: &str| {
        ["fn", "const", "static", "struct", "enum", "mod"].iter().any(|kind| {
            let declaration = format!("{kind} {name}");
            code.match_indices(&declaration).any(|(at, _)| {
                !code[at + declaration.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        })
    };
    let is_path = |span: &&String| {
        span.contains("::") && span.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':')
    };
    let last = |span: &str| span.rsplit("::").next().unwrap_or_default().to_owned();
    spans.iter().filter(is_path).filter(|span| !declares(&last(span))).cloned().collect()
}

#[test]
fn functions_that_are_named_are_declared() {
    let code: String = production().into_iter().map(|file| file.text).collect();
    let mut found = Vec::new();
    for file in guides() {
        let spans = markdown::spans(&text(&file).expect("a document is text"));
        found.extend(undeclared(&spans, &code).iter().map(|name| format!("{}: {name}", shown(&file))));
    }
    assert_none(found, "named, and not declared");
    assert_eq!(
        undeclared(&["Arena::no_such".to_owned(), "Arena::start".to_owned()], &code),
        ["Arena::no_such"]
    );
}

/// Words of capitals between marks: `b"NAME"` or `` `NAME` ``.
fn names(text: &str, mark: char) -> BTreeSet<String> {
    let is_name = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    text.split(mark).filter(is_name).map(str::to_owned).collect()
}

#[test]
fn the_readme_names_the_environment_that_is_read() {
    let files = production();
    let readers = files.iter().filter(|file| file.text.contains(" environment(b\""));
    let mut read_by_code: BTreeSet<String> = readers.flat_map(|file| names(&file.text, '"')).collect();
    assert!(read_by_code.remove("BRKMAP_"), "the variables of single keys");
    let glibcs = Key::ALL.map(|key| key.row().glibc[0].to_owned());
    read_by_code.extend(glibcs.into_iter().filter(|name| !name.is_empty()));
    let readme = read("README.md");
    let rows = markdown::rows(&markdown::section(&readme, "Configuration"));
    let named: BTreeSet<String> = rows.iter().flat_map(|row| names(row[0], '`')).collect();
    assert!(
        !read_by_code.is_empty() && named == read_by_code,
        "{named:?} in README, {read_by_code:?} in the code"
    );
}

#[test]
fn contributing_has_every_suite() {
    let suites = with_ending("tests/suites", "sh");
    let suites: BTreeSet<String> = suites
        .iter()
        .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let contributing = read("CONTRIBUTING.md");
    let rows = markdown::rows(&markdown::section(&contributing, "Running the checks"));
    let named: BTreeSet<String> = rows.iter().flat_map(|row| markdown::spans(row[0])).collect();
    assert_eq!(named, suites, "CONTRIBUTING and tests/suites");
}

/// The symbols in the macro that exports them: lines `name(arguments) -> result`.
fn exported(source: &str) -> BTreeSet<String> {
    let symbol = |line: &str| {
        let (name, rest) = line.trim().split_once('(')?;
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        (is_name && rest.contains(") -> ") && rest.ends_with(';')).then(|| name.to_owned())
    };
    source.lines().filter_map(symbol).collect()
}

#[test]
fn symbols_that_the_readme_names_are_exported() {
    let exported = exported(&read("allocator/src/front/c/export.rs"));
    let readme = read("README.md");
    let lines = markdown::section(&readme, "Which one");
    let from = lines.iter().position(|line| line.contains("define `malloc`")).expect("the symbols in README");
    let paragraph: Vec<_> = lines[from..].iter().copied().take_while(|line| !line.is_empty()).collect();
    let mut named = markdown::spans(&paragraph.join(" "));
    named.retain(|name| name != "override");
    assert!(named.len() > 10, "{named:?}");
    let strange = named.into_iter().filter(|name| !exported.contains(name));
    assert_none(strange.collect(), "in README, and not exported");
}

/// The commands of the tool's command line.
fn commands(source: &str) -> BTreeSet<String> {
    let (_, rest) = source.split_once("enum Command {").unwrap_or_default();
    let variants = rest.lines().take_while(|line| line.trim() != "}");
    let variants = variants.filter_map(|line| line.trim().split_once('('));
    variants.filter(|(name, _)| !name.starts_with('#')).map(|(name, _)| name.to_lowercase()).collect()
}

/// The long options among the fields of a command line.
fn options(sources: &str) -> BTreeSet<String> {
    let lines: Vec<_> = sources.lines().map(str::trim).collect();
    let fields = lines.windows(2).filter(|two| two[0].starts_with("#[arg(") && two[0].contains("long"));
    let names = fields.filter_map(|two| two[1].trim_start_matches("pub ").split_once(':'));
    names.map(|(name, _)| format!("--{}", name.replace('_', "-"))).collect()
}

#[test]
fn commands_and_options_that_the_readme_names_are_the_tools() {
    let sources: Vec<String> = with_ending("demos", "rs").iter().filter_map(|path| text(path)).collect();
    let is_cli = |source: &&String| source.contains("#[command(name = \"brkmap\"");
    let commands = commands(sources.iter().find(is_cli).expect("the tool's command line"));
    let options = options(&sources.concat());
    let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let mut strange = Vec::new();
    for span in markdown::spans(&read("README.md")) {
        if let Some(command) = span.strip_prefix("brkmap ").map(first) {
            strange.extend((!commands.contains(&command)).then_some(span));
        } else if span.starts_with("--") {
            strange.extend((!options.contains(&first(&span))).then_some(span));
        }
    }
    assert!(commands.contains("trace") && options.contains("--json"), "{commands:?} {options:?}");
    assert_none(strange, "in README, and not the tool's");
}

/// What a system is asked without a call.
const NO_CALL: [&str; 4] = ["break_owner", "tell_sample", "tell_free", "single_threaded"];

#[test]
fn a_method_of_the_system_names_the_man_page_of_its_call() {
    let code = source::parsed(&root().join("allocator/src/os.rs"));
    let system = code.items.iter().find_map(|item| match item {
        syn::Item::Trait(item) if item.ident == "Os" => Some(item),
        _ => None,
    });
    let methods = system.expect("the trait Os").items.iter().filter_map(|item| match item {
        syn::TraitItem::Fn(method) => Some(method),
        _ => None,
    });
    let unnamed = methods.filter(|method| {
        let text: String =
            method.attrs.iter().map(|attribute| attribute.to_token_stream().to_string()).collect();
        !text.contains("(2)") && !text.contains("(3)")
    });
    let names: Vec<_> = unnamed.map(|method| method.sig.ident.to_string()).collect();
    assert_eq!(names, NO_CALL, "methods of Os without a man page");
}

/// The edges whose definition stands in a module's text: `Edge NAME:` or `NAME:` below `Edges:`.
fn defined_edges(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut listed = false;
    for line in source.lines().map(str::trim) {
        let Some(line) = line.strip_prefix("//!").or(line.strip_prefix("///")) else { continue };
        listed |= line.trim() == "Edges:";
        let mut heads: Vec<&str> = line.split("Edge ").skip(1).collect();
        heads.extend(listed.then(|| line.trim()));
        let names = heads.iter().filter_map(|head| head.split_once(':')).map(|(name, _)| name);
        found.extend(
            names
                .filter(|name| name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase()))
                .map(str::to_owned),
        );
    }
    found
}

/// The numbers of invariants in a text: `I` and digits.
fn invariants(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let number = |word: &&str| word.strip_prefix('I').is_some_and(|n| n.parse::<u8>().is_ok());
    words.filter(number).map(str::to_owned).collect()
}

#[test]
fn architecture_has_every_invariant_where_it_is_defined() {
    let (mut defined, mut cited) = (BTreeSet::new(), BTreeSet::new());
    for file in production() {
        let path = shown(&file.path).trim_start_matches("allocator/src/").to_owned();
        let head = file.text.lines().take_while(|line| line.starts_with("//!"));
        let heads = head.filter_map(|line| line[3..].trim().split_once(':'));
        let heads = heads.filter_map(|(head, _)| head.strip_prefix("- ").or(head.strip_prefix("Invariant ")));
        defined.extend(heads.flat_map(invariants).map(|number| (number, path.clone())));
        cited.extend(invariants(&file.text));
    }
    let page = read("ARCHITECTURE.md");
    let mut named = BTreeSet::new();
    for row in markdown::rows(&markdown::section(&page, "Invariants")) {
        let file = row.last().expect("a cell").trim_matches('`').to_owned();
        named.extend(invariants(row[0]).into_iter().map(|number| (number, file.clone())));
    }
    assert_eq!(named, defined, "ARCHITECTURE, and where they are defined");
    let known: BTreeSet<_> = named.into_iter().map(|(number, _)| number).collect();
    let strange = cited.into_iter().filter(|number| !known.contains(number));
    assert_none(strange.collect(), "cited, and not defined");
}

#[test]
fn architecture_has_every_ordering_edge_where_it_is_defined() {
    let mut defined = BTreeSet::new();
    for file in production() {
        let path = shown(&file.path).trim_start_matches("allocator/src/").to_owned();
        defined.extend(defined_edges(&file.text).into_iter().map(|edge| (edge, path.clone())));
    }
    let page = read("ARCHITECTURE.md");
    let mut named = BTreeSet::new();
    for row in markdown::rows(&markdown::section(&page, "Ordering edges")) {
        let file = row.last().expect("a cell").trim_matches('`').to_owned();
        named.extend(row[0].split(", ").map(|edge| (edge.to_owned(), file.clone())));
    }
    assert_eq!(named, defined, "the table in ARCHITECTURE, and the heads of the modules");
    assert_eq!(
        defined_edges("//! Edges:\n//! ONE: a\n//! Edge TWO: b\n//! see edge THREE"),
        ["ONE", "TWO"].map(str::to_owned).into()
    );
}

/// What is wrong with a decision's page.
fn faults(name: &str, page: &str, index: &str) -> Vec<String> {
    let headings = markdown::headings(page);
    let number = name.get(..4).unwrap_or_default();
    let mut faults = Vec::new();
    let (title, parts) = headings.split_first().map_or(("", &[][..]), |((_, title), parts)| (*title, parts));
    if parts.iter().map(|(depth, part)| (*depth, *part)).ne(PARTS.map(|part| (2, part))) {
        faults.push(format!("{name}: the headings are not {PARTS:?}"));
    }
    let empty = |part: &&str| markdown::section(page, part).iter().all(|line| line.trim().is_empty());
    faults
        .extend(PARTS.iter().filter(|part| empty(part)).map(|part| format!("{name}: nothing under {part}")));
    let Some(words) = title.strip_prefix(number).filter(|_| number.len() == 4) else {
        faults.push(format!("{name}: the title does not begin with its number"));
        return faults;
    };
    if !index.lines().any(|line| line == format!("- [{number}]({name}){words}")) {
        faults.push(format!("{name}: the index lacks it, or has another title"));
    }
    faults
}

#[test]
fn decisions_have_their_parts_and_stand_in_the_index() {
    let index = read(&format!("{DECISIONS}/README.md"));
    let mut found = Vec::new();
    let mut numbers = Vec::new();
    for path in with_ending(DECISIONS, "md").into_iter().filter(|path| !path.ends_with("README.md")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.extend(faults(&name, &text(&path).expect("a document is text"), &index));
        numbers.extend(name.get(..4).and_then(|number| number.parse::<usize>().ok()));
    }
    assert_none(found, "decisions");
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "numbers go up by one");
    let parts: String = PARTS.iter().map(|part| format!("## {part}\n\nwords\n\n")).collect();
    assert!(faults("0001-a.md", &format!("# 0001 A\n\n{parts}"), "- [0001](0001-a.md) A").is_empty());
    assert_eq!(faults("0001-a.md", "# 0002 A\n\n## Context\n\nx\n", "").len(), 6);
}
