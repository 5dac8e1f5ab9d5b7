//! The legend: beside the chart, never in it.

use brkmap_race::colour;
use plotters::prelude::*;

use super::{Area, Drawn};
use crate::results::Set;

const LINE: i32 = 20;
const LEFT: i32 = 8;
const MARK: i32 = 14;

pub struct Entry {
    pub text: String,
    pub colour: RGBColor,
}

pub struct Legend(pub Vec<Entry>);

impl Legend {
    /// Each allocator in its colour.
    pub fn allocators(set: &Set) -> Legend {
        let names = set.allocators.iter().map(|allocator| allocator.name.clone());
        Legend(names.map(|text| Entry { colour: colour::of(&text), text }).collect())
    }

    /// Enough for the longest text: seven pixels a letter, and some air.
    pub fn width(&self) -> u32 {
        let longest = self.0.iter().map(|entry| entry.text.chars().count()).max().unwrap_or(0);
        (LEFT + MARK) as u32 + 22 + 7 * longest as u32
    }

    pub fn draw(&self, area: &Area<'_>) -> Drawn {
        for (line, entry) in self.0.iter().enumerate() {
            let y = 16 + LINE * line as i32;
            let mark = [(LEFT, y - 5), (LEFT + MARK, y + 5)];
            area.draw(&Rectangle::new(mark, entry.colour.filled()))?;
            area.draw(&Text::new(entry.text.clone(), (LEFT + MARK + 6, y - 6), ("sans-serif", 13)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn a_longer_name_has_more_room() {
        let entry = |text: &str| Entry { text: text.into(), colour: BLACK };
        let width = |text| Legend(vec![entry("a"), entry(text)]).width();
        assert_eq!(width("brkmap-override") - width("system"), 7 * 9);
    }

    #[test]
    fn every_allocator_is_named_in_the_colour_of_its_data() {
        let set = &example().sets[0];
        let entries = Legend::allocators(set).0;
        assert_eq!(
            entries.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>(),
            ["brkmap", "mimalloc"]
        );
        assert_eq!(entries[1].colour, colour::of("mimalloc"));
    }
}
