//! Two allocators beside each other: the clock's ratio with its interval, and the account.

use brkmap_race::course::Ended;
use brkmap_race::interval::Interval;
use brkmap_race::picture;

use super::plot::{Of, Plot};
use super::table::Table;
use super::{stem, title};
use crate::results::account::Account;
use crate::results::paired::{Paired, PairedRow};
use crate::results::{Results, Set};

const NONE: &str = "–";

fn set_of<'a>(results: &'a Results, paired: &Paired) -> Option<&'a Set> {
    results.sets.iter().find(|set| set.kind == paired.kind)
}

pub fn sections(results: &Results, plots: &[Plot]) -> String {
    let each =
        results.pairs.iter().filter_map(|paired| Some(section(paired, set_of(results, paired)?, plots)));
    each.collect()
}

fn section(paired: &Paired, set: &Set, plots: &[Plot]) -> String {
    let (one, other) = (&paired.one, &paired.other);
    let mut text = format!("\n## {}: {one} to {other}, by pairs\n", title(paired.kind));
    text += &format!(
        "\nOne after another in turn. A ratio is the median of the ratios of each pair, in brackets its 95 % interval. \
         Modelled CPU is the account below, each count times its cost.\n\n**{}**\n",
        means(paired, set)
    );
    let file = file(paired);
    text += &plots
        .iter()
        .filter(|plot| plot.file == file)
        .map(|plot| format!("\n![{}]({file})\n", plot.title))
        .collect::<String>();
    let columns = ["row", "CPU", "wall", "peak RSS", "faults", "modelled CPU", "own instructions", ""];
    let mut table = Table::new(columns);
    for row in &paired.rows {
        let modelled = paired.modelled(set, &row.name);
        let modelled = modelled.map_or(NONE.to_owned(), |(one, other)| {
            format!("{:.3} ({} and {} ms)", one / other, digits(one), digits(other))
        });
        let own = paired.own(set, &row.name).map_or(NONE.to_owned(), |(one, other)| {
            let million = |count: u64| digits(count as f64 / 1e6);
            format!("{:.3} ({} and {} M)", one as f64 / other as f64, million(one), million(other))
        });
        let intervals = [row.cpu, row.wall, row.peak, row.faults].map(shown);
        table.row([std::slice::from_ref(&row.name), &intervals[..], &[modelled, own, rounds(row)]].concat());
    }
    text += &format!("\n{table}");
    text + &account(paired, set) + &functions(paired, set) + &costs(paired)
}

fn means(paired: &Paired, set: &Set) -> String {
    let clock = paired.mean(set).map_or_else(
        || "CPU: too few rounds in some row for a mean".to_owned(),
        |mean| format!("CPU, geometric mean over the rows: {}", shown(Some(mean))),
    );
    let modelled =
        paired.modelled_mean(set).map_or(String::new(), |mean| format!("; modelled CPU: {mean:.3}"));
    let own = paired.own_mean(set).map_or(String::new(), |mean| format!("; own instructions: {mean:.3}"));
    clock + &modelled + &own
}

fn shown(interval: Option<Interval>) -> String {
    interval.map_or(NONE.to_owned(), |Interval { middle, low, high }| {
        format!("{middle:.3} ({low:.3} to {high:.3})")
    })
}

fn rounds(row: &PairedRow) -> String {
    let why = match row.ended {
        Ended::Narrow => "",
        Ended::OutOfTime => ", time up",
        Ended::OutOfRounds => ", no more rounds",
        Ended::Interrupted => ", interrupted",
    };
    let rounds = if row.rounds == 1 { "round" } else { "rounds" };
    format!("{} {rounds}{why}", row.rounds)
}

fn digits(value: f64) -> String {
    let decimals = if value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.decimals$}")
}

/// Each row that was counted, with both allocators.
fn accounts<'a>(paired: &'a Paired, set: &'a Set) -> Vec<(&'a str, [&'a Account; 2])> {
    let of = |row: &'a PairedRow| {
        let cells = &set.rows.iter().find(|known| known.name == row.name)?.cells;
        let both = [&paired.one, &paired.other].map(|name| cells.get(name)?.account.as_ref());
        Some((row.name.as_str(), [both[0]?, both[1]?]))
    };
    paired.rows.iter().filter_map(of).collect()
}

fn account(paired: &Paired, set: &Set) -> String {
    let columns = [
        "row",
        "allocator",
        "own instructions",
        "of all",
        "cleared",
        "copied",
        "small faults",
        "huge",
        "copied faults",
        "calls",
        "modelled: program",
        "own",
        "bytes",
        "faults",
        "calls",
    ];
    let mut table = Table::new(columns);
    let million = |count: u64| format!("{} M", digits(count as f64 / 1e6));
    let mib = |bytes: u64| format!("{} MiB", digits(bytes as f64 / f64::from(1 << 20)));
    for (row, both) in accounts(paired, set) {
        for (name, account) in [&paired.one, &paired.other].into_iter().zip(both) {
            let modelled = account.modelled(&paired.calibration.clone().unwrap_or_default());
            let milliseconds =
                [modelled.program, modelled.own, modelled.bytes, modelled.faults, modelled.calls];
            let counts = [
                million(account.own),
                million(account.instructions),
                mib(account.clearing.bytes),
                mib(account.copying.bytes),
                account.small_faults.to_string(),
                account.huge_faults.to_string(),
                account.copied_faults.to_string(),
                account.calls.values().sum::<u64>().to_string(),
            ];
            let names = [row.to_owned(), name.clone()];
            table.row(
                [&names[..], &counts[..], &milliseconds.map(|time| format!("{} ms", digits(time)))[..]]
                    .concat(),
            );
        }
    }
    if table.is_empty() {
        return String::new();
    }
    let scale = accounts(paired, set).first().map_or(0, |(_, both)| both[0].scale);
    format!(
        "\n### The account: {scale} % of a full run, once\n\nThe allocator's own instructions by callgrind, without \
         those of memset and memcpy, whose bytes are estimated from them. Huge faults are the whole machine\u{2019}s. Copied \
         faults are of files\u{2019} pages; those after a fork count as small.\n\n{table}"
    )
}

