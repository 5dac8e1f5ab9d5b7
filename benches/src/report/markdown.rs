//! RESULTS.md.

use super::plot::{Of, Plot};
use super::table::Table;
use super::{pairs, scaling, title, wide};
use crate::results::metric::{Metric, is_peer};
use crate::results::{Kind, Results, Set};

/// Ratios this near to the best of a row are as good: two runs differ by as much.
const TIE: f64 = 1.02;

pub fn page(results: &Results, plots: &[Plot]) -> String {
    let mut page = String::from("# Results\n\n");
    page += &head(results);
    page += &pairs::sections(results, plots);
    for set in &results.sets {
        page += &section(set, plots);
    }
    page
}

fn head(results: &Results) -> String {
    let machine = &results.machine;
    let pieces = match results.pieces {
        1 => String::new(),
        pieces => format!(", in {pieces} pieces (the command is the last one's)"),
    };
    let mut table = Table::new(["", ""]);
    table.row(["date".into(), results.date.clone()]);
    table.row(["command".into(), format!("`{}`", results.command)]);
    table.row(["commit".into(), machine.commit.clone()]);
    table.row(["processor".into(), format!("{}, {} used by this", machine.processor, machine.processors)]);
    table.row([
        "memory".into(),
        format!("{} MiB, transparent huge pages: {}", machine.memory_mib, machine.huge_pages),
    ]);
    table.row(["system".into(), format!("Linux {}, {}, {}", machine.kernel, machine.libc, machine.rustc)]);
    table.row([
        "work".into(),
        format!(
            "{} repetitions, {} threads, {} % of a full run; {:.0} s in all{}",
            results.repetitions, results.threads, results.scale, results.seconds, pieces
        ),
    ]);
    let mut text = table.to_string().replace("| --- | ---: |", "| --- | --- |");
    text += "\nLess is better everywhere. Medians; ratios are to the set's reference; a geometric mean is over the \
             rows that both finished. What the rows do and how to read this: [README](../README.md).\n";
    for remark in &results.remarks {
        text += &format!("\n> {remark}\n");
    }
    text
}

fn section(set: &Set, plots: &[Plot]) -> String {
    let mut text = format!("\n## {}\n\n", title(set.kind));
    text += match set.kind {
        Kind::Rust => {
            "One binary for each allocator as `#[global_allocator]`, of the same code, with fat LTO.\n"
        }
        Kind::Preload => "One binary and real programs, each library in turn by `LD_PRELOAD`.\n",
        Kind::Musl => "As inside Rust programs, linked statically with musl; `musl` is its own malloc.\n",
    };
    for skipped in &set.skipped {
        text += &format!("\nSkipped: **{}**: {}.\n", skipped.name, skipped.reason.trim_end_matches('.'));
    }
    for row in &set.rows {
        if let Some(failure) = &row.failure {
            text += &format!("\n**FAILED: {}**: {failure}.\n", row.name);
        }
        for (name, failure) in
            row.cells.iter().filter_map(|(name, cell)| Some((name, cell.failure.as_ref()?)))
        {
            text += &format!("\n**{name} failed in {}**: {failure}.\n", row.name);
        }
    }
    text += &summary(set);
    for plot in plots.iter().filter(|plot| plot.of == Of::Set && plot.kind == set.kind) {
        text += &format!("\n![{}]({})\n", plot.title, plot.file);
    }
    for metric in Metric::ALL {
        text += &ratios(set, metric);
    }
    text += &medians(set);
    text + &growth(set) + &wide::section(set) + &scaling::section(set)
}

/// The geometric means, an allocator a line.
fn summary(set: &Set) -> String {
    let measured: Vec<Metric> =
        Metric::ALL.into_iter().filter(|metric| set.rows.iter().any(|row| has(set, row, *metric))).collect();
    let singles = set.allocators.iter().any(|one| one.hello_kib.is_some() || one.box_round.is_some());
    if measured.is_empty() && !singles {
        return String::new();
    }
    let reference = set.reference.as_deref();
    let mut columns = vec!["allocator".to_owned(), "version".to_owned()];
    columns.extend(measured.iter().map(|metric| metric.title().to_owned()));
    columns.extend(["CPU to the best", "rows", "hello RSS", "Box round"].map(str::to_owned));
    let mut table = Table::new(columns);
    for allocator in &set.allocators {
        let name = &allocator.name;
        let mut cells = vec![emphasis(name), allocator.version.clone()];
        cells.extend(measured.iter().map(|metric| {
            ratio(reference.and_then(|reference| metric.mean(set, name, reference)).map(|mean| mean.ratio))
        }));
        let to_best = Metric::Cpu.mean_to_best(set, name);
        cells.push(ratio(to_best.map(|mean| mean.ratio)));
        cells.push(to_best.map_or("–".into(), |mean| format!("{} of {}", mean.rows, set.rows.len())));
        cells.push(allocator.hello_kib.map_or("–".into(), |kib| format!("{kib} KiB")));
        cells.push(allocator.box_round.map_or("–".into(), |count| format!("{count:.1}")));
        table.row(cells);
    }
    if let Some(reference) = reference {
        let mut cells = vec!["*the best peer of each row*".to_owned(), String::new()];
        cells.extend(
            measured
                .iter()
                .map(|metric| ratio(metric.mean_of_best_peers(set, reference).map(|mean| mean.ratio))),
        );
        cells.resize(measured.len() + 6, String::new());
        table.row(cells);
    }
    let to = reference
        .map_or("no reference: mimalloc is not among them".to_owned(), |name| format!("ratios to {name}"));
    format!("\n### Geometric means ({to})\n\n{table}")
}

