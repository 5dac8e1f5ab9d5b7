//! The tables of what threads cost each other.

use super::table::Table;
use crate::results::Set;
use crate::results::scaling::Scaling;

pub fn section(set: &Set) -> String {
    let all = || set.allocators.iter().flat_map(|allocator| &allocator.scaling);
    let Some(threads) = all().map(|scaling| scaling.threads).max() else { return String::new() };
    let mut workloads: Vec<&str> = Vec::new();
    for scaling in all() {
        if !workloads.contains(&scaling.workload.as_str()) {
            workloads.push(&scaling.workload);
        }
    }
    format!(
        "\n### Scaling: one thread's work against {threads} threads that each do as much\n\n\
         1.00: a thread does not notice the others; more is better. In parentheses the same for {threads} \
         processes of a thread each: what the machine itself loses.\n\n\
         Wall of the one / wall of all {threads}:\n\n{}\n\
         {threads} times the CPU of the one / CPU of all {threads}:\n\n{}",
        table(set, &workloads, Scaling::wall),
        table(set, &workloads, Scaling::cpu),
    )
}

fn table(set: &Set, workloads: &[&str], efficiency: fn(&Scaling) -> (f64, f64)) -> Table {
    let mut columns = vec!["allocator"];
    columns.extend(workloads);
    let mut table = Table::new(columns);
    for allocator in &set.allocators {
        let mut cells = vec![allocator.name.clone()];
        cells.extend(workloads.iter().map(|workload| {
            let found = allocator.scaling.iter().find(|scaling| scaling.workload == *workload);
            found.map(efficiency).map_or("–".into(), |(own, machine)| format!("{own:.2} ({machine:.2})"))
        }));
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;
    use crate::results::scaling::{Times, Ways};

    #[test]
    fn an_allocator_has_a_line_and_what_is_missing_shows() {
        let mut set = example().sets.remove(0);
        assert_eq!(section(&set), "");
        let times = |wall_ms, cpu_ms| Times { wall_ms, cpu_ms };
        let times =
            Ways { alone: times(90.0, 80.0), apart: times(100.0, 160.0), together: times(120.0, 200.0) };
        set.allocators[0].scaling.push(Scaling { workload: "churn".into(), threads: 2, times });
        let text = section(&set);
        assert!(text.contains("against 2 threads"), "{text}");
        assert!(text.contains("| allocator | churn |"), "{text}");
        assert!(text.contains("| brkmap | 0.75 (0.90) |\n| mimalloc | – |"), "{text}");
        assert!(text.contains("| brkmap | 0.80 (1.00) |\n| mimalloc | – |"), "{text}");
    }
}