/// Where the own instructions are, over all rows.
fn functions(paired: &Paired, set: &Set) -> String {
    let accounts = accounts(paired, set);
    if accounts.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["allocator", "own instructions by function"]);
    for (place, name) in [&paired.one, &paired.other].into_iter().enumerate() {
        let mut sums: Vec<(&str, u64)> = Vec::new();
        for (function, count) in accounts.iter().flat_map(|(_, both)| &both[place].functions) {
            match sums.iter_mut().find(|(known, _)| known == function) {
                Some((_, sum)) => *sum += count,
                None => sums.push((function, *count)),
            }
        }
        let all = sums.iter().map(|(_, count)| count).sum::<u64>().max(1);
        sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let part =
            |(function, count): &(&str, u64)| format!("`{function}` {} %", (count * 100 + all / 2) / all);
        table.row([name.clone(), sums.iter().take(10).map(part).collect::<Vec<_>>().join(", ")]);
    }
    let table = table.to_string().replace("| --- | ---: |", "| --- | --- |");
    format!("\n{table}")
}

fn costs(paired: &Paired) -> String {
    let Some(costs) = &paired.calibration else { return String::new() };
    let mut table = Table::new(["one of these", "ns"]);
    let mut row = |name: &str, cost: f64| table.row([name.to_owned(), format!("{cost:.3}")]);
    row("instruction", costs.instruction);
    row("small fault, with its way back", costs.small_fault);
    costs.huge_fault.into_iter().for_each(|cost| row("huge fault, with its way back", cost));
    row("copied fault, with its way back", costs.copied_fault);
    costs.calls.iter().for_each(|(name, cost)| row(name, *cost));
    row("cleared byte", costs.cleared_byte);
    row("copied byte", costs.copied_byte);
    format!("\n### What a count costs here\n\n{table}")
}

fn file(paired: &Paired) -> String {
    format!("{}-{}-to-{}.svg", stem(paired.kind), paired.one, paired.other)
}

pub fn plots(results: &Results) -> Vec<Plot> {
    results.pairs.iter().filter_map(|paired| plot(paired, set_of(results, paired)?)).collect()
}

fn plot(paired: &Paired, set: &Set) -> Option<Plot> {
    let entry = |label: &str, interval| picture::Entry {
        label: label.into(),
        allocator: paired.one.clone(),
        interval,
    };
    let mut entries: Vec<_> = paired.rows.iter().filter_map(|row| Some(entry(&row.name, row.cpu?))).collect();
    if entries.is_empty() {
        return None;
    }
    entries.extend(paired.mean(set).map(|mean| entry("geometric mean", mean)));
    let title = format!("{}: CPU of {} by pairs", title(paired.kind), paired.one);
    let axis = format!("CPU time as a ratio, {} = 1; less is better; 95 % intervals", paired.other);
    match picture::draw(&title, &axis, &entries) {
        Ok(svg) => Some(Plot { kind: paired.kind, of: Of::Pair, file: file(paired), title, svg }),
        Err(error) => {
            eprintln!("matrix: the pairs cannot be drawn: {error}");
            None
        }
    }
}

/// For the terminal: a line a row.
pub fn summary(results: &Results) -> String {
    let mut text = String::new();
    for paired in &results.pairs {
        let Some(set) = set_of(results, paired) else { continue };
        text += &format!("{}: {} to {}\n", title(paired.kind), paired.one, paired.other);
        for row in &paired.rows {
            let modelled = paired.modelled(set, &row.name);
            let modelled =
                modelled.map_or(String::new(), |(one, other)| format!("  modelled {:.3}", one / other));
            text += &format!("  {:12} {:24}{modelled}  {}\n", row.name, shown(row.cpu), rounds(row));
        }
        text += &format!("  {}\n", means(paired, set));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::paired::tests::paired;

    #[test]
    fn a_pair_has_its_ratio_its_account_and_its_costs() {
        let results = paired();
        let page = sections(&results, &plots(&results));
        for part in [
            "## Inside Rust programs: brkmap to mimalloc, by pairs",
            "0.500 (0.490 to 0.520)",
            "CPU, geometric mean over the rows: 0.500",
            "own instructions: 0.333",
            "| 0.333 (1.00 and 3.00 M) |",
            "![Inside Rust programs: CPU of brkmap by pairs](rust-brkmap-to-mimalloc.svg)",
            "| pairs | brkmap | 1.00 M | 11.0 M | 9.54 MiB | 4.77 MiB | 1000 | 3 | 100 | 15 |",
            "`malloc` 100 %",
            "| huge fault, with its way back | 100000.000 |",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(
            summary(&results).contains("pairs        0.500 (0.490 to 0.520)    modelled"),
            "{}",
            summary(&results)
        );
    }

    #[test]
    fn a_pair_is_drawn_with_its_mean() {
        let plots = plots(&paired());
        assert_eq!(plots.len(), 1);
        assert!(plots[0].svg.contains("geometric mean") && plots[0].svg.contains("mimalloc = 1"));
    }
}
