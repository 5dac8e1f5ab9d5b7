//! Statistics for monitoring: metric families of OpenMetrics 1.0.
#![forbid(unsafe_code)]

use super::{ClassStats, Classes, Stats};
use crate::base::print;
use crate::os::calls::Tally;
use core::fmt::{Result, Write};

/// One figure of several.
type Figure<T> = fn(&T) -> usize;

impl Stats {
    /// Writes metric families, without the `# EOF` that ends an exposition: others may follow. `classes`, if
    /// they are given, make families with the label `size`.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn write_openmetrics(&self, out: &mut impl Write, classes: Option<Classes>) -> Result {
        for (name, help) in GAUGES {
            let figure = self.figures().find(|&(of, _)| of == name).map_or(0, |(_, figure)| figure);
            family(out, name, "bytes", "gauge", help)?;
            sample(out, name, "_bytes", &[], figure)?;
        }
        for (name, help, figure) in [
            ("large_blocks", "Blocks that are mappings of their own.", self.large_blocks),
            ("heaps", "Heaps of threads that were made.", self.heaps as usize),
        ] {
            family(out, name, "", "gauge", help)?;
            sample(out, name, "", &[], figure)?;
        }
        let kinds: [(&str, &str, &str, Figure<Tally>); 3] = [
            ("calls", "", "Memory calls that were made, by reason.", |tally| tally.calls),
            ("call_size", "bytes", "Bytes of memory calls that were not refused.", |tally| tally.bytes),
            ("call_refusals", "", "Memory calls that the kernel refused.", |tally| tally.refused),
        ];
        for (name, unit, help, of) in kinds {
            family(out, name, unit, "counter", help)?;
            let end = if unit.is_empty() { "_total" } else { "_bytes_total" };
            for (call, reason, tally) in self.made() {
                sample(out, name, end, &[("call", call.name()), ("reason", reason.name())], of(&tally))?;
            }
        }
        match classes {
            Some(classes) => write_classes(out, classes),
            None => Ok(()),
        }
    }
}

const GAUGES: [(&str, &str); 9] = [
    ("allocated", "Blocks that are with the program."),
    ("active", "Slabs, chunks, spans and large mappings that those blocks are in."),
    ("resident", "What may have pages behind it."),
    ("mapped", "Addresses that were got from the kernel."),
    ("retained", "Free addresses without pages."),
    ("metadata", "The tables of the allocator, as they are mapped."),
    ("cached", "Free blocks that threads have at hand."),
    ("dirty", "Free memory that may still have pages behind it."),
    ("mmap_threshold", "From this size on a request is a mapping of its own."),
];

fn write_classes(out: &mut impl Write, classes: Classes) -> Result {
    let kinds: [(&str, &str, Figure<ClassStats>); 3] = [
        ("class_live", "Blocks of a size class that are with the program.", |class| class.live),
        (
            "class_cached",
            "Free blocks of a size class that threads have at hand, or that are on their way home.",
            |class| class.cached,
        ),
        ("class_free", "Blocks of a size class that are free in their slabs or chunks.", |class| class.free),
    ];
    for (name, help, of) in kinds {
        family(out, name, "", "gauge", help)?;
        for class in classes.clone() {
            let mut size = crate::base::text::Text::<40>::new();
            size.number(class.size, 0);
            sample(out, name, "", &[("size", size.as_str())], of(&class))?;
        }
    }
    Ok(())
}

/// The lines that a metric family begins with.
fn family(out: &mut impl Write, name: &str, unit: &str, kind: &str, help: &str) -> Result {
    let before = if unit.is_empty() { "" } else { "_" };
    let full = ["brkmap_", name, before, unit];
    let mut line = |what: &str, rest: &str| {
        out.write_str(what)?;
        full.into_iter().try_for_each(|part| out.write_str(part))?;
        [" ", rest, "\n"].into_iter().try_for_each(|part| out.write_str(part))
    };
    line("# TYPE ", kind)?;
    if !unit.is_empty() {
        line("# UNIT ", unit)?;
    }
    line("# HELP ", help)
}

fn sample(out: &mut impl Write, name: &str, end: &str, labels: &[(&str, &str)], figure: usize) -> Result {
    ["brkmap_", name, end].into_iter().try_for_each(|part| out.write_str(part))?;
    let mut before = "{";
    for (label, value) in labels {
        [before, label, "=\"", value, "\""].into_iter().try_for_each(|part| out.write_str(part))?;
        before = ",";
    }
    out.write_str(if labels.is_empty() { " " } else { "} " })?;
    print::number(out, figure)?;
    out.write_str("\n")
}
