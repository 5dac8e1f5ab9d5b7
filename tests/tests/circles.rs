//! No circles between the files of the allocator: what a file names never names it in turn.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

mod source;

use source::production::{assert_none, production};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The module that a path leads into: of those that are known the one with the longest name.
fn module_of(path: &[String], known: &BTreeSet<String>) -> Option<String> {
    (1..=path.len()).rev().map(|len| path[..len].join("::")).find(|name| known.contains(name))
}

/// All paths that a file names, from the crate's root on.
struct Paths<'a> {
    /// The file's own.
    module: &'a [String],
    known: &'a BTreeSet<String>,
    found: Vec<Vec<String>>,
}

impl Paths<'_> {
    fn see(&mut self, parts: &[String]) {
        let ups = parts.iter().take_while(|part| *part == "super").count();
        let path = match parts.first().map(String::as_str) {
            Some("crate") => parts[1..].to_vec(),
            Some("super") if ups <= self.module.len() => {
                [&self.module[..self.module.len() - ups], &parts[ups..]].concat()
            }
            Some("self") => [self.module, &parts[1..]].concat(),
            // A name from outside, or of a module below this one.
            _ => [self.module, parts].concat(),
        };
        self.found.push(path);
    }

    fn see_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.see_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.see_use(item, before)),
            syn::UseTree::Name(name) => self.see(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.see(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.see(before),
        }
    }

    /// The modules that are named, but for the file's own.
    fn modules(&self) -> BTreeSet<String> {
        let own = self.module.join("::");
        let named = self.found.iter().filter_map(|path| module_of(path, self.known));
        named.filter(|name| *name != own).collect()
    }
}

impl<'a> Visit<'a> for Paths<'_> {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.see_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.segments.len() > 1 {
            let parts: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
            self.see(&parts);
        }
        syn::visit::visit_path(self, path);
    }
}

fn graph(files: &[(Vec<String>, syn::File)]) -> Graph {
    let known: BTreeSet<String> = files.iter().map(|(module, _)| module.join("::")).collect();
    let edges = files.iter().map(|(module, code)| {
        let mut paths = Paths { module, known: &known, found: Vec::new() };
        paths.visit_file(code);
        (module.join("::"), paths.modules())
    });
    edges.collect()
}

/// What a module leads to, by whatever way.
fn reached<'a>(graph: &'a Graph, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if found.insert(next.as_str()) {
                waiting.push(next);
            }
        }
    }
    found
}

/// The modules that lead to themselves, each with what it names on the way.
fn circles(graph: &Graph) -> Vec<String> {
    let on_the_way = |from: &str| {
        let back = |to: &&String| reached(graph, to).contains(from);
        graph[from].iter().filter(back).cloned().collect::<Vec<_>>().join(", ")
    };
    let circular = graph.keys().filter(|module| reached(graph, module).contains(module.as_str()));
    circular.map(|module| format!("{module} → {}", on_the_way(module))).collect()
}

#[test]
fn no_files_name_each_other() {
    let files: Vec<_> = production().into_iter().filter(|file| !file.module.is_empty()).collect();
    let files: Vec<_> = files.into_iter().map(|file| (file.module, file.code)).collect();
    assert_none(circles(&graph(&files)), "a file leads back to itself");
}

#[test]
fn the_check_sees_every_way_to_name_a_module() {
    let file = |module: &str, code: &str| {
        let module: Vec<_> = module.split("::").map(str::to_owned).collect();
        (module, syn::parse_file(code).expect("Rust"))
    };
    let count = |files: &[(Vec<String>, syn::File)]| circles(&graph(files)).len();
    assert_eq!(count(&[file("a", "use crate::b::{C, D};"), file("b", "fn f() { super::a::g() }")]), 2);
    assert_eq!(count(&[file("a", "mod b; fn f() { b::g() }"), file("a::b", "impl super::A {}")]), 2);
    assert_eq!(count(&[file("a", "mod b; mod c;"), file("a::b", "use super::c::D;"), file("a::c", "")]), 0);
    assert_eq!(count(&[file("a", "mod b; struct A;"), file("a::b", "impl super::A {}")]), 0);
}
