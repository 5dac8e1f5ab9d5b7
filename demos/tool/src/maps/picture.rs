//! The picture: ribbons of cells, a letter each.

use anstyle::Style;
use brkmap_base::Bytes;
use brkmap_base::style::{CYAN, FAINT, GREEN, RED, STRONG, YELLOW, paint};
use brkmap_base::wrap::wrap;

use crate::watched::{Moment, Part};

/// What a cell is used for; of two with as many bytes the first one shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Slabs,
    Chunks,
    Spans,
    Large,
    Cached,
    Dirty,
    Free,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Slabs, Kind::Chunks, Kind::Spans, Kind::Large, Kind::Cached, Kind::Dirty, Kind::Free];

    fn named(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub fn word(self) -> &'static str {
        ["slabs", "chunks", "spans", "large", "cached", "dirty", "free"][self as usize]
    }

    fn letter(self) -> char {
        ['s', 'm', 'p', 'L', 'c', 'd', '.'][self as usize]
    }

    fn style(self) -> Style {
        [GREEN, GREEN.bold(), CYAN, CYAN.bold(), YELLOW, RED, FAINT][self as usize]
    }
}

/// Addresses of one origin, side by side in the picture.
pub struct Ribbon {
    pub title: String,
    pub parts: Vec<(Kind, u64)>,
}

pub struct Picture {
    pub title: String,
    pub ribbons: Vec<Ribbon>,
    pub words: Vec<(Kind, String)>,
    pub tables: String,
}

/// Lines that the ribbons have in all, about.
const LINES: u64 = 18;
const GRANULE: u64 = 64 << 10;

impl Picture {
    pub fn of(moment: &Moment, parts: &[Part]) -> Picture {
        let mut parts: Vec<_> = parts.iter().collect();
        parts.sort_by_key(|(at, ..)| *at);
        let heap = moment.statistics.by_break.as_ref().map_or(0..0, |by_break| by_break.start..by_break.end);
        let (mut brk, mut regions, mut mappings) = (Vec::new(), Vec::new(), Vec::new());
        let (mut count, mut end) = (0, 0);
        for (at, bytes, word) in parts {
            let Some(kind) = Kind::named(word) else { continue };
            match kind {
                Kind::Large | Kind::Cached => mappings.push((kind, *bytes)),
                _ if heap.contains(at) => brk.push((kind, *bytes)),
                _ => {
                    count += u32::from(*at != end);
                    end = at + bytes;
                    regions.push((kind, *bytes));
                }
            }
        }
        let statistics = &moment.statistics;
        let size = |bytes: u64| Bytes(bytes).rounded();
        let sum = |parts: &[(Kind, u64)]| parts.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let plural = |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let titles = [
            format!("break at {:#x}, {}", heap.start, size(sum(&brk))),
            format!("{}, {}", plural(count.into(), "region"), size(sum(&regions))),
            format!(
                "{}, {}, {}",
                plural(statistics.large_blocks, "large block"),
                plural(statistics.cached_blocks, "cached mapping"),
                size(sum(&mappings))
            ),
        ];
        let ribbons = titles.into_iter().zip([brk, regions, mappings]).filter(|(_, parts)| !parts.is_empty());
        let ribbons: Vec<_> = ribbons.map(|(title, parts)| Ribbon { title, parts }).collect();
        let all = |kind: Kind| {
            let parts = ribbons.iter().flat_map(|ribbon| &ribbon.parts);
            parts.filter(|(of, _)| *of == kind).map(|(_, bytes)| bytes).sum::<u64>()
        };
        let words = Kind::ALL.into_iter().filter(|kind| all(*kind) > 0).map(|kind| {
            let what = match kind {
                Kind::Slabs => format!(
                    "64 KiB each, of blocks up to 32 KiB: {} live, {} at hand of threads",
                    size(statistics.small_bytes),
                    size(statistics.cached)
                ),
                Kind::Chunks => {
                    format!("of blocks from 32 to 256 KiB: {} live", size(statistics.medium_bytes))
                }
                Kind::Spans => "live: blocks of 64 KiB and more, for which there is no chunk".to_owned(),
                Kind::Large => "live: blocks that are mappings of their own".to_owned(),
                Kind::Cached => "freed mappings, kept for the next large blocks".to_owned(),
                Kind::Dirty => "free, and may have pages still".to_owned(),
                Kind::Free => "free addresses, without pages".to_owned(),
            };
            (kind, format!("{} {}: {what}", kind.word(), size(all(kind))))
        });
        Picture {
            title: format!(
                "process {}: {} live of {} of addresses",
                moment.process,
                size(statistics.allocated),
                size(statistics.mapped)
            ),
            words: words.collect(),
            tables: format!(
                "Tables beside these have {} of addresses, most of them never touched.",
                size(statistics.metadata)
            ),
            ribbons,
        }
    }

    /// Bytes of a cell, so that all fit on about so many lines.
    pub fn cell(&self, columns: u64) -> u64 {
        let all: u64 = self.ribbons.iter().flat_map(|ribbon| &ribbon.parts).map(|(_, bytes)| bytes).sum();
        all.div_ceil(LINES * columns).max(GRANULE).next_power_of_two()
    }