/// One quantity, a row a line; the best of the row and what is as good are bold.
fn ratios(set: &Set, metric: Metric) -> String {
    let mut columns = vec!["workload".to_owned()];
    columns.extend(set.allocators.iter().map(|allocator| allocator.name.clone()));
    columns.push("best".into());
    let mut table = Table::new(columns);
    for row in set.rows.iter().filter(|row| has(set, row, metric)) {
        let Some(best) = metric.best(set, row, |_| true) else { continue };
        let base = set.reference.as_deref().filter(|name| metric.median(row, name).is_some()).unwrap_or(best);
        let mut cells = vec![row.name.clone()];
        cells.extend(set.allocators.iter().map(|allocator| {
            let shown = ratio(metric.ratio(row, &allocator.name, base));
            let good = metric.ratio(row, &allocator.name, best).is_some_and(|to_best| to_best <= TIE);
            if good { format!("**{shown}**") } else { shown }
        }));
        let value = metric.median(row, best).map(|value| metric.shown(value)).unwrap_or_default();
        cells.push(format!("{best} {value}"));
        table.row(cells);
    }
    if table.is_empty() {
        return String::new();
    }
    format!("\n### {}: {}\n\n{table}", upper_first(metric.title()), metric.about())
}

fn medians(set: &Set) -> String {
    let mut columns = vec!["workload".to_owned()];
    columns.extend(set.allocators.iter().map(|allocator| allocator.name.clone()));
    let mut table = Table::new(columns);
    for row in set.rows.iter().filter(|row| has(set, row, Metric::Cpu)) {
        let mut cells = vec![row.name.clone()];
        cells.extend(set.allocators.iter().map(|allocator| {
            let median = Metric::Cpu.median(row, &allocator.name);
            let spread = Metric::Cpu.spread(row, &allocator.name).unwrap_or(0.0) * 100.0;
            let peak = Metric::Peak.median(row, &allocator.name).unwrap_or(0.0);
            median.map_or("–".into(), |cpu| {
                format!("{} ±{:.0} %, {}", Metric::Cpu.shown(cpu), spread / 2.0, Metric::Peak.shown(peak))
            })
        }));
        table.row(cells);
    }
    if table.is_empty() {
        return String::new();
    }
    format!("\n### Medians: CPU, half its range over the repetitions, and peak RSS\n\n{table}")
}

fn growth(set: &Set) -> String {
    let mut sizes: Vec<u64> =
        set.allocators.iter().flat_map(|one| &one.growth).map(|growth| growth.live).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.is_empty() {
        return String::new();
    }
    let mut columns = vec!["live blocks".to_owned()];
    columns.extend(set.allocators.iter().map(|allocator| allocator.name.clone()));
    let mut table = Table::new(columns);
    for live in sizes {
        let mut cells = vec![live.to_string()];
        cells.extend(set.allocators.iter().map(|allocator| {
            let found = allocator.growth.iter().find(|growth| growth.live == live);
            found.map_or("–".into(), |at| {
                format!("{:.0} − {:.0}, {}", at.replace, at.touch, Metric::Peak.shown(at.peak_kib as f64))
            })
        }));
        table.row(cells);
    }
    format!(
        "\n### Growth: ns for one visit to a random live block of 16 to 127 bytes that replaces it − one that only \
         touches it, and peak RSS\n\n{table}"
    )
}

fn has(set: &Set, row: &crate::results::Row, metric: Metric) -> bool {
    set.allocators.iter().any(|allocator| metric.median(row, &allocator.name).is_some())
}

fn emphasis(name: &str) -> String {
    if is_peer(name) { name.to_owned() } else { format!("**{name}**") }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.2}"))
}

fn upper_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    fn shown() -> String {
        page(&example(), &[])
    }

    #[test]
    fn the_head_names_machine_date_and_command() {
        let page = shown();
        for word in ["A Processor", "2026-01-02", "`matrix --quick`", "abc123", "> A remark."] {
            assert!(page.contains(word), "{word}");
        }
    }

    #[test]
    fn ratios_are_to_mimalloc_and_the_best_is_bold() {
        let page = shown();
        assert!(page.contains("| pairs | **0.50** | 1.00 | brkmap 50.0 ms |"), "{page}");
        assert!(page.contains("| live | – | **1.00** | mimalloc 100 ms |"), "{page}");
    }

    #[test]
    fn the_summary_says_over_how_many_rows_it_is() {
        let page = shown();
        let line = page.lines().find(|line| line.starts_with("| **brkmap** |")).unwrap();
        assert!(
            line.contains("| 0.50 |") && line.contains("1 of 3") && line.contains("1900 KiB | 25.0"),
            "{line}"
        );
    }

    #[test]
    fn failures_and_skipped_peers_are_named() {
        let page = shown();
        assert!(page.contains("**FAILED: maps**: the checksums differ: brkmap: 7; mimalloc: 8."));
        assert!(page.contains("**brkmap failed in live**: killed by signal 11."));
        assert!(page.contains("Skipped: **snmalloc**: no C++ compiler."));
        assert!(!page.contains("| maps |"));
    }

    #[test]
    fn growth_shows_both_visits() {
        assert!(shown().contains("| 1000 | 15 − 5, 1.95 MiB |"), "{}", shown());
    }
}
