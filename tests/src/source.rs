//! The source tree as text: its files, and Rust code without what is not code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::program::root;

pub mod production;

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

/// Rust code with comments and the insides of strings blanked; every line stays where it was.
pub fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let blank =
        |out: &mut String, from: &str| out.extend(from.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word_before = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if !word_before && let Some(len) = raw_string(rest) {
            len
        } else if let Some(len) = character(rest) {
            len
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        blank(&mut out, &rest[..len]);
        rest = &rest[len..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = true; // the opening quote does not close
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let open = text.len() - after.len() + hashes + 1;
    Some(text[open..].find(&close).map_or(text.len(), |at| open + at + close.len()))
}

/// A character literal; a lifetime begins with the same tick.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        // The escaped character itself may be a tick.
        return escape.char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 3);
    }
    let first = inside.chars().next()?;
    inside[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// A module declaration: `mod name;` or `mod name {`.
pub struct Module {
    pub name: String,
    /// Only compiled for tests, loom or Miri.
    pub for_tests: bool,
    /// Where its text begins and ends, if it is here.
    body: Option<(usize, usize)>,
    begin: usize,
}

/// Whether a `cfg` names nothing but what tests are compiled with.
pub fn is_test_cfg(argument: &str) -> bool {
    let words: Vec<_> =
        argument.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let known = ["test", "loom", "miri", "not", "any", "all"];
    !words.is_empty() && words.iter().all(|word| known.contains(word))
}

/// The module declarations in code, the outermost ones.
pub fn modules(code: &str) -> Vec<Module> {
    let mut found: Vec<Module> = Vec::new();
    let mut line_start = 0;
    let mut attributes = String::new();
    let mut attributes_start = None;
    for line in code.split_inclusive('\n') {
        let here = line_start;
        line_start += line.len();
        if found.last().and_then(|last| last.body).is_some_and(|(_, end)| here < end) {
            continue;
        }
        let trimmed = line.trim();
        if trimmed.starts_with("#[") {
            attributes_start.get_or_insert(here);
            attributes += trimmed;
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let visible = trimmed.strip_prefix("pub").map_or(trimmed, |rest| match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest),
            None => rest,
        });
        if let Some(declared) = visible.trim_start().strip_prefix("mod ") {
            let name: String = declared.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let for_tests = attributes.split("cfg(").skip(1).any(|cfg| {
                let argument = cfg.split(']').next().unwrap_or("");
                // The module is for tests if without them it is not there; `not(test)` alone is not that.
                is_test_cfg(argument) && !argument.starts_with("not")
            });
            let body = declared.contains('{').then(|| {
                let open = here + line.find('{').unwrap_or(0);
                (open, closing(code, open))
            });
            found.push(Module { name, for_tests, body, begin: attributes_start.unwrap_or(here) });
        }
        attributes.clear();
        attributes_start = None;
    }
    found
}

fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + at + 1;
        }
    }
    code.len()
}

/// Code without the test modules inside it; every line stays where it was.
pub fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for module in modules(code).iter().filter(|module| module.for_tests) {
        if let Some((_, end)) = module.body {
            let blank: String =
                code[module.begin..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            out = format!("{}{blank}{}", &code[..module.begin], &code[end..]);
            // Blanks have the same length only if the text was ASCII; the others are found again from the
            // start.
            return without_tests(&out);
        }
    }
    out
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
        let Some(text) = text(&path) else { continue };
        if !reached.all.insert(path.clone()) {
            continue;
        }
        if for_tests {
            reached.tests.insert(path.clone());
        }
        let here = path.parent().expect("a file is in a folder");
        let stem = path.file_stem().unwrap_or_default();
        let folder = if roots.contains(&path) || stem == "mod" { here.to_owned() } else { here.join(stem) };
        let code = code(&text);
        for module in modules(&code) {
            if module.body.is_some() {
                continue;
            }
            let child_for_tests = for_tests || module.for_tests;
            waiting.push((folder.join(format!("{}.rs", module.name)), child_for_tests));
            waiting.push((folder.join(&module.name).join("mod.rs"), child_for_tests));
        }
        // Files named in strings: `#[path = "…"]`, `include!("…")`.
        for named in
            text.split('"').filter(|word| word.ends_with(".rs") && !word.contains(char::is_whitespace))
        {
            waiting.push((here.join(named), for_tests));
        }
    }
    reached
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_not_code() {
        let text =
            "let a = \"// no\\\" panic!()\"; // panic!()\nlet c = '\"'; /* x /* y */ z */ fn f<'a>() {}\n";
        let code = code(text);
        assert!(!code.contains("panic") && !code.contains(" y "));
        assert!(code.contains("fn f<'a>()") && code.contains("let c ="));
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn raw_strings_are_not_code() {
        assert!(!code("let a = r#\"unwrap() \" \"#; done();").contains("unwrap"));
        assert!(code("let a = r#\"unwrap() \" \"#; done();").contains("done()"));
    }

    #[test]
    fn test_modules_are_taken_out_and_others_stay() {
        let text =
            "fn a() {}\n#[cfg(all(test, not(loom)))]\nmod t {\n  fn b() { c() }\n}\nmod u { fn d() {} }\n";
        let left = without_tests(text);
        assert!(left.contains("fn a") && left.contains("fn d") && !left.contains("fn b"));
        assert_eq!(left.lines().count(), text.lines().count());
    }

    #[test]
    fn a_module_for_anything_but_tests_is_no_test_module() {
        assert!(!modules("#[cfg(not(test))]\nmod real;\n")[0].for_tests);
        assert!(!modules("#[cfg(target_os = x)]\nmod real;\n")[0].for_tests);
        assert!(modules("#[cfg(test)]\npub(crate) mod sim;\n")[0].for_tests);
    }
}
