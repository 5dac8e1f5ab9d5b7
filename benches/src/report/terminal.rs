//! The short form, for the terminal.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::title;
use crate::results::metric::Metric;
use crate::results::{Results, Set};

pub fn summary(results: &Results) -> String {
    if !results.pairs.is_empty() {
        return super::pairs::summary(results);
    }
    results.sets.iter().map(set).collect::<Vec<_>>().join("\n")
}

fn set(set: &Set) -> String {
    const SHOWN: [Metric; 5] = [Metric::Cpu, Metric::Wall, Metric::Peak, Metric::Idle, Metric::Faults];
    let Some(reference) = set.reference.as_deref() else {
        return format!("{}: without mimalloc there are no means; see the rows\n", title(set.kind));
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let mut head = vec!["allocator".to_owned()];
    head.extend(SHOWN.map(|metric| metric.title().to_owned()));
    head.extend(["CPU to best".into(), "Box round".into()]);
    table.set_header(head);
    let ratio = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    for allocator in &set.allocators {
        let name = &allocator.name;
        let mut figures: Vec<_> = SHOWN
            .iter()
            .map(|metric| ratio(metric.mean(set, name, reference).map(|mean| mean.ratio)))
            .collect();
        figures.push(ratio(Metric::Cpu.mean_to_best(set, name).map(|mean| mean.ratio)));
        figures.push(allocator.box_round.map_or("–".into(), |count| format!("{count:.1}")));
        let mut cells = vec![Cell::new(name)];
        cells.extend(figures.into_iter().map(|text| Cell::new(text).set_alignment(CellAlignment::Right)));
        table.add_row(cells);
    }
    format!("{}: geometric means, to {reference}\n{table}\n", title(set.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn every_allocator_has_a_line() {
        let text = summary(&example());
        assert!(text.contains("Inside Rust programs: geometric means, to mimalloc"));
        let line = text.lines().find(|line| line.contains("brkmap")).unwrap();
        assert!(line.contains("0.50") && line.contains("25.0"), "{line}");
    }
}
