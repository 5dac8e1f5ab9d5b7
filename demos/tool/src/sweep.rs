//! `brkmap sweep`: the sizes at which an allocator changes its choice.

use std::collections::BTreeMap;

use brkmap_base::Bytes;
use brkmap_base::error::{Error, Result};
use brkmap_base::output;
use brkmap_base::style::{FAILURE, paint};
use brkmap_base::wrap::wrap;
use brkmap_probe::marker::Phase;
use brkmap_probe::scenario;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::console::{self, JSON_SCHEMA};
use crate::contender::{self, Contender};
use crate::observe::{Served, observe};

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The smallest request
    #[arg(long, value_name = "SIZE", default_value = "1")]
    pub from: Bytes,
    /// The largest request
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub to: Bytes,
    #[command(flatten)]
    pub contenders: contender::Arguments,
}

const HELP: &str = "\
The choice is that for the last of several live requests of one size, together 256 KiB and at least \
two, in a fresh process: the first ones can come out of what the allocator sets up for itself. Powers \
of two are asked first; between two neighbours that are answered differently the boundary is found by \
bisection, and both its sides are asked again. A change and a change back between two powers of two \
is not seen.

Examples:
  brkmap sweep
  MALLOC_MMAP_THRESHOLD_=65536 brkmap sweep --only glibc
  brkmap sweep --from 1K --to 1M
  brkmap sweep --with other=/opt/lib/libother.so";

/// Where the last of several live requests of one size is served from, in a fresh process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Break,
    #[serde(rename = "new mapping")]
    NewMapping,
    #[serde(rename = "earlier mapping")]
    EarlierMapping,
    Elsewhere,
    Refused,
}

impl Choice {
    fn words(self) -> &'static str {
        match self {
            Choice::Break => "the break (brk)",
            Choice::NewMapping => "a new mapping (mmap)",
            Choice::EarlierMapping => "a mapping made before it",
            Choice::Elsewhere => "neither break nor mapping",
            Choice::Refused => "nowhere: it is refused",
        }
    }
}

/// Sizes that are served alike.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Stretch {
    from: Bytes,
    to: Bytes,
    served_from: Choice,
}

/// An address space of 47 bits ends here, and no machine's memory reaches it.
const LARGEST: u64 = 1 << 46;

pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let (from, to) = (args.from, args.to);
    if from.0 == 0 || from >= to || to.0 > LARGEST {
        let most = Bytes(LARGEST);
        return Err(Error::Usage(format!(
            "--from {from} --to {to}: sizes go from at least 1 B up to a larger one, at most {most}"
        )));
    }
    let mut found = Vec::new();
    for contender in Contender::chosen(&args.contenders)? {
        let stretches = stretches(from.0, to.0, |size| ask(&contender, size))
            .map_err(|error| Error::Failed(format!("{}: {error}", contender.name)))?;
        found.push((contender.name, stretches));
    }
    if json {
        let allocators: Vec<_> =
            found.iter().map(|(name, stretches)| json!({ "name": name, "stretches": stretches })).collect();
        console::json(&json!({ "schema": JSON_SCHEMA, "tool": "sweep", "allocators": allocators }))?;
    } else {
        print(&found)?;
    }
    Ok(0)
}

fn ask(contender: &Contender, size: u64) -> Result<Choice> {
    let observation = observe(contender, scenario::CHOICE, size)?;
    let cell = observation.cell(Phase::Second);
    Ok(match cell.map(|cell| cell.served).unwrap_or_default() {
        Served::Break => Choice::Break,
        Served::Fresh { .. } => Choice::NewMapping,
        Served::Kept { .. } => Choice::EarlierMapping,
        Served::Elsewhere => Choice::Elsewhere,
        Served::Refused | Served::Nothing => Choice::Refused,
    })
}

