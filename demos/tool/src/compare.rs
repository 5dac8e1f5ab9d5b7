//! `brkmap compare`: the same requests put to several allocators.

use brkmap_base::Bytes;
use brkmap_base::error::{Error, Result};
use brkmap_core::keys::Key;
use brkmap_probe::scenario;
use clap::Args;
use serde_json::{Value, json};

use crate::comparison::{Comparison, Observed, PHASES, Row};
use crate::console::{self, JSON_SCHEMA};
use crate::contender::{self, Contender};
use crate::observe::{Cell, Served, observe};
use crate::variables::Configuration;
use crate::{explain, table};

#[derive(Args, Default)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The request sizes, for example 10,64K,10MiB (at most 1 GiB) [default: 10 B, 1 KiB, 64 KiB,
    /// 131071 B, 128 KiB, 1 MiB, 10 MiB]
    #[arg(long, value_name = "SIZE,..", value_delimiter = ',')]
    pub sizes: Vec<Bytes>,
    #[command(flatten)]
    pub contenders: contender::Arguments,
}

const HELP: &str = "\
Each size is put to each allocator in two fresh processes. One makes a first request, a second one \
while the first lives, frees both, and asks once more; the other lets one block grow by realloc to \
twice and to four times its size. Page faults are counted as A+B: A while the call ran, B while \
every page of the answer was then written to.

Examples:
  brkmap compare --sizes 100,32K,1.5MiB
  brkmap compare --only brkmap,glibc --json
  brkmap compare --with other=/opt/lib/libother.so";

/// What is asked when nobody says what: small, large, and both sides of 128 KiB, where mmap begins
/// by default in brkmap and in what mallopt(3) says of glibc.
const SIZES: [u64; 7] =
    [10, Bytes::KIB, 64 * Bytes::KIB, 128 * Bytes::KIB - 1, 128 * Bytes::KIB, Bytes::MIB, 10 * Bytes::MIB];
/// Every page is touched, of four times the size at the end: this much fits machines of today.
const LARGEST: u64 = Bytes::GIB;

/// The keys that are not as they are by default, and who set them.
fn set(configuration: &Configuration) -> Vec<String> {
    let sentence = |key: Key| {
        let (value, by) = configuration.value(key);
        format!("brkmap's {} is {value}, by {by}.", key.row().name)
    };
    configuration.set().map(sentence).collect()
}

pub fn run(args: &Arguments, json: bool) -> Result<i32> {
    let sizes = sizes(&args.sizes)?;
    let contenders = Contender::chosen(&args.contenders)?;
    let default_settings = std::env::vars_os()
        .all(|(name, _)| name != "GLIBC_TUNABLES" && !name.as_encoded_bytes().starts_with(b"MALLOC_"));
    let mut comparison =
        Comparison { sizes, rows: Vec::new(), default_settings, set: set(&Configuration::own()) };
    for contender in &contenders {
        comparison.rows.push(ask(contender, &comparison.sizes)?);
    }
    let words = explain::words(&comparison);
    if json {
        console::json(&as_json(&comparison, &words))?;
    } else {
        table::print(&comparison, &words)?;
    }
    Ok(0)
}

fn sizes(asked: &[Bytes]) -> Result<Vec<Bytes>> {
    let mut sizes: Vec<Bytes> = if asked.is_empty() { SIZES.map(Bytes).to_vec() } else { asked.to_vec() };
    if let Some(bad) = sizes.iter().find(|size| !(1..=LARGEST).contains(&size.0)) {
        let most = Bytes(LARGEST);
        return Err(Error::Usage(format!(
            "--sizes {bad}: a request has at least 1 B, and here at most {most}"
        )));
    }
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

fn ask(contender: &Contender, sizes: &[Bytes]) -> Result<Row> {
    let observed = sizes.iter().map(|size| {
        let requests = observe(contender, scenario::REQUESTS, size.0)?;
        let growth = observe(contender, scenario::GROWTH, size.0)?;
        Ok(Observed { requests, growth })
    });
    let observed = observed.collect::<Result<_>>()?;
    Ok(Row { name: contender.name.clone(), kind: contender.kind, observed })
}

fn as_json(comparison: &Comparison, words: &[String]) -> Value {
    let allocators = comparison.rows.iter().map(|row| {
        let sizes = comparison.sizes.iter().zip(&row.observed).map(|(size, observed)| {
            let phases = PHASES.iter().filter_map(|(phase, _, key)| {
                Some(((*key).to_owned(), cell_as_json(observed.cell(*phase)?)))
            });
            json!({ "size": size, "phases": phases.collect::<serde_json::Map<_, _>>() })
        });
        json!({ "name": row.name, "kind": row.kind, "sizes": sizes.collect::<Vec<_>>() })
    });
    let allocators: Vec<_> = allocators.collect();
    json!({ "schema": JSON_SCHEMA, "tool": "compare", "allocators": allocators, "words": words })
}

fn cell_as_json(cell: &Cell) -> Value {
    let calls = cell.calls.iter().map(|call| {
        json!({
            "call": call.syscall.to_string(),
            "arguments": call.arguments(),
            "result": call.result(),
            "bytes": call.bytes(),
            "moved": call.moved(),
        })
    });
    let (served, mapping) = match cell.served {
        Served::Break => ("break", None),
        Served::Fresh { length } => ("new mapping", Some(length)),
        Served::Kept { length } => ("earlier mapping", Some(length)),
        Served::Elsewhere => ("elsewhere", None),
        Served::Refused => ("refused", None),
        Served::Nothing => ("nothing", None),
    };
    json!({
        "calls": calls.collect::<Vec<_>>(),
        "served_from": served,
        "mapping_bytes": mapping,
        "faults_in_call": cell.faults,
        "faults_touching": cell.touch_faults,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_sorted_and_asked_once() {
        let asked = ["1K", "10", "1024"].map(|text| text.parse().unwrap());
        assert_eq!(sizes(&asked).unwrap(), [Bytes(10), Bytes(1024)]);
        assert_eq!(sizes(&[]).unwrap().len(), SIZES.len());
    }

    #[test]
    fn sizes_out_of_range_are_refused_by_name() {
        for bad in [0, LARGEST + 1] {
            let error = sizes(&[Bytes(bad)]).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("at most 1 GiB"), "{error}");
        }
    }
}
