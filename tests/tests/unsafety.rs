//! Where `unsafe` lives in the allocator, and that its functions say what they ask for. Of blocks and impls, clippy
//! wants the reasons.

use syn::spanned::Spanned;
use syn::visit::Visit;

mod source;

use source::production::{Production, assert_none, production};
use source::{parsed, shown, text};

/// Files that must stay free of `unsafe`: words and pure state.
const SAFE: [&str; 7] = [
    "base::units",
    "base::size_class",
    "base::config",
    "arena::bits",
    "arena::budget",
    "arena::runs",
    "arena::runs::summary",
];

#[test]
fn unsafe_has_homes() {
    let files = production();
    let root = files.iter().find(|file| file.module.is_empty()).expect("lib.rs");
    assert!(lints(&root.code.attrs, "deny"), "the crate's root does not deny unsafe code");
    // A home is a file that says so at its head, or whose parent says so where it declares it.
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.module.is_empty()) {
        let name = file.module.join("::");
        let by_head = lints(&file.code.attrs, "allow");
        let parent = files.iter().find(|other| other.module == file.module[..file.module.len() - 1]);
        let by_parent =
            parent.is_some_and(|parent| allows_module(parent, &file.module[file.module.len() - 1]));
        let uses = file.words.iter().any(|word| word.text == "unsafe");
        if SAFE.contains(&name.as_str()) && (uses || by_head || by_parent) {
            found.push(format!("{}: must stay free of unsafe", shown(&file.path)));
        }
        let mut inside = Inside::default();
        inside.visit_file(&file.code);
        if inside.allows {
            found.push(format!(
                "{}: allows unsafe in the middle of the file, not at its head",
                shown(&file.path)
            ));
        }
        // A macro may bring the unsafe code, a module has it below.
        if (by_head || by_parent) && !(uses || inside.macros || inside.modules) {
            found.push(format!("{}: allows unsafe and has none", shown(&file.path)));
        }
    }
    assert_none(found, "unsafe outside its homes");
}

/// Whether one of the attributes is `level(unsafe_code)`; `expect` is as good as `allow`.
fn lints(attributes: &[syn::Attribute], level: &str) -> bool {
    attributes.iter().filter_map(|attribute| attribute.meta.require_list().ok()).any(|list| {
        let is = list.path.is_ident(level) || level == "allow" && list.path.is_ident("expect");
        is && list.tokens.clone().into_iter().next().is_some_and(|first| first.to_string() == "unsafe_code")
    })
}

fn allows_module(parent: &Production, name: &str) -> bool {
    parent.code.items.iter().any(
        |item| matches!(item, syn::Item::Mod(module) if module.ident == name && lints(&module.attrs, "allow")),
    )
}

/// What a file has inside.
#[derive(Default)]
struct Inside {
    /// Something below the head that allows unsafe code, and is no module.
    allows: bool,
    macros: bool,
    modules: bool,
}

impl<'a> Visit<'a> for Inside {
    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        let outer = matches!(attribute.style, syn::AttrStyle::Outer);
        self.allows |= outer && lints(std::slice::from_ref(attribute), "allow");
    }

    fn visit_item_mod(&mut self, _: &'a syn::ItemMod) {
        self.modules = true;
    }

    fn visit_macro(&mut self, _: &'a syn::Macro) {
        self.macros = true;
    }
}

/// The unsafe functions of a file that ask their callers for something: what a trait's impl asks for, the trait says,
/// and what C calls is a hook without a caller here.
#[derive(Default)]
struct Functions {
    /// Their names and first lines.
    found: Vec<(String, usize)>,
}

impl Functions {
    fn see(&mut self, signature: &syn::Signature) {
        if let syn::Signature { safety: syn::Safety::Unsafe(word), abi: None, ident, .. } = signature {
            self.found.push((ident.to_string(), word.span().start().line));
        }
    }
}

impl<'a> Visit<'a> for Functions {
    fn visit_item_fn(&mut self, function: &'a syn::ItemFn) {
        self.see(&function.sig);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a syn::TraitItemFn) {
        self.see(&function.sig);
        syn::visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        for function in item.items.iter().filter(|_| item.trait_.is_none()) {
            if let syn::ImplItem::Fn(function) = function {
                self.see(&function.sig);
            }
        }
        syn::visit::visit_item_impl(self, item);
    }
}

/// Whether the comments and attributes right above a line say what is asked for.
fn has_reason(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev().map(|line| line.trim());
    let mut above = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
    above.any(|line| line.contains("SAFETY") || line.contains("# Safety"))
}

fn without_reason(code: &syn::File, text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let mut functions = Functions::default();
    functions.visit_file(code);
    let missing = functions.found.into_iter().filter(|(_, line)| !has_reason(&lines, *line));
    missing.map(|(name, line)| format!("{line}: unsafe fn {name}")).collect()
}

#[test]
fn unsafe_functions_say_what_they_ask_for() {
    let mut found = Vec::new();
    let preload = source::with_ending("allocator/preload/src", "rs");
    let texts = preload.into_iter().map(|path| (parsed(&path), text(&path).expect("Rust is text"), path));
    let all = production().into_iter().map(|file| (file.code, file.text, file.path)).chain(texts);
    for (code, text, path) in all {
        found.extend(without_reason(&code, &text).into_iter().map(|what| format!("{}:{what}", shown(&path))));
    }
    assert_none(found, "no SAFETY above");
}

#[test]
fn the_check_of_functions_tells_them_apart() {
    let missing = |text: &str| without_reason(&syn::parse_file(text).expect("Rust"), text).len();
    assert_eq!(missing("/// # Safety\n/// `b` is alive.\n#[inline]\nunsafe fn a() {}"), 0);
    assert_eq!(missing("// SAFETY: because\n\nunsafe fn a() {}"), 1);
    assert_eq!(missing("unsafe impl A for B {\n    unsafe fn c() {}\n}"), 0);
    assert_eq!(missing("impl B {\n    pub unsafe fn c() {}\n}\ntrait A {\n    unsafe fn d();\n}"), 2);
    assert_eq!(missing("type F = unsafe extern \"C\" fn();"), 0);
}
