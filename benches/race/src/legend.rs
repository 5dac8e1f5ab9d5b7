//! The legend of a picture: beside the chart, never in it, where there is no data to cover.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::colour;

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
    pub fn allocators<'a>(names: impl Iterator<Item = &'a str>) -> Legend {
        Legend(names.map(|name| Entry { colour: colour::of(name), text: name.to_owned() }).collect())
    }

    /// Enough for the longest text: seven pixels a letter, and some air.
    pub fn width(&self) -> u32 {
        let longest = self.0.iter().map(|entry| entry.text.chars().count()).max().unwrap_or(0);
        (LEFT + MARK) as u32 + 22 + 7 * longest as u32
    }

    pub fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn Error>> {
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

    #[test]
    fn a_longer_name_has_more_room() {
        let width = |text| Legend::allocators(["a", text].into_iter()).width();
        assert_eq!(width("brkmap-override") - width("system"), 7 * 9);
    }

    #[test]
    fn every_allocator_is_named_in_its_colour() {
        let entries = Legend::allocators(["brkmap", "mimalloc"].into_iter()).0;
        assert_eq!(
            entries.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>(),
            ["brkmap", "mimalloc"]
        );
        assert_eq!(entries[1].colour, colour::of("mimalloc"));
    }
}
