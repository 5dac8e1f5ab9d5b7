//! Sites: stacks of names, and what came from each.

use std::collections::BTreeMap;

use brkmap_base::error::Result;

use super::Value;
use super::proto::Profile;
use super::symbols::Symbols;

/// What a site has: bytes allocated, live, and asked for of these; and how far off the first two may be, as squares.
#[derive(Clone, Copy, Default)]
struct Figures {
    values: [f64; 3],
    squares: [f64; 2],
    samples: [f64; 2],
}

pub struct Sites {
    /// By their stacks, the outermost caller first.
    sites: BTreeMap<Vec<String>, Figures>,
}

/// How functions of allocators begin: what is between the program and its memory is left out.
const ALLOCATORS: [&str; 14] = [
    "brkmap::",
    "<brkmap::",
    "__rust_alloc",
    "__rust_realloc",
    "__rustc::__rust",
    "__rustc[",
    "__rdl_",
    "__rg_",
    "alloc::alloc::",
    "<alloc::alloc::Global",
    "malloc",
    "calloc",
    "realloc",
    "__libc_",
];

fn is_allocator(name: &str) -> bool {
    ALLOCATORS.iter().any(|begin| name.starts_with(begin)) && name != "__libc_start_main"
}

/// How many names of one place are an allocator's, from the innermost. What is inlined into a function of an allocator
/// is the allocator's too, whatever it is called.
fn own_names(names: &[String]) -> usize {
    match names.last() {
        Some(outermost) if is_allocator(outermost) => names.len(),
        _ => names.iter().take_while(|name| is_allocator(name)).count(),
    }
}

impl Sites {
    /// Those of a profile, and the files whose names could not be found.
    pub fn of(profile: &Profile) -> Result<(Sites, Vec<String>)> {
        let places = ["alloc_space", "inuse_space", "inuse_requested"].map(|name| profile.place_of(name));
        let objects = ["alloc_objects", "inuse_objects"].map(|name| profile.place_of(name));
        let locations: BTreeMap<_, _> = profile.location.iter().map(|place| (place.id, place)).collect();
        let mappings: BTreeMap<_, _> = profile.mapping.iter().map(|mapping| (mapping.id, mapping)).collect();
        let functions: BTreeMap<_, _> =
            profile.function.iter().map(|function| (function.id, function)).collect();
        let (mut symbols, mut known) = (Symbols::of(profile), BTreeMap::new());
        let mut sites = BTreeMap::<Vec<String>, Figures>::new();
        for sample in &profile.sample {
            let (mut stack, mut inner) = (Vec::new(), 0);
            for id in &sample.location_id {
                let Some(&place) = locations.get(id) else { continue };
                let names = known.entry(*id).or_insert_with(|| {
                    let named = place.line.iter().filter_map(|line| functions.get(&line.function_id));
                    let named: Vec<_> =
                        named.map(|function| profile.text(function.name).to_owned()).collect();
                    if named.is_empty() {
                        symbols.names(mappings.get(&place.mapping_id).copied(), place.address)
                    } else {
                        named
                    }
                });
                // As long as all are the allocator's.
                if inner == stack.len() {
                    inner += own_names(names);
                }
                stack.extend(names.iter().cloned());
            }
            stack.drain(..inner.min(stack.len().saturating_sub(1)));
            stack.reverse();
            let figures = sites.entry(stack).or_default();
            let value = |place: Option<usize>| {
                place.and_then(|at| sample.value.get(at)).map_or(0.0, |&value| value as f64)
            };
            for (sum, place) in figures.values.iter_mut().zip(places) {
                *sum += value(place);
            }
            for (kind, (squares, samples)) in figures.squares.iter_mut().zip(&mut figures.samples).enumerate()
            {
                // Of n blocks of s bytes one in w was seen: n / w samples, whose count is off by its root.
                let (bytes, blocks) = (value(places[kind]), value(objects[kind]));
                let size = if blocks > 0.0 { bytes / blocks } else { continue };
                let share = 1.0 - (-size / profile.period.max(1) as f64).exp();
                *squares += bytes * size * (1.0 - share) / share;
                *samples += blocks * share;
            }
        }
        Ok((Sites { sites }, symbols.unknown()))
    }

