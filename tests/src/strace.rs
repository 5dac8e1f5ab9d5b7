//! The memory calls of a program, read from strace's log and cut into the spans the program marks.
//!
//! A span is opened and closed by the traced program itself ([`begin`], [`end`]): a `write` to a descriptor
//! that cannot exist, which does nothing but show in the log, in order, with the thread that made it.

use std::path::Path;

/// What strace is told to record.
pub const CALLS: &str = "trace=brk,mmap,munmap,mremap,madvise,mprotect,write";

/// Opens a span named `label`, in the traced program.
pub fn begin(label: &str) {
    mark(b"@begin ", label);
}

/// Closes it.
pub fn end(label: &str) {
    mark(b"@end ", label);
}

fn mark(verb: &[u8], label: &str) {
    // On the stack: a mark must not be a request.
    let mut text = [0u8; 64];
    let len = verb.len() + label.len();
    text[..verb.len()].copy_from_slice(verb);
    text[verb.len()..len].copy_from_slice(label.as_bytes());
    // SAFETY: reads `len` bytes of the buffer above; the descriptor does not exist, so nothing is written.
    unsafe { libc::write(-1, text.as_ptr().cast(), len) };
}

/// One call as strace wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    pub arguments: Vec<String>,
    pub result: String,
}

impl Call {
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

    /// A new mapping of memory a program can write: what answers a request. Reserved address space is not.
    pub fn maps_memory(&self) -> bool {
        self.name == "mmap" && !self.failed() && self.has(2, "PROT_WRITE") && self.has(3, "MAP_ANONYMOUS")
    }

    pub fn moves_break(&self) -> bool {
        self.name == "brk" && self.arguments[0] != "NULL"
    }

    /// Grows the allocator's own range without the break, as the fenced one does once there are threads:
    /// reserved address space becomes memory, and what lay free between break and fence is mapped at its
    /// place.
    pub fn grows_range(&self) -> bool {
        !self.failed() && self.name == "mprotect" && self.has(2, "PROT_WRITE")
            || self.maps_memory() && self.has(3, "MAP_FIXED_NOREPLACE")
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

/// The calls of a log written by `strace -f -o`.
pub fn read(log: &Path) -> Vec<Call> {
    parse(&std::fs::read_to_string(log).expect("strace's log"))
}

fn parse(log: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    // A call during which another thread was shown comes in two lines; its head waits here for the rest.
    let mut unfinished: Vec<(u32, String)> = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse() else { continue };
        let mut text = rest.trim_start().to_owned();
        if let Some(head) = text.strip_suffix(" <unfinished ...>") {
            unfinished.push((thread, head.to_owned()));
            continue;
        }
        if text.starts_with("<... ") {
            let Some((_, tail)) = text.split_once(" resumed>") else { continue };
            let Some(at) = unfinished.iter().position(|(waiting, _)| *waiting == thread) else { continue };
            text = unfinished.remove(at).1 + tail;
        }
        calls.extend(parse_call(thread, &text));
    }
    calls
}

fn parse_call(thread: u32, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    Some(Call {
        thread,
        name: name.to_owned(),
        arguments: arguments.split(", ").map(str::to_owned).collect(),
        result: result.to_owned(),
    })
}

/// The memory calls between the marks of `label`, made by the thread that marked. A label used several times
/// gives several spans.
pub fn spans(calls: &[Call], label: &str) -> Vec<Vec<Call>> {
    let begin = format!("\"@begin {label}\"");
    let end = format!("\"@end {label}\"");
    let is_mark =
        |call: &Call, mark: &str| call.name == "write" && call.arguments.get(1).is_some_and(|a| a == mark);
    let mut found = Vec::new();
    for (at, opening) in calls.iter().enumerate().filter(|(_, call)| is_mark(call, &begin)) {
        let mut own = calls[at + 1..].iter().filter(|call| call.thread == opening.thread);
        let mut span = Vec::new();
        loop {
            let call = own.next().unwrap_or_else(|| panic!("the span {label} was never closed"));
            if is_mark(call, &end) {
                break;
            }
            if call.name != "write" {
                span.push(call.clone());
            }
        }
        found.push(span);
    }
    assert!(!found.is_empty(), "the program never marked {label}");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
10 brk(NULL)                         = 0x5000
10 write(-1, \"@begin big\", 10)     = -1 EBADF (Bad file descriptor)
10 mmap(NULL, 10489856, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0 <unfinished ...>
11 brk(0x6000)                       = 0x6000
10 <... mmap resumed>)               = 0x7f0000000000
10 write(-1, \"@end big\", 8)        = -1 EBADF (Bad file descriptor)
11 munmap(0x7f0000000000, 4096)      = 0
10 +++ exited with 0 +++
";

    #[test]
    fn a_call_in_two_lines_is_one_call() {
        let calls = parse(LOG);
        let maps: Vec<_> = calls.iter().filter(|call| call.maps_memory()).collect();
        assert_eq!(maps.len(), 1);
        assert_eq!((maps[0].length(), maps[0].result.as_str()), (10489856, "0x7f0000000000"));
    }

    #[test]
    fn a_span_holds_the_calls_of_its_own_thread_only() {
        let spans = spans(&parse(LOG), "big");
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].iter().map(|call| call.name.as_str()).collect::<Vec<_>>(), ["mmap"]);
    }

    #[test]
    fn asking_for_the_break_is_not_moving_it() {
        let moved: Vec<bool> =
            parse(LOG).iter().filter(|call| call.name == "brk").map(Call::moves_break).collect();
        assert_eq!(moved, [false, true]);
    }
}
