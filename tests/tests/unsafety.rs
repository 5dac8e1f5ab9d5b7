//! Where `unsafe` lives in the allocator, and that its functions say what they ask for. Of blocks and impls, clippy
//! wants the reasons.

use syn::spanned::Spanned;
use syn::visit::Visit;

mod source;

use source::production::{assert_none, production};
use source::{parsed, shown, text, tokens};

/// Files that must stay free of `unsafe`, with all below them: words and pure state.
const SAFE: [&str; 32] = [
    "base::allocated",
    "base::builder",
    "base::complaint",
    "base::config",
    "base::entries",
    "base::keys",
    "base::nearest",
    "base::preset",
    "base::settings",
    "base::sources",
    "base::checked",
    "base::size_class",
    "base::units",
    "base::text",
    "base::print",
    "base::value",
    "base::why",
    "arena::bits",
    "arena::budget",
    "arena::figures",
    "arena::idle",
    "arena::sleeper",
    "arena::parts",
    "arena::runs",
    "heap::at_hand",
    "large::cache",
    "large::leaving",
    "large::mapping",
    "large::recycle",
    "slab::bitmap",
    "slab::pages",
    "zone::record",
];

/// Whether a module is one of the safe ones, or below one.
fn must_be_safe(name: &str) -> bool {
    SAFE.iter()
        .any(|safe| name.strip_prefix(safe).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

#[test]
fn unsafe_has_homes() {
    let files = production();
    let root = files.iter().find(|file| file.module.is_empty()).expect("lib.rs");
    assert!(lints(&root.code.attrs, "deny"), "the crate's root does not deny unsafe code");
    let names: Vec<_> = files.iter().map(|file| file.module.join("::")).collect();
    let gone = SAFE.iter().filter(|safe| !names.iter().any(|name| name == *safe));
    let mut found: Vec<_> =
        gone.map(|safe| format!("{safe}: must stay free of unsafe, and is not there")).collect();
    for (file, name) in files.iter().zip(&names).filter(|(file, _)| !file.module.is_empty()) {
        let mut bad = |what| found.push(format!("{}: {what}", shown(&file.path)));
        // A home says so at its head. What a parent allows does not count.
        let home = lints(&file.code.attrs, "allow");
        // The tests in a file count too.
        let uses = tokens::of(&file.text).iter().any(|word| word.text == "unsafe");
        let mut inside = Inside::default();
        inside.visit_file(&file.code);
        if must_be_safe(name) && !lints(&file.code.attrs, "forbid") {
            bad("must stay free of unsafe, and does not forbid it at its head");
        }
        if uses && !home {
            bad("has unsafe code, and does not say so at its head");
        }
        // A macro may bring the unsafe code.
        if home && !(uses || inside.macros) {
            bad("allows unsafe code and has none");
        }
        if inside.allows {
            bad("allows unsafe code in the middle of the file, not at its head");
        }
    }
    assert_none(found, "unsafe outside its homes");
    assert!(must_be_safe("arena::runs::summary") && !must_be_safe("arena::runs_of"));
}

/// Whether one of the attributes is `level(unsafe_code)`; `expect` is as good as `allow`.
fn lints(attributes: &[syn::Attribute], level: &str) -> bool {
    attributes.iter().filter_map(|attribute| attribute.meta.require_list().ok()).any(|list| {
        let is = list.path.is_ident(level) || level == "allow" && list.path.is_ident("expect");
        is && list.tokens.clone().into_iter().next().is_some_and(|first| first.to_string() == "unsafe_code")
    })
}

/// What a file has inside.
#[derive(Default)]
struct Inside {
    /// Something below the head that allows unsafe code.
    allows: bool,
    macros: bool,
}

impl<'a> Visit<'a> for Inside {
    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        let outer = matches!(attribute.style, syn::AttrStyle::Outer);
        self.allows |= outer && lints(std::slice::from_ref(attribute), "allow");
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
