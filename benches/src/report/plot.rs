//! The plots.
//!
//! | file | what |
//! | --- | --- |
//! | `SET-means.svg` | geometric means of CPU and peak RSS, an allocator a pair of bars |
//! | `SET-cpu.svg` | CPU of each row as a ratio, an allocator a colour |
//! | `SET-growth.svg` | cost of a replacement over the number of live blocks |
//! | `SET-A-to-B.svg` | a pair: its ratios with their intervals, a row a line |

use std::error::Error;

use brkmap_race::legend::Legend;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::stem;
use crate::results::{Kind, Results, Set};

mod growth;
mod means;
mod rows;

/// What a plot is of, and so in which section it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Set,
    Pair,
}

pub struct Plot {
    pub kind: Kind,
    pub of: Of,
    pub file: String,
    pub title: String,
    pub svg: String,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// Each allocator of a set in its colour.
fn names(set: &Set) -> Legend {
    Legend::allocators(set.allocators.iter().map(|allocator| allocator.name.as_str()))
}

/// Those there are figures for.
pub fn all(results: &Results) -> Vec<Plot> {
    results
        .sets
        .iter()
        .flat_map(|set| [means::plot(set), rows::plot(set), growth::plot(set)])
        .flatten()
        .chain(super::pairs::plots(results))
        .collect()
}

/// A chart of this size with its legend to the right of it, where there is no data to cover.
fn plot(
    set: &Set,
    name: &str,
    title: String,
    (width, height): (u32, u32),
    legend: &Legend,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Option<Plot> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (width + legend.width(), height)).into_drawing_area();
    let drawn = area
        .fill(&WHITE)
        .map_err(Into::into)
        .and_then(|()| area.titled(&title, ("sans-serif", 20)).map_err(Into::into))
        .and_then(|area| {
            let (chart, beside) = area.split_horizontally(width);
            draw(&chart)?;
            legend.draw(&beside)
        })
        .and_then(|()| area.present().map_err(Into::into));
    drop(area);
    if let Err(error) = drawn {
        // The figures are in the tables; a picture less is no reason to lose them.
        eprintln!("matrix: {name} of {} cannot be drawn: {error}", stem(set.kind));
        return None;
    }
    Some(Plot { kind: set.kind, of: Of::Set, file: format!("{}-{name}.svg", stem(set.kind)), title, svg })
}

/// The name at the middle of a bar's place; nothing between two.
fn middle<T>(at: f64, bars: &[(&str, T)]) -> String {
    if (at.fract() - 0.5).abs() > 1e-6 {
        return String::new();
    }
    bars.get(at as usize).map_or_else(String::new, |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn each_kind_of_figure_has_its_plot() {
        let plots = all(&example());
        let files: Vec<_> = plots.iter().map(|plot| plot.file.as_str()).collect();
        assert_eq!(files, ["rust-means.svg", "rust-cpu.svg", "rust-growth.svg"]);
        for plot in &plots {
            assert!(plot.svg.trim_end().ends_with("</svg>") && plot.svg.contains("brkmap"), "{}", plot.file);
        }
    }

    #[test]
    fn without_figures_there_is_no_plot() {
        let mut results = example();
        results.sets[0].rows.clear();
        results.sets[0].allocators.iter_mut().for_each(|allocator| allocator.growth.clear());
        assert!(all(&results).is_empty());
    }

    #[test]
    fn a_label_stands_in_the_middle_of_its_place() {
        let bars = [("a", ()), ("b", ())];
        assert_eq!(middle(1.5, &bars), "b");
        assert_eq!(middle(1.0, &bars), "");
        assert_eq!(middle(2.5, &bars), "");
    }
}
