//! The memory calls of a program, cut into the spans that the program marks.
//!
//! A span is opened and closed by the traced program itself ([`begin`], [`end`]): a call that does nothing but show,
//! in order, with the thread that made it.

use brkmap_witness::mark;

/// Opens a span named `label`, in the traced program.
pub fn begin(label: &str) {
    send("begin ", label);
}

/// Closes it.
pub fn end(label: &str) {
    send("end ", label);
}

fn send(verb: &str, label: &str) {
    // On the stack: a mark must not be a request.
    let mut text = [0; 32];
    let len = verb.len() + label.len();
    text[..verb.len()].copy_from_slice(verb.as_bytes());
    text[verb.len()..len].copy_from_slice(label.as_bytes());
    mark::send_text(std::str::from_utf8(&text[..len]).expect("two texts"));
}

/// The name that a mark has among the calls.
const MARK: &str = "mark";

/// One call, spelled as strace does; or a mark, whose text is its one argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    pub arguments: Vec<String>,
    pub result: String,
}

impl Call {
    pub fn mark(thread: u32, words: mark::Words) -> Call {
        let (arguments, result) = (vec![mark::text(words)], String::new());
        Call { thread, name: MARK.to_owned(), arguments, result }
    }

    fn number(&self, index: usize) -> usize {
        let text = self.arguments.get(index).map_or("", String::as_str);
        match text.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16).unwrap_or(0),
            None => text.parse().unwrap_or(0),
        }
    }

    pub fn failed(&self) -> bool {
        self.result.starts_with('-')
    }

    /// A new mapping of memory a program can write: what answers a request. Addresses without memory are not.
    pub fn maps_memory(&self) -> bool {
        self.name == "mmap" && !self.failed() && self.has(2, "PROT_WRITE") && self.has(3, "MAP_ANONYMOUS")
    }

    pub fn moves_break(&self) -> bool {
        self.name == "brk" && self.arguments[0] != "NULL"
    }

    /// The length of an mmap, munmap or madvise; the new length of an mremap.
    pub fn length(&self) -> usize {
        self.number(if self.name == "mremap" { 2 } else { 1 })
    }

    fn has(&self, index: usize, flag: &str) -> bool {
        self.arguments.get(index).is_some_and(|text| text.split('|').any(|word| word == flag))
    }
}

/// The calls, a line each and not without end: for the message of a failing test.
pub fn show(calls: &[Call]) -> String {
    const MOST: usize = 12;
    let mut text = String::new();
    for (at, call) in calls.iter().enumerate() {
        if at == MOST {
            text += "\n  and more";
            break;
        }
        text +=
            &format!("\n  {} {}({}) = {}", call.thread, call.name, call.arguments.join(", "), call.result);
    }
    if text.is_empty() { " no calls".to_owned() } else { text }
}

impl From<&brkmap_tracer::Call> for Call {
    fn from(call: &brkmap_tracer::Call) -> Call {
        Call {
            thread: call.tid.cast_unsigned(),
            name: call.syscall.to_string(),
            arguments: call.arguments(),
            result: call.result(),
        }
    }
}

/// The memory calls between the marks of `label`, made by the thread that marked. A label used several times
/// gives several spans.
pub fn spans(calls: &[Call], label: &str) -> Vec<Vec<Call>> {
    let (begin, end) = (format!("begin {label}"), format!("end {label}"));
    let is_mark = |call: &Call, mark: &str| call.name == MARK && call.arguments[0] == mark;
    let mut found = Vec::new();
    for (at, opening) in calls.iter().enumerate().filter(|(_, call)| is_mark(call, &begin)) {
        let mut own = calls[at + 1..].iter().filter(|call| call.thread == opening.thread);
        let mut span = Vec::new();
        loop {
            let call = own.next().unwrap_or_else(|| panic!("the span {label} was never closed"));
            if is_mark(call, &end) {
                break;
            }
            if call.name != MARK {
                span.push(call.clone());
            }
        }
        found.push(span);
    }
    assert!(!found.is_empty(), "the program never marked {label}");
    found
}
