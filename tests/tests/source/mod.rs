//! The source tree: its files, and Rust as syn and proc-macro2 read it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use brkmap_tests::program::root;
use syn::visit::Visit;

pub mod production;
pub mod tokens;

/// All files of the tree under `folder` (relative to the root), sorted; without build output.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let kind = entry.file_type().expect("a file's type");
            if kind.is_dir() && name != "target" && name != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() && name != ".git" {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Those with this ending.
pub fn with_ending(folder: &str, ending: &str) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
}

/// The text of a file; None if it is not text.
pub fn text(path: &Path) -> Option<String> {
    std::fs::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// How a file is named in messages.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// A Rust file, parsed.
pub fn parsed(path: &Path) -> syn::File {
    let text = text(path).unwrap_or_default();
    syn::parse_file(&text).unwrap_or_else(|why| panic!("{}: {why}", shown(path)))
}

/// Whether a `cfg` names nothing but what tests are compiled with.
pub fn is_test_cfg(argument: &str) -> bool {
    let words: Vec<_> =
        argument.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let known = ["test", "brkmap_loom", "miri", "not", "any", "all"];
    !words.is_empty() && words.iter().all(|word| known.contains(word))
}

/// Whether it is only there for tests, loom or Miri; `not(test)` alone is not that.
pub fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let argument = attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
        is_test_cfg(&argument) && !argument.starts_with("not")
    })
}

/// The files a crate's targets reach by module declarations, and which of them are compiled for tests only.
pub struct Reached {
    pub all: BTreeSet<PathBuf>,
    pub tests: BTreeSet<PathBuf>,
}

pub fn reached(package: &Path) -> Reached {
    let mut reached = Reached { all: BTreeSet::new(), tests: BTreeSet::new() };
    let mut waiting: Vec<(PathBuf, bool)> = targets(package).into_iter().map(|path| (path, false)).collect();
    let roots: BTreeSet<PathBuf> = waiting.iter().map(|(path, _)| path.clone()).collect();
    while let Some((path, for_tests)) = waiting.pop() {
        if !path.is_file() || !reached.all.insert(path.clone()) {
            continue;
        }
        if for_tests {
            reached.tests.insert(path.clone());
        }
        let here = path.parent().expect("a file is in a folder");
        let stem = path.file_stem().unwrap_or_default();
        let folder = if roots.contains(&path) || stem == "mod" { here.to_owned() } else { here.join(stem) };
        let mut named = Named { for_tests, modules: Vec::new(), files: Vec::new() };
        named.visit_file(&parsed(&path));
        for (name, for_tests) in named.modules {
            waiting.push((folder.join(format!("{name}.rs")), for_tests));
            waiting.push((folder.join(&name).join("mod.rs"), for_tests));
        }
        let files = named.files.into_iter();
        waiting.extend(files.filter_map(|(name, tests)| Some((here.join(name).canonicalize().ok()?, tests))));
    }
    reached
}

/// What a file names as another: `mod name;`, `#[path = "…"]`, `include!("…")`.
struct Named {
    for_tests: bool,
    modules: Vec<(String, bool)>,
    files: Vec<(String, bool)>,
}

impl<'a> Visit<'a> for Named {
    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        let outside = self.for_tests;
        self.for_tests |= for_tests(&module.attrs);
        if module.content.is_none() {
            self.modules.push((module.ident.to_string(), self.for_tests));
        }
        syn::visit::visit_item_mod(self, module);
        self.for_tests = outside;
    }

    fn visit_lit_str(&mut self, text: &'a syn::LitStr) {
        self.file(text.value());
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        if let Ok(text) = call.parse_body::<syn::LitStr>() {
            self.file(text.value());
        }
    }
}

impl Named {
    fn file(&mut self, name: String) {
        if name.ends_with(".rs") && !name.contains(char::is_whitespace) {
            self.files.push((name, self.for_tests));
        }
    }
}

/// What Cargo compiles by itself, and what the manifest names.
fn targets(package: &Path) -> Vec<PathBuf> {
    let mut found = vec![package.join("src/lib.rs"), package.join("src/main.rs"), package.join("build.rs")];
    for folder in ["src/bin", "tests", "benches", "examples", "fuzz_targets"] {
        for entry in std::fs::read_dir(package.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            found.push(if path.is_dir() { path.join("main.rs") } else { path });
        }
    }
    let manifest = text(&package.join("Cargo.toml")).unwrap_or_default();
    found.extend(manifest.split('"').filter(|word| word.ends_with(".rs")).map(|word| package.join(word)));
    found.retain(|path| path.extension().is_some_and(|e| e == "rs") && path.is_file());
    found
}

#[test]
fn a_module_for_anything_but_tests_is_no_test_module() {
    let is = |text: &str| for_tests(&syn::parse_str::<syn::ItemMod>(text).expect("a module").attrs);
    assert!(!is("#[cfg(not(test))] mod real;"));
    assert!(!is("#[cfg(target_os = x)] mod real;"));
    assert!(is("#[cfg(test)] pub(crate) mod sim;"));
    assert!(is("#[cfg(all(test, not(brkmap_loom)))] mod tests {}"));
}
