//! Rust code as a row of words: no comment, no string and no space is taken for code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A word of code: a name, a literal, or one character.
#[derive(Clone, Debug)]
pub struct Word {
    pub text: String,
    pub line: usize,
}

/// All of them, the parentheses of groups among them.
pub fn words(stream: TokenStream) -> Vec<Word> {
    let mut found = Vec::new();
    add(stream, &mut found);
    found
}

fn add(stream: TokenStream, found: &mut Vec<Word>) {
    for token in stream {
        let line = token.span().start().line;
        let TokenTree::Group(group) = token else {
            found.push(Word { text: token.to_string(), line });
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        found.push(Word { text: open.to_owned(), line });
        add(group.stream(), found);
        found.push(Word { text: close.to_owned(), line: group.span_close().start().line });
    }
}

/// What stands in the group that opens at `at`, and where that ends.
pub fn group(words: &[Word], at: usize) -> (&[Word], usize) {
    let mut depth = 0;
    for (end, word) in words.iter().enumerate().skip(at) {
        match word.text.as_str() {
            "(" | "{" | "[" => depth += 1,
            ")" | "}" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&words[(at + 1).min(end)..end], end);
        }
    }
    (&words[at..], words.len())
}

/// `code` as words, for the tests of what looks at them.
pub fn of(code: &str) -> Vec<Word> {
    words(code.parse().expect("tokens"))
}

#[test]
fn comments_and_strings_are_not_code_and_lines_are_kept() {
    let text = "let a = \"// panic!()\"; // panic!()\n/* x /* y */ z */ fn f<'a>() { r#\"unwrap() \"\"# }";
    let words = of(text);
    assert!(!words.iter().any(|word| ["panic", "y", "unwrap"].contains(&word.text.as_str())));
    assert!(words.iter().any(|word| word.text == "f" && word.line == 2));
    let open = words.iter().position(|word| word.text == "{").expect("a body");
    assert_eq!(group(&words, open).0.len(), 1);
}