    /// The picture in so many columns.
    pub fn text(&self, columns: usize) -> String {
        let cell = self.cell(columns as u64);
        let mut lines = vec![paint(STRONG, wrap(&self.title, columns, "  ")), String::new()];
        for ribbon in &self.ribbons {
            lines.push(wrap(&ribbon.title, columns, "  "));
            for row in ribbon.cells(cell).chunks(columns) {
                let runs = row.chunk_by(|one, other| one == other);
                let run = |run: &[Kind]| {
                    paint(run[0].style(), run.iter().map(|kind| kind.letter()).collect::<String>())
                };
                lines.push(runs.map(run).collect());
            }
            lines.push(String::new());
        }
        lines.push(wrap(&format!("A letter is {}:", Bytes(cell)), columns, ""));
        for (kind, words) in &self.words {
            let letter = paint(kind.style(), kind.letter());
            lines.push(format!("{letter} {}", wrap(words, columns - 2, "  ")));
        }
        lines.push(wrap(&self.tables, columns, ""));
        lines.join("\n")
    }
}

impl Ribbon {
    /// The cells: of each what most of its bytes are used for.
    pub fn cells(&self, cell: u64) -> Vec<Kind> {
        let mut cells = Vec::new();
        let (mut sums, mut room) = ([0; Kind::ALL.len()], cell);
        for &(kind, mut bytes) in &self.parts {
            while bytes > 0 {
                let taken = bytes.min(room);
                sums[kind as usize] += taken;
                (bytes, room) = (bytes - taken, room - taken);
                if room == 0 {
                    cells.push(most(&sums));
                    (sums, room) = ([0; Kind::ALL.len()], cell);
                }
            }
        }
        if room < cell {
            cells.push(most(&sums));
        }
        cells
    }
}

fn most(sums: &[u64; Kind::ALL.len()]) -> Kind {
    let largest = sums.iter().max().copied().unwrap_or_default();
    Kind::ALL.into_iter().find(|kind| sums[*kind as usize] == largest).unwrap_or(Kind::Free)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use anstream::adapter::strip_str;

    pub fn moment() -> (Moment, Vec<Part>) {
        let moment = serde_json::json!({
            "process": 7, "milliseconds": 5,
            "statistics": {
                "allocated": 5 << 20, "active": 6 << 20, "resident": 6 << 20, "mapped": 12 << 20, "retained": 1 << 20,
                "metadata": 1 << 20, "cached": 1 << 12, "dirty": 1 << 20, "small_bytes": 1 << 20, "medium_bytes": 0, "span_bytes": 1 << 20,
                "large_bytes": 3 << 20, "large_blocks": 1, "cached_blocks": 2, "heaps": 1,
                "break": { "mode": "break", "start": 0x10_0000, "end": 0x60_0000 }, "calls": [],
            },
        });
        let part = |at: u64, bytes: u64, word: &str| (at, bytes, word.to_owned());
        let parts = vec![
            part(0x7000_0000, 3 << 20, "large"),
            part(0x10_0000, 1 << 20, "slabs"),
            part(0x20_0000, 1 << 20, "spans"),
            part(0x30_0000, 1 << 20, "dirty"),
            part(0x40_0000, 2 << 20, "free"),
            part(0x5000_0000, 1 << 16, "slabs"),
            part(0x5001_0000, (1 << 20) - (1 << 16), "free"),
            part(0x6000_0000, 1 << 20, "free"),
            part(0x8000_0000, 1 << 20, "cached"),
            part(0x9000_0000, 1 << 20, "tables"),
        ];
        (serde_json::from_value(moment).unwrap(), parts)
    }

    #[test]
    fn each_cell_is_what_most_of_it_is_and_all_have_a_place() {
        let (moment, parts) = moment();
        let picture = Picture::of(&moment, &parts);
        let titles: Vec<_> = picture.ribbons.iter().map(|ribbon| ribbon.title.as_str()).collect();
        assert_eq!(
            titles,
            ["break at 0x100000, 5 MiB", "2 regions, 2 MiB", "1 large block, 2 cached mappings, 4 MiB"]
        );
        let letters =
            |ribbon: &Ribbon, cell| ribbon.cells(cell).iter().map(|kind| kind.letter()).collect::<String>();
        assert_eq!(letters(&picture.ribbons[0], 1 << 20), "spd..");
        assert_eq!(letters(&picture.ribbons[0], 2 << 20), "sd.", "of two as long the first, and the rest");
        assert_eq!(letters(&picture.ribbons[1], 1 << 16), format!("s{}", ".".repeat(31)));
        assert_eq!(letters(&picture.ribbons[2], 1 << 20), "LLLc");
    }

    #[test]
    fn the_picture_fits_each_width_and_says_what_it_shows() {
        let (moment, parts) = moment();
        for columns in [20, 60, 80, 200] {
            let text = strip_str(&Picture::of(&moment, &parts).text(columns)).to_string();
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns, "{longest} of {columns}:\n{text}");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in [
                "process 7: 5 MiB live of 12 MiB",
                "A letter is 64 KiB:",
                "s slabs 1.06 MiB",
                "1 MiB live, 4 KiB at hand",
                "d dirty 1 MiB",
                "c cached 1 MiB",
                "Tables beside these have 1 MiB",
            ] {
                assert!(words.contains(part), "{part} in\n{text}");
            }
        }
    }

    #[test]
    fn a_large_process_has_larger_cells() {
        let (moment, _) = moment();
        let parts = vec![(0x10_0000, 64 << 30, "large".to_owned())];
        let picture = Picture::of(&moment, &parts);
        assert_eq!(picture.cell(80), 64 << 20);
        assert!(picture.text(80).lines().count() < 30);
    }
}
