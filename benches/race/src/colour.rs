//! The colour of an allocator: the same in every picture, whoever else is in it.

use plotters::style::RGBColor;

/// Told apart by people who see few colours too; versions of one allocator are shades of one colour.
const KNOWN: [(&str, RGBColor); 16] = [
    ("brkmap", RGBColor(213, 94, 0)),
    ("brkmap-override", RGBColor(240, 160, 100)),
    ("glibc", RGBColor(90, 90, 90)),
    ("system", RGBColor(90, 90, 90)),
    ("musl", RGBColor(90, 90, 90)),
    ("mimalloc", RGBColor(0, 114, 178)),
    ("mimalloc-2.0", RGBColor(86, 180, 233)),
    ("mimalloc-v2", RGBColor(86, 180, 233)),
    ("jemalloc", RGBColor(0, 158, 115)),
    ("snmalloc", RGBColor(204, 121, 167)),
    ("tcmalloc", RGBColor(230, 159, 0)),
    ("rusty_alloc", RGBColor(140, 86, 75)),
    ("rpmalloc", RGBColor(148, 103, 189)),
    ("smmalloc", RGBColor(170, 170, 60)),
    ("dlmalloc", RGBColor(60, 60, 140)),
    ("tbbmalloc", RGBColor(0, 90, 90)),
];

/// For names that are nobody's.
const OTHERS: [RGBColor; 4] =
    [RGBColor(180, 40, 90), RGBColor(100, 140, 20), RGBColor(30, 30, 30), RGBColor(120, 170, 170)];

pub fn of(name: &str) -> RGBColor {
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.map_or_else(
        || OTHERS[name.bytes().fold(0usize, |sum, byte| sum + usize::from(byte)) % OTHERS.len()],
        |(_, colour)| *colour,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocators_of_one_set_have_colours_of_their_own() {
        let sets: [&[&str]; 2] = [
            &[
                "brkmap",
                "brkmap-override",
                "system",
                "mimalloc",
                "mimalloc-v2",
                "jemalloc",
                "snmalloc",
                "rusty_alloc",
                "smmalloc",
                "dlmalloc",
            ],
            &["brkmap", "glibc", "mimalloc", "mimalloc-2.0", "jemalloc", "tcmalloc", "tbbmalloc", "rpmalloc"],
        ];
        for set in sets {
            let mut colours: Vec<_> = set.iter().map(|name| of(name)).map(|c| (c.0, c.1, c.2)).collect();
            colours.sort_unstable();
            colours.dedup();
            assert_eq!(colours.len(), set.len());
        }
        assert_eq!(of("mine"), of("mine"));
    }
}
