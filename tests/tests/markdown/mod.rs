//! Markdown as far as the documents here use it: headings, links, code, tables.

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !fence && !inside
    })
}

/// What stands between single backticks, outside of code blocks.
pub fn spans(text: &str) -> Vec<String> {
    prose(text).flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Where links and pictures lead.
pub fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        let targets = plain.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(str::to_owned));
    }
    found
}

/// The headings, from the first to the last: how deep, and the text.
pub fn headings(text: &str) -> Vec<(usize, &str)> {
    let depth = |line: &str| line.bytes().take_while(|&byte| byte == b'#').count();
    let heads = prose(text).filter(|line| line.starts_with('#'));
    heads.map(|line| (depth(line), line.trim_start_matches('#').trim())).collect()
}

/// The anchor that a heading has on the pages of a code host.
pub fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The lines between a `##` heading of this text and the next one.
pub fn section<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let is_head = |line: &&str| line.starts_with("## ");
    let mut lines = text.lines().skip_while(|line| line.strip_prefix("## ") != Some(heading));
    lines.next();
    lines.take_while(|line| !is_head(line)).collect()
}

/// The cells of the table rows among lines, without heads and rules.
pub fn rows<'a>(lines: &[&'a str]) -> Vec<Vec<&'a str>> {
    let is_row = |line: &&str| line.starts_with('|');
    let is_rule = |line: &str| line.chars().all(|c| "|-: ".contains(c));
    let mut found = Vec::new();
    for (at, line) in lines.iter().copied().enumerate().filter(|(_, line)| is_row(line)) {
        let is_head = lines.get(at + 1).is_some_and(|next| is_row(next) && is_rule(next));
        if !is_head && !is_rule(line) {
            found.push(line.trim_matches('|').split('|').map(str::trim).collect());
        }
    }
    found
}

#[test]
fn what_a_document_is_made_of_is_found() {
    let text = "# A\n\n[one](x.md#b-c) and `[no](code)`\n```\n# no [link](z)\n```\n## B, c\n\n\
                | h | i |\n| --- | --- |\n| `k` | ![l](m.svg) |\n## D\nend";
    assert_eq!(headings(text), [(1, "A"), (2, "B, c"), (2, "D")]);
    assert_eq!(links(text), ["x.md#b-c", "m.svg"]);
    assert_eq!(spans(text), ["[no](code)", "k"]);
    assert_eq!(anchor("B, c"), "b-c");
    assert_eq!(rows(&section(text, "B, c")), [["`k`", "![l](m.svg)"]]);
    assert!(section(text, "E").is_empty());
}
