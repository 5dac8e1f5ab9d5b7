//! `brkmap compare`: the same requests put to several allocators.

use serde_json::{Value, json};

use super::JSON_SCHEMA;
use super::bytes::Bytes;
use super::cli::CompareArgs;
use super::console;
use super::contender::{Contender, Kind};
use super::error::{Error, Result};
use super::explain;
use super::marker::Phase;
use super::observe::{Cell, Observation, Served, observe};
use super::probe::scenario;
use super::table;

/// What is asked when nobody says what: small, large, and both sides of 128 KiB, where mmap begins
/// by default in brkmap and in what mallopt(3) says of glibc.
const SIZES: [u64; 7] =
    [10, Bytes::KIB, 64 * Bytes::KIB, 128 * Bytes::KIB - 1, 128 * Bytes::KIB, Bytes::MIB, 10 * Bytes::MIB];
/// Every page is touched, of four times the size at the end: this much fits machines of today.
const LARGEST: u64 = Bytes::GIB;

/// One allocator's answers, one pair of observations for each size.
pub struct Row {
    pub name: String,
    pub kind: Kind,
    pub observed: Vec<Observed>,
}

/// What one allocator did at one size.
pub struct Observed {
    pub requests: Observation,
    pub growth: Observation,
}

/// The phases that are shown: what the table calls them, and what the JSON document does.
pub const PHASES: [(Phase, &str, &str); 6] = [
    (Phase::First, "first", "first"),
    (Phase::Second, "second", "second"),
    (Phase::FreeBoth, "free both", "free_both"),
    (Phase::Again, "again", "again"),
    (Phase::Double, "grow ×2", "grow_2x"),
    (Phase::Quadruple, "grow ×4", "grow_4x"),
];

impl Observed {
    pub fn cell(&self, phase: Phase) -> Option<&Cell> {
        self.requests.cell(phase).or_else(|| self.growth.cell(phase))
    }
}

pub struct Comparison {
    pub sizes: Vec<Bytes>,
    pub rows: Vec<Row>,
    /// libc's allocator was not set from outside.
    pub default_settings: bool,
}

pub fn run(args: &CompareArgs, json: bool) -> Result<i32> {
    let sizes = sizes(&args.sizes)?;
    let contenders = Contender::chosen(&args.contenders)?;
    let default_settings = std::env::vars_os()
        .all(|(name, _)| name != "GLIBC_TUNABLES" && !name.as_encoded_bytes().starts_with(b"MALLOC_"));
    let mut comparison = Comparison { sizes, rows: Vec::new(), default_settings };
    for contender in &contenders {
        comparison.rows.push(ask(contender, &comparison.sizes)?);
    }
    let words = explain::words(&comparison);
    if json {
        console::json(&as_json(&comparison, &words))?;
    } else {
        table::print(&comparison, &words);
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
            "call": call.syscall.name(),
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
