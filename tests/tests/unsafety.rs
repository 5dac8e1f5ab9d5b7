//! Where `unsafe` lives in the allocator, and that each has its reason.

use brkmap_tests::source::production::{assert_none, production};
use brkmap_tests::source::{self, shown};

/// Files that must stay free of `unsafe`: words and pure state.
const SAFE: [&str; 5] = ["units", "size_class", "config", "arena::runs", "arena::purge"];

#[test]
fn unsafe_has_homes() {
    let files = production();
    let root = files.iter().find(|file| file.module.is_empty()).expect("lib.rs");
    assert!(root.code.contains("#![deny(unsafe_code)]"), "the crate's root does not deny unsafe code");
    // A home is a file that says so at its head, or whose parent says so where it declares it.
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.module.is_empty()) {
        let name = file.module.join("::");
        let allows = |code: &str| code.contains("allow(unsafe_code") || code.contains("expect(unsafe_code");
        let head: String =
            file.code.lines().take_while(|line| line.trim().is_empty() || line.starts_with("#![")).collect();
        let by_head = allows(&head);
        let parent = files.iter().find(|other| other.module == file.module[..file.module.len() - 1]);
        let declared = format!("mod {};", file.module[file.module.len() - 1]);
        let by_parent = parent.is_some_and(|parent| {
            let before = parent.code.split(&declared).next().unwrap_or("");
            before.len() < parent.code.len() && allows(before.rsplit(';').next().unwrap_or(""))
        });
        let uses = words(&file.code).any(|word| word == "unsafe");
        if SAFE.contains(&name.as_str()) && (uses || by_head || by_parent) {
            found.push(format!("{}: must stay free of unsafe", shown(&file.path)));
        }
        if !by_head && allows(&file.code.replace(&head, "")) && !file.code.contains("mod ") {
            found.push(format!(
                "{}: allows unsafe in the middle of the file, not at its head",
                shown(&file.path)
            ));
        }
        // A macro may bring the unsafe code.
        let calls_macro = file.code.contains("!(");
        if (by_head || by_parent) && !uses && !calls_macro && !file.code.contains("mod ") {
            found.push(format!("{}: allows unsafe and has none", shown(&file.path)));
        }
    }
    assert_none(found, "unsafe outside its homes");
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// What is unsafe on this line: a block, an impl or a function; types and traits need no reason.
fn unsafe_kind(line: &str) -> Option<&'static str> {
    let at = line.find("unsafe")?;
    let before_ok = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let rest = line[at..].strip_prefix("unsafe")?.trim_start();
    if !before_ok {
        None
    } else if rest.starts_with('{') {
        Some("block")
    } else if rest.starts_with("impl") {
        Some("impl")
    } else if rest.starts_with("fn ") || rest.starts_with("extern \"C\" fn ") {
        Some("fn")
    } else {
        None
    }
}

/// Whether the lines directly above (comments, attributes, the head of the same statement) give a reason.
fn has_reason(lines: &[&str], at: usize, kind: &str) -> bool {
    let says = |line: &str| line.contains("SAFETY") || line.contains("# Safety");
    if says(lines[at]) {
        return true;
    }
    // The reason may stand above the statement of which the block is a part.
    let mut statement = if kind == "block" { 6 } else { 0 };
    for line in lines[..at].iter().rev() {
        let line = line.trim();
        let comment = line.starts_with("//") || line.starts_with("#[");
        if says(line) {
            return true;
        }
        if !comment {
            if statement == 0 || line.is_empty() || line.ends_with(';') || line.ends_with('}') {
                return false;
            }
            statement -= 1;
        }
    }
    false
}

/// A method of a trait's impl is under the contract the trait states.
fn in_trait_impl(lines: &[&str], at: usize) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let outer =
        lines[..at].iter().rev().find(|line| !line.trim().is_empty() && depth(line) < depth(lines[at]));
    outer.is_some_and(|line| line.contains("impl") && line.contains(" for "))
}

#[test]
fn unsafe_has_reasons() {
    let mut found = Vec::new();
    let preload = source::with_ending("allocator/preload/src", "rs");
    let texts = preload.into_iter().map(|path| {
        let text = source::text(&path).expect("Rust is text");
        (path, source::code(&text), text)
    });
    let all = production().into_iter().map(|file| (file.path, file.code, file.text)).chain(texts);
    for (path, code, text) in all {
        let text: Vec<_> = text.lines().collect();
        for (at, line) in code.lines().enumerate() {
            let Some(kind) = unsafe_kind(line) else { continue };
            if !(has_reason(&text, at, kind) || kind == "fn" && in_trait_impl(&text, at)) {
                found.push(format!("{}:{}: unsafe {kind}", shown(&path), at + 1));
            }
        }
    }
    assert_none(found, "no SAFETY above");
}

#[test]
fn the_check_of_reasons_tells_them_apart() {
    let with = ["// SAFETY: because", "let a =", "    unsafe { b() };"];
    let without = ["let a = 1;", "let b = unsafe { c() };"];
    assert!(has_reason(&with, 2, "block") && !has_reason(&without, 1, "block"));
    assert!(!has_reason(&["// SAFETY: because", "a();", "unsafe { b() };"], 2, "block"));
    assert!(in_trait_impl(&["unsafe impl A for B {", "    unsafe fn c() {"], 1));
    assert_eq!(unsafe_kind("pub unsafe fn f("), Some("fn"));
    assert_eq!(unsafe_kind("type F = unsafe extern fn();"), None);
}
