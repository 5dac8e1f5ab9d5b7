//! What of the machine matters to an allocator.

use std::path::Path;

use brkmap_base::Bytes;
use brkmap_witness::page_size;
use serde::Serialize;

/// A setting, what it is here, and what follows from it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    pub words: String,
    /// It is not as usual, and shows in what an allocator can do.
    pub matters: bool,
}

impl Fact {
    pub fn plain(name: &'static str, value: impl Into<String>) -> Fact {
        Fact { name, value: value.into(), words: String::new(), matters: false }
    }

    fn telling(name: &'static str, value: impl Into<String>, words: &str) -> Fact {
        Fact { words: words.to_owned(), matters: true, ..Fact::plain(name, value) }
    }
}

/// Of this machine, and of a process or of this one.
pub fn facts(pid: Option<i32>) -> Vec<Fact> {
    let process = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let mut facts = vec![huge_pages(), overcommit(), map_count(&process)];
    let limits = text(format!("{process}/limits"));
    facts.extend(LIMITS.iter().map(|(name, line, words)| limit(name, soft(&limits, line), words)));
    facts.push(cgroup(&process));
    facts.push(match page_size() {
        4096 => Fact::plain("page", "4 KiB"),
        size => Fact::telling("page", Bytes(size as u64).to_string(), "Only pages of 4 KiB are tested."),
    });
    facts
}

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn huge_pages() -> Fact {
    let words = text("/sys/kernel/mm/transparent_hugepage/enabled");
    let chosen = words.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word);
    match chosen {
        Some("always") => Fact::telling(
            "transparent huge pages",
            "always",
            "The kernel may put 2 MiB where one page is touched: resident memory can be more than what is used.",
        ),
        Some("never") => Fact::telling("transparent huge pages", "never", "Large blocks get no huge pages."),
        other => Fact::plain("transparent huge pages", other.unwrap_or("none in this kernel")),
    }
}

fn overcommit() -> Fact {
    let name = "overcommit";
    match text("/proc/sys/vm/overcommit_memory").as_str() {
        "2" => {
            let memory = text("/proc/meminfo");
            let line = |key: &str| {
                let line = memory.lines().find_map(|line| line.strip_prefix(key))?;
                Some(Bytes(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10).rounded())
            };
            let (used, most) = (line("Committed_AS:"), line("CommitLimit:"));
            let value = format!("strict, {} of {}", used.unwrap_or_default(), most.unwrap_or_default());
            Fact::telling(name, value, "malloc fails where the sum of all programs' memory is beyond.")
        }
        "1" => Fact::telling(
            name,
            "always",
            "malloc hardly fails; the kernel kills a program when pages run out.",
        ),
        _ => Fact::plain(name, "by the kernel's judgement"),
    }
}

fn map_count(process: &str) -> Fact {
    let most: u64 = text("/proc/sys/vm/max_map_count").parse().unwrap_or(u64::MAX);
    let used = text(format!("{process}/maps")).lines().count() as u64;
    let value = format!("{used} of {most}");
    if used > most / 2 || most < 65530 {
        Fact::telling("mappings", value, "Beyond vm.max_map_count mmap fails, and a mapping cannot be split.")
    } else {
        Fact::plain("mappings", value)
    }
}

/// Name, the line's head in /proc/PID/limits, and what it does.
const LIMITS: [(&str, &str, &str); 2] = [
    ("limit of addresses", "Max address space", "RLIMIT_AS counts all mappings (ulimit -v)."),
    ("limit of data", "Max data size", "RLIMIT_DATA counts the break and private mappings (ulimit -d)."),
];

fn soft(limits: &str, line: &str) -> Option<u64> {
    let line = limits.lines().find_map(|text| text.strip_prefix(line))?;
    line.split_whitespace().next()?.parse().ok()
}

fn limit(name: &'static str, soft: Option<u64>, words: &str) -> Fact {
    match soft {
        None => Fact::plain(name, "none"),
        Some(bytes) => Fact::telling(name, Bytes(bytes).rounded(), words),
    }
}

/// The lowest bound of the process's control group and those above it, of both versions.
fn cgroup(process: &str) -> Fact {
    let groups = text(format!("{process}/cgroup"));
    let of = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = Path::new(root).join(path.trim_start_matches('/'));
        let groups = group.ancestors().take_while(|group| group.starts_with(root));
        // The first version says "none" with a number near the largest.
        let bounds = groups.filter_map(|group| text(group.join(file)).parse::<u64>().ok());
        bounds.filter(|bytes| *bytes < 1 << 60).min()
    };
    match groups.lines().filter_map(of).min() {
        None => Fact::plain("limit of the control group", "none"),
        Some(bytes) => Fact::telling(
            "limit of the control group",
            Bytes(bytes).rounded(),
            "malloc does not fail there; the kernel kills a program of the group when its pages run out.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let text = "Limit    Soft Limit  Hard Limit  Units\n\
                    Max data size             1048576     unlimited   bytes\n\
                    Max address space         unlimited   unlimited   bytes\n";
        assert_eq!((soft(text, "Max data size"), soft(text, "Max address space")), (Some(1 << 20), None));
    }

    #[test]
    fn this_machine_is_described() {
        let names: Vec<_> = facts(None).iter().map(|fact| fact.name).collect();
        assert!(
            names.contains(&"overcommit") && names.contains(&"mappings") && names.len() == 7,
            "{names:?}"
        );
    }
}
