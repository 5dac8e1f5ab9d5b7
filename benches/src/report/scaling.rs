//! The table of what threads cost each other.

use super::table::Table;
use crate::results::Set;

pub fn section(set: &Set) -> String {
    let all = || set.allocators.iter().flat_map(|allocator| &allocator.scaling);
    let Some(threads) = all().map(|scaling| scaling.threads).max() else { return String::new() };
    let mut workloads: Vec<&str> = Vec::new();
    for scaling in all() {
        if !workloads.contains(&scaling.workload.as_str()) {
            workloads.push(&scaling.workload);
        }
    }
    let mut columns = vec!["allocator"];
    columns.extend(&workloads);
    let mut table = Table::new(columns);
    for allocator in &set.allocators {
        let mut cells = vec![allocator.name.clone()];
        cells.extend(workloads.iter().map(|workload| {
            let found = allocator.scaling.iter().find(|scaling| scaling.workload == *workload);
            found.map_or("–".into(), |it| format!("{:.2} ({:.2})", it.efficiency(), it.machine()))
        }));
        table.row(cells);
    }
    format!(
        "\n### Scaling: wall of one thread's work alone / wall of {threads} threads that each do as much\n\n\
         1.00: a thread does not notice the others; more is better. In parentheses the same for {threads} \
         processes of a thread each: what the machine itself loses.\n\n{table}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;
    use crate::results::scaling::Scaling;

    #[test]
    fn an_allocator_has_a_line_and_what_is_missing_shows() {
        let mut set = example().sets.remove(0);
        assert_eq!(section(&set), "");
        set.allocators[0].scaling.push(Scaling {
            workload: "churn".into(),
            threads: 2,
            alone_ms: 90.0,
            apart_ms: 100.0,
            together_ms: 120.0,
        });
        let text = section(&set);
        assert!(text.contains("wall of 2 threads"), "{text}");
        assert!(text.contains("| allocator | churn |"), "{text}");
        assert!(text.contains("| brkmap | 0.75 (0.90) |\n| mimalloc | – |"), "{text}");
    }
}
