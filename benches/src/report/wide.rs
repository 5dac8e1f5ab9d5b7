//! The table of the heap of a wide address range.

use super::table::Table;
use crate::results::Set;
use crate::results::metric::Metric;
use crate::results::wide::Visit;

pub fn section(set: &Set) -> String {
    let mut table =
        Table::new(["allocator", "address range", "small blocks", "sparse blocks", "faults", "peak RSS"]);
    for allocator in &set.allocators {
        for wide in &allocator.wide {
            table.row([
                allocator.name.clone(),
                range(wide.range_kib),
                visit(wide.small),
                visit(wide.sparse),
                format!("{:.2}", wide.sparse_faults),
                Metric::Peak.shown(wide.peak_kib as f64),
            ]);
        }
    }
    if table.is_empty() {
        return String::new();
    }
    format!(
        "\n### A wide heap: ns for one visit to a random block that replaces it − one that only touches it\n\n\
         100 000 small blocks of 16 to 127 bytes, spread among sparse ones of 80 to 112 KiB with one touched page \
         each; faults are those of a sparse replacement.\n\n{table}"
    )
}

fn visit(visit: Visit) -> String {
    format!("{:.0} − {:.0}", visit.replace, visit.touch)
}

fn range(kib: u64) -> String {
    let mib = kib as f64 / 1024.0;
    if mib < 1024.0 { format!("{mib:.0} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;
    use crate::results::wide::Wide;

    #[test]
    fn narrow_and_wide_stand_below_each_other() {
        let mut set = example().sets.remove(0);
        assert_eq!(section(&set), "");
        let heap = |range_kib| Wide {
            sparse_blocks: 7,
            range_kib,
            small: Visit { touch: 5.0, replace: 15.4 },
            sparse: Visit { touch: 100.0, replace: 900.0 },
            sparse_faults: 0.25,
            peak_kib: 2048,
        };
        set.allocators[0].wide = vec![heap(96 << 10), heap(64 << 20)];
        let text = section(&set);
        assert!(text.contains("| brkmap | 96 MiB | 15 − 5 | 900 − 100 | 0.25 | 2.00 MiB |"), "{text}");
        assert!(text.contains("| brkmap | 64.0 GiB |") && !text.contains("| mimalloc |"), "{text}");
    }
}