    /// What is more than in another profile, and less: by names, since addresses differ from run to run.
    pub fn minus(mut self, base: &Sites) -> Sites {
        for (stack, figures) in &base.sites {
            let own = self.sites.entry(stack.clone()).or_default();
            own.values.iter_mut().zip(figures.values).for_each(|(value, less)| *value -= less);
            own.squares.iter_mut().zip(figures.squares).for_each(|(square, more)| *square += more);
        }
        self
    }

    pub fn total(&self, value: Value) -> f64 {
        self.sites.values().map(|figures| figures.values[value as usize]).sum()
    }

    /// A standard deviation of the total.
    pub fn about(&self, value: Value) -> f64 {
        let kind = (value as usize).min(1);
        self.sites.values().map(|figures| figures.squares[kind]).sum::<f64>().sqrt()
    }

    /// From how many samples it comes.
    pub fn samples(&self, value: Value) -> u64 {
        let kind = (value as usize).min(1);
        self.sites.values().map(|figures| figures.samples[kind]).sum::<f64>().round() as u64
    }

    /// Stacks with a value of theirs.
    pub fn with(&self, value: Value) -> impl Iterator<Item = (&[String], f64)> {
        let of = move |figures: &Figures| figures.values[value as usize];
        let sites = self.sites.iter().map(move |(stack, figures)| (stack.as_slice(), of(figures)));
        sites.filter(|(_, bytes)| *bytes != 0.0)
    }

    /// Stacks with all values.
    pub fn rows(&self) -> impl Iterator<Item = (&[String], [f64; 3])> {
        self.sites.iter().map(|(stack, figures)| (stack.as_slice(), figures.values))
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{Location, Sample, ValueType};
    use super::*;

    /// A profile without mappings: of each stack its addresses, and what was allocated and is live.
    fn profile(samples: &[(&[u64], i64, i64)]) -> Profile {
        let texts = ["", "alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "inuse_requested"];
        Profile {
            sample_type: (1..6).map(|kind| ValueType { kind, unit: 0 }).collect(),
            sample: samples
                .iter()
                .map(|(stack, allocated, live)| Sample {
                    location_id: stack.to_vec(),
                    value: vec![*allocated / 10, *allocated, *live / 10, *live, *live],
                })
                .collect(),
            location: (1..20).map(|id| Location { id, address: id * 16, ..Location::default() }).collect(),
            string_table: texts.map(str::to_owned).to_vec(),
            period: 100,
            ..Profile::default()
        }
    }

    #[test]
    fn stacks_are_added_up_and_taken_from_each_other() {
        let (one, _) =
            Sites::of(&profile(&[(&[1, 2], 1000, 500), (&[3, 2], 200, 0), (&[1, 2], 10, 10)])).unwrap();
        let (other, _) = Sites::of(&profile(&[(&[1, 2], 1000, 700), (&[4, 2], 50, 50)])).unwrap();
        assert_eq!((one.total(Value::Allocated), one.total(Value::Live)), (1210.0, 510.0));
        let rows: Vec<_> = one.with(Value::Live).map(|(stack, live)| (stack.join(" "), live)).collect();
        assert_eq!(rows, [("0x20 0x10".to_owned(), 510.0)]);
        let less = one.minus(&other);
        let rows: Vec<_> = less.with(Value::Live).map(|(stack, live)| (stack.join(" "), live)).collect();
        assert_eq!(rows, [("0x20 0x10".to_owned(), -190.0), ("0x20 0x40".to_owned(), -50.0)]);
        // 10 bytes of 100: about one in ten was a sample.
        assert!(
            (100..130).contains(&other.samples(Value::Allocated)) || other.samples(Value::Allocated) == 10
        );
    }

    #[test]
    fn allocators_are_told_from_programs() {
        for name in
            ["malloc", "brkmap::process::alloc_class", "alloc::alloc::exchange_malloc", "__libc_calloc"]
        {
            assert!(is_allocator(name), "{name}");
        }
        for name in ["main", "alloc::vec::Vec<T>::push", "__libc_start_main", "my_malloc"] {
            assert!(!is_allocator(name), "{name}");
        }
        let own = |names: [&str; 3]| own_names(&names.map(str::to_owned));
        assert_eq!(own(["stack", "take", "brkmap::process::alloc_class"]), 3);
        assert_eq!(own(["malloc", "strdup", "main"]), 1);
        assert_eq!(own(["push", "malloc", "main"]), 0);
    }
}
