//! The entries of a text: `key:value,key:value`, as it stands in a variable and in a file.
//!
//! Entries end at a comma or at the line's end. A `#` at a line's start or behind a blank begins a comment.
//! `=` is as good as `:`, and blanks around names and values are nothing.
#![forbid(unsafe_code)]

/// An entry. A key may stand alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// As it stands there.
    pub name: &'a [u8],
    /// What stands behind `:` or `=`.
    pub value: Option<&'a [u8]>,
}

/// The entries of a text, without those that are empty.
pub fn entries(text: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let lines = text.split(|&byte| byte == b'\n');
    let lines = lines.map(without_comment);
    let parts = lines.flat_map(|line| line.split(|&byte| byte == b','));
    parts.filter(|part| !part.trim_ascii().is_empty()).map(entry)
}

fn without_comment(line: &[u8]) -> &[u8] {
    let mut before = b' ';
    let begins = |&byte: &u8| core::mem::replace(&mut before, byte).is_ascii_whitespace() && byte == b'#';
    line.iter().position(begins).and_then(|at| line.get(..at)).unwrap_or(line)
}

fn entry(part: &[u8]) -> Entry<'_> {
    let mut halves = part.splitn(2, |&byte| byte == b':' || byte == b'=');
    let name = halves.next().unwrap_or_default().trim_ascii();
    Entry { name, value: halves.next().map(<[u8]>::trim_ascii) }
}

/// The value of a name in GLIBC_TUNABLES (`name=value:name=value`): the last one.
pub fn tunable<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let of = |part: &'a [u8]| part.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    text.split(|&byte| byte == b':').rev().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(String, Option<String>)> {
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        entries(text.as_bytes()).map(|entry| (owned(entry.name), entry.value.map(owned))).collect()
    }

    #[test]
    fn entries_end_at_commas_and_lines() {
        let is = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        assert_eq!(texts("a:1,b:2"), [is("a", Some("1")), is("b", Some("2"))]);
        assert_eq!(
            texts(" a = 1 \n# b:2\n\n c:x:y # d\n,help,,"),
            [is("a", Some("1")), is("c", Some("x:y")), is("help", None)]
        );
        assert_eq!(texts("log:/tmp/#1 # no"), [is("log", Some("/tmp/#1"))]);
        assert_eq!(texts("a:,:1"), [is("a", Some("")), is("", Some("1"))]);
        assert!(texts("").is_empty() && texts(" ,\n# x").is_empty());
    }

    #[test]
    fn tunables_are_glibcs() {
        let of = |text: &'static str| tunable(text.as_bytes(), "glibc.malloc.mmap_threshold");
        assert_eq!(of("glibc.malloc.check=1:glibc.malloc.mmap_threshold=65536"), Some(&b"65536"[..]));
        assert_eq!(of("glibc.malloc.mmap_threshold=1:glibc.malloc.mmap_threshold=2"), Some(&b"2"[..]));
        assert_eq!((of(""), of("glibc.malloc.mmap_threshold_x=1")), (None, None));
    }
}
