//! The results, written for readers: a page, pictures, and the document for programs.

use std::path::Path;

use brkmap_base::error::{Error, Result};

use crate::results::{Kind, Results};

pub mod markdown;
pub mod pairs;
pub mod plot;
pub mod scaling;
pub mod table;
pub mod terminal;
pub mod wide;

/// What the files of a set are named by.
pub fn stem(kind: Kind) -> &'static str {
    match kind {
        Kind::Rust => "rust",
        Kind::Preload => "preload",
        Kind::Musl => "musl",
    }
}

pub fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Rust => "Inside Rust programs",
        Kind::Preload => "Preloaded",
        Kind::Musl => "Inside static programs on musl",
    }
}

/// What an earlier run left in `folder`, if there is something.
pub fn read(folder: &Path) -> Result<Option<Results>> {
    let file = folder.join("results.json");
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
    let results: Results = serde_json::from_str(&text)
        .map_err(Error::during(format!("{} is of another version of this program", file.display())))?;
    Ok(Some(results))
}

/// RESULTS.md, results.json and the plots, into `folder`.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(Error::during(format!("cannot make the folder {}", folder.display())))?;
    let json = serde_json::to_string_pretty(results).map_err(Error::during("the results are no JSON"))?;
    put(folder, "results.json", json + "\n")?;
    render(results, folder)
}

/// RESULTS.md and the plots alone, into a folder that is there.
pub fn render(results: &Results, folder: &Path) -> Result<()> {
    let plots = plot::all(results);
    for plot in &plots {
        put(folder, &plot.file, &plot.svg)?;
    }
    put(folder, "RESULTS.md", markdown::page(results, &plots))
}

fn put(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, text).map_err(Error::during(format!("cannot write {}", file.display())))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::results::tests::{cell, row};
    use crate::results::{Allocator, Cell, Growth, Machine, SCHEMA, Set, Skipped};

    /// Two allocators and three rows, of which one failed.
    pub fn example() -> Results {
        let growth =
            |live, replace| Growth { live, fill: 9.0, touch: 5.0, replace, free: 4.0, peak_kib: 2000 };
        let allocator = |name: &str, round| Allocator {
            name: name.into(),
            version: "1.2".into(),
            hello_kib: Some(1900),
            box_round: Some(round),
            growth: vec![growth(1000, 15.0), growth(10_000, 25.0)],
            scaling: Vec::new(),
            wide: Vec::new(),
        };
        let with_rest = |cpu, peak| Cell { idle_kib: Some(peak / 2), ..cell(cpu, peak) };
        let mut differing = row("maps", &[("brkmap", cell(5.0, 1000)), ("mimalloc", cell(1.0, 1000))]);
        differing.failure = Some("the checksums differ: brkmap: 7; mimalloc: 8".into());
        let crashed = Cell { failure: Some("killed by signal 11".into()), ..Cell::default() };
        Results {
            schema: SCHEMA,
            date: "2026-01-02 03:04 UTC".into(),
            command: "matrix --quick".into(),
            machine: Machine {
                processor: "A Processor".into(),
                processors: 2,
                memory_mib: 1000,
                kernel: "6.1".into(),
                libc: "glibc 2.36".into(),
                huge_pages: "madvise".into(),
                rustc: "rustc 1.95".into(),
                commit: "abc123".into(),
            },
            repetitions: 1,
            threads: 2,
            scale: 25,
            seconds: 12.0,
            pieces: 1,
            remarks: vec!["A remark.".into()],
            sets: vec![Set {
                kind: Kind::Rust,
                reference: Some("mimalloc".into()),
                allocators: vec![allocator("brkmap", 25.0), allocator("mimalloc", 77.5)],
                skipped: vec![Skipped { name: "snmalloc".into(), reason: "no C++ compiler".into() }],
                rows: vec![
                    row("pairs", &[("brkmap", with_rest(50.0, 1000)), ("mimalloc", with_rest(100.0, 4000))]),
                    row("live", &[("brkmap", crashed), ("mimalloc", with_rest(100.0, 2000))]),
                    differing,
                ],
            }],
            pairs: Vec::new(),
        }
    }

    #[test]
    fn everything_the_page_shows_is_written_and_the_document_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        write(&example(), folder.path()).unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let back: Results = serde_json::from_str(&text("results.json")).unwrap();
        assert_eq!(
            back.sets[0].rows[0].cells["brkmap"].samples,
            example().sets[0].rows[0].cells["brkmap"].samples
        );
        let page = text("RESULTS.md");
        let pictures: Vec<_> = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(!pictures.is_empty());
        for picture in pictures.iter().filter(|name| name.ends_with(".svg")) {
            assert!(text(picture).starts_with("<svg"), "{picture}");
        }
    }
}