/// Asks the powers of two between `from` and `to`, bisects between neighbours that differ, and asks
/// both sides of each boundary once more.
fn stretches(from: u64, to: u64, mut ask: impl FnMut(u64) -> Result<Choice>) -> Result<Vec<Stretch>> {
    let powers = (0..64).map(|shift| 1u64 << shift).filter(|power| (from + 1..to).contains(power));
    let mut known = BTreeMap::new();
    for size in [from].into_iter().chain(powers).chain([to]) {
        known.insert(size, ask(size)?);
    }
    let grid: Vec<(u64, Choice)> = known.into_iter().collect();
    let mut stretches = vec![Stretch { from: Bytes(from), to: Bytes(to), served_from: grid[0].1 }];
    for pair in grid.windows(2) {
        let (mut low, mut high) = (pair[0], pair[1]);
        // Between two sizes that differ there is a change; a third answer on the way moves the
        // near end to it, and the rest is looked through from there.
        while low.1 != pair[1].1 {
            while high.0 - low.0 > 1 {
                let middle = low.0 + (high.0 - low.0) / 2;
                let choice = ask(middle)?;
                if choice == low.1 { low.0 = middle } else { high = (middle, choice) }
            }
            for (size, choice) in [low, high] {
                let again = ask(size)?;
                if again != choice {
                    return Err(Error::Failed(format!(
                        "{} is served from {} once and from {} another time: there is no fixed boundary",
                        Bytes(size),
                        choice.words(),
                        again.words()
                    )));
                }
            }
            stretches.last_mut().expect("there is a first").to = Bytes(low.0);
            stretches.push(Stretch { from: Bytes(high.0), to: Bytes(to), served_from: high.1 });
            (low, high) = (high, pair[1]);
        }
    }
    Ok(stretches)
}

fn print(found: &[(String, Vec<Stretch>)]) -> Result<()> {
    let mut table = console::table(["allocator", "from", "to", "served from"].map(str::to_owned));
    for (name, stretches) in found {
        for (at, stretch) in stretches.iter().enumerate() {
            let style = match stretch.served_from {
                Choice::Break => console::BREAK,
                Choice::NewMapping | Choice::EarlierMapping => console::MAPPING,
                Choice::Elsewhere | Choice::Refused => FAILURE,
            };
            table.add_row([
                comfy_table::Cell::new(if at == 0 { name } else { "" }),
                console::right(stretch.from),
                console::right(stretch.to),
                comfy_table::Cell::new(paint(style, stretch.served_from.words())),
            ]);
        }
    }
    output::line(format_args!("{}\n", table.trim_fmt()))?;
    for (name, stretches) in found {
        let boundaries: Vec<_> = stretches.iter().skip(1).map(|stretch| stretch.from.to_string()).collect();
        let text = if boundaries.is_empty() {
            format!("{name} does not change its choice between these sizes.")
        } else {
            format!("{name} changes its choice at {}; both sides were asked twice.", boundaries.join(", "))
        };
        output::line(wrap(&text, output::width(), ""))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swept(from: u64, to: u64, choice: impl Fn(u64) -> Choice) -> Vec<(u64, u64, Choice)> {
        let found = stretches(from, to, |size| Ok(choice(size))).unwrap();
        found.into_iter().map(|stretch| (stretch.from.0, stretch.to.0, stretch.served_from)).collect()
    }

    #[test]
    fn a_boundary_is_found_to_the_byte_wherever_it_is() {
        for boundary in [2, 3, 1000, 131_049, 131_072, 131_073, 999_999] {
            let choice = |size| if size < boundary { Choice::Break } else { Choice::NewMapping };
            let expected = [(1, boundary - 1, Choice::Break), (boundary, 1_000_000, Choice::NewMapping)];
            assert_eq!(swept(1, 1_000_000, choice), expected);
        }
    }

    #[test]
    fn several_boundaries_are_found_even_between_two_powers() {
        let choice = |size| match size {
            0..700 => Choice::EarlierMapping,
            700..900 => Choice::Break,
            _ => Choice::NewMapping,
        };
        let expected =
            [(1, 699, Choice::EarlierMapping), (700, 899, Choice::Break), (900, 4096, Choice::NewMapping)];
        assert_eq!(swept(1, 4096, choice), expected);
    }

    #[test]
    fn no_change_is_one_stretch() {
        assert_eq!(swept(5, 6, |_| Choice::Break), [(5, 6, Choice::Break)]);
    }

    #[test]
    fn an_allocator_that_wavers_is_reported() {
        let mut asked = 0;
        let error = stretches(1, 1024, |size| {
            asked += 1;
            Ok(if size < 300 || asked > 20 { Choice::Break } else { Choice::NewMapping })
        });
        assert!(error.unwrap_err().to_string().contains("no fixed boundary"));
    }
}
