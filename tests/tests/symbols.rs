//! What libbrkmap.so shows to the dynamic linker.

use std::collections::BTreeSet;
use std::process::Command;

use brkmap_tests::program;
use brkmap_tests::skip;

/// The malloc family with glibc's other names for it, the break's two functions so that others' use of it stays
/// safe, and the statistics.
const EXPORTED: [&str; 33] = [
    "__libc_calloc",
    "__libc_free",
    "__libc_mallinfo",
    "__libc_malloc",
    "__libc_mallopt",
    "__libc_memalign",
    "__libc_pvalloc",
    "__libc_realloc",
    "__libc_valloc",
    "aligned_alloc",
    "brk",
    "brkmap_stats",
    "brkmap_stats_json",
    "calloc",
    "cfree",
    "free",
    "free_aligned_sized",
    "free_sized",
    "mallinfo",
    "mallinfo2",
    "malloc",
    "malloc_info",
    "malloc_stats",
    "malloc_trim",
    "malloc_usable_size",
    "mallopt",
    "memalign",
    "posix_memalign",
    "pvalloc",
    "realloc",
    "reallocarray",
    "sbrk",
    "valloc",
];

fn readelf(what: &str) -> Option<String> {
    let mut command = Command::new(skip::tool("readelf")?);
    command.args(["-W", what]).arg(program::preload());
    let ended = program::run(command);
    ended.expect_success("readelf");
    Some(String::from_utf8(ended.stdout).expect("text"))
}

/// Names of the dynamic symbols, and whether each is defined here.
fn symbols() -> Option<Vec<(String, bool)>> {
    let table = readelf("--dyn-syms")?;
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|row| row.len() >= 8 && row[0].trim_end_matches(':').parse::<u32>().is_ok());
    Some(rows.map(|row| (row[7].split('@').next().unwrap_or("").to_owned(), row[6] != "UND")).collect())
}

#[test]
fn exactly_the_malloc_family_and_the_break_are_exported() {
    let Some(symbols) = symbols() else { return };
    let exported: BTreeSet<_> =
        symbols.iter().filter(|(_, defined)| *defined).map(|(name, _)| name.as_str()).collect();
    let expected = BTreeSet::from(EXPORTED);
    let missing: Vec<_> = expected.difference(&exported).collect();
    let beyond: Vec<_> = exported.difference(&expected).collect();
    assert!(missing.is_empty() && beyond.is_empty(), "missing: {missing:?}; beyond the list: {beyond:?}");
}

#[test]
fn thread_local_storage_is_initial_exec() {
    let Some(dynamic) = readelf("-d") else { return };
    assert!(dynamic.contains("STATIC_TLS"), "{dynamic}");
}

#[test]
fn programs_linked_with_it_ask_for_the_file_that_is_installed() {
    let Some(dynamic) = readelf("-d") else { return };
    assert!(dynamic.contains("soname: [libbrkmap.so.0]"), "{dynamic}");
}

#[test]
fn the_library_cannot_be_unloaded() {
    let Some(dynamic) = readelf("-d") else { return };
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

/// std's panic machinery, with libgcc_s behind it, would be 270 KiB more of text, and would allocate. It is
/// left out of a release by lld; a debug build, or a linker that cannot, may bring it.
#[test]
fn it_needs_libc_alone_and_cannot_panic() {
    let Some(dynamic) = readelf("-d") else { return };
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.len() == 1 && needed[0].contains("[libc.so"), "{needed:?}");
    let Some(table) = readelf("--syms") else { return };
    let strange: Vec<_> = table.lines().filter(|line| line.contains("panicking")).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}
