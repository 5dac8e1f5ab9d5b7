//! Code as its users get it, and how findings in it are told.

use std::path::{Path, PathBuf};

use brkmap_tests::program::root;
use quote::ToTokens;
use syn::visit_mut::VisitMut;

use super::tokens::{Word, words};

/// A file of a package's src as it is compiled for users.
pub struct Production {
    pub path: PathBuf,
    /// Module path from the crate's root; empty for lib.rs.
    pub module: Vec<String>,
    pub text: String,
    /// Without what is only there for tests.
    pub code: syn::File,
    pub words: Vec<Word>,
}

/// The allocator's.
pub fn production() -> Vec<Production> {
    production_of("allocator")
}

pub fn production_of(folder: &str) -> Vec<Production> {
    let package = root().join(folder);
    let for_tests = super::reached(&package).tests;
    let files = super::with_ending(&format!("{folder}/src"), "rs");
    let files = files.into_iter().filter(|path| !for_tests.contains(path));
    files
        .map(|path| {
            let text = super::text(&path).expect("Rust is text");
            let mut code = super::parsed(&path);
            WithoutTests.visit_file_mut(&mut code);
            let words = words(code.to_token_stream());
            let inner = path.strip_prefix(package.join("src")).expect("it lies there").with_extension("");
            let mut module: Vec<String> =
                inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            module.retain(|part| part != "lib" && part != "mod");
            Production { path, module, text, code, words }
        })
        .collect()
}

struct WithoutTests;

impl VisitMut for WithoutTests {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        keep(&mut file.items);
        syn::visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            keep(items);
        }
        syn::visit_mut::visit_item_mod_mut(self, module);
    }
}

fn keep(items: &mut Vec<syn::Item>) {
    items.retain(|item| !matches!(item, syn::Item::Mod(module) if super::for_tests(&module.attrs)));
}

/// Fails with what was found, a line each.
pub fn assert_none(found: Vec<String>, what: &str) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The lines of a text for which `bad` gives a word, as messages.
pub fn lines(path: &Path, text: &str, bad: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let numbered = text.lines().enumerate();
    numbered
        .filter_map(|(at, line)| bad(line).map(|why| format!("{}:{}: {why}", super::shown(path), at + 1)))
        .collect()
}
