//! The same calls by another witness: read from the log of strace.

use std::path::Path;

use brkmap_witness::mark;

use crate::calls::Call;

/// What strace is told to record: the memory calls, and the one that a mark is.
pub const CALLS: &str = "trace=brk,mmap,munmap,mremap,madvise,mprotect,prctl";

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
    if name == "prctl" {
        return parse_mark(thread, arguments);
    }
    Some(Call {
        thread,
        name: name.to_owned(),
        arguments: arguments.split(", ").map(str::to_owned).collect(),
        result: result.to_owned(),
    })
}

/// `0x62726b6d /* PR_??? */, 0x…, 0x…, 0x…, 0`, or what another prctl has.
fn parse_mark(thread: u32, arguments: &str) -> Option<Call> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let mut words = arguments.split(", ").map(|text| number(text.split(' ').next().unwrap_or_default()));
    if words.next()?? != u64::from(mark::OPTION) {
        return None;
    }
    let words: Vec<u64> = words.collect::<Option<_>>()?;
    Some(Call::mark(thread, words.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::spans;

    const LOG: &str = "\
10 brk(NULL)                         = 0x5000
10 prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x7f0000000000, 4096, \"a\") = 0
10 prctl(0x62726b6d /* PR_??? */, 0x6962206e69676562, 0x67, 0, 0) = -1 EINVAL (Invalid argument)
10 mmap(NULL, 10489856, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0 <unfinished ...>
11 brk(0x6000)                       = 0x6000
10 <... mmap resumed>)               = 0x7f0000000000
10 prctl(0x62726b6d /* PR_??? */, 0x67696220646e65, 0, 0, 0) = -1 EINVAL (Invalid argument)
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
