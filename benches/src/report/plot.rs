//! The plots.
//!
//! | file | what |
//! | --- | --- |
//! | `SET-means.svg` | geometric means of CPU and peak RSS, an allocator a pair of bars |
//! | `SET-cpu.svg` | CPU of each row as a ratio, an allocator a colour |
//! | `SET-growth.svg` | cost of a replacement over the number of live blocks |

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{stem, title};
use crate::results::metric::Metric;
use crate::results::{Kind, Results, Set};

pub struct Plot {
    pub kind: Kind,
    pub file: String,
    pub title: String,
    pub svg: String,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// Told apart by people who see few colours too; brkmap's is the first.
const COLOURS: [RGBColor; 10] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
    RGBColor(140, 86, 75),
    RGBColor(148, 103, 189),
    RGBColor(170, 170, 60),
];

fn colour(place: usize) -> RGBColor {
    COLOURS[place % COLOURS.len()]
}

/// Those there are figures for.
pub fn all(results: &Results) -> Vec<Plot> {
    results.sets.iter().flat_map(|set| [means(set), rows(set), growth(set)]).flatten().collect()
}

fn plot(
    set: &Set,
    name: &str,
    title: String,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Option<Plot> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let drawn = area
        .fill(&WHITE)
        .map_err(Into::into)
        .and_then(|()| area.titled(&title, ("sans-serif", 20)).map_err(Into::into))
        .and_then(|area| draw(&area))
        .and_then(|()| area.present().map_err(Into::into));
    drop(area);
    if let Err(error) = drawn {
        // The figures are in the tables; a picture less is no reason to lose them.
        eprintln!("matrix: {name} of {} cannot be drawn: {error}", stem(set.kind));
        return None;
    }
    Some(Plot { kind: set.kind, file: format!("{}-{name}.svg", stem(set.kind)), title, svg })
}

fn means(set: &Set) -> Option<Plot> {
    const SHOWN: [(Metric, RGBColor); 2] = [(Metric::Cpu, COLOURS[0]), (Metric::Peak, COLOURS[1])];
    let reference = set.reference.as_deref()?;
    let mean = |metric: Metric, name: &str| metric.mean(set, name, reference).map(|mean| mean.ratio);
    let bars: Vec<(&str, [Option<f64>; 2])> = set
        .allocators
        .iter()
        .map(|allocator| (allocator.name.as_str(), SHOWN.map(|(metric, _)| mean(metric, &allocator.name))))
        .collect();
    let most =
        bars.iter().flat_map(|(_, values)| values).flatten().fold(1.0f64, |most, &value| most.max(value));
    if bars.iter().all(|(_, values)| values.iter().all(Option::is_none)) {
        return None;
    }
    let title = format!("{}: geometric means, {reference} = 1, less is better", title(set.kind));
    let height = 100 + 42 * bars.len() as u32;
    plot(set, "means", title, (860, height), |area| {
        let count = bars.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(130)
            .build_cartesian_2d(0.0..most * 1.15, count..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(2 * bars.len() + 1)
            .y_label_formatter(&|at| middle(*at, &bars))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (shown, (metric, colour)) in SHOWN.into_iter().enumerate() {
            let bar = |(place, (_, values)): (usize, &(&str, [Option<f64>; 2]))| {
                let top = place as f64 + 0.12 + 0.38 * shown as f64;
                Some(Rectangle::new([(0.0, top), (values[shown]?, top + 0.36)], colour.filled()))
            };
            chart
                .draw_series(bars.iter().enumerate().filter_map(bar))?
                .label(metric.title())
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled()));
            let figure = |(place, (_, values)): (usize, &(&str, [Option<f64>; 2]))| {
                let value = values[shown]?;
                let at = (value + most * 0.01, place as f64 + 0.2 + 0.38 * shown as f64);
                Some(Text::new(format!("{value:.2}"), at, ("sans-serif", 12)))
            };
            chart.draw_series(bars.iter().enumerate().filter_map(figure))?;
        }
        chart.draw_series(LineSeries::new([(1.0, 0.0), (1.0, count)], BLACK.mix(0.4)))?;
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK.mix(0.3)).draw()?;
        Ok(())
    })
}

/// The name at the middle of a bar's place; nothing between two.
fn middle<T>(at: f64, bars: &[(&str, T)]) -> String {
    if (at.fract() - 0.5).abs() > 1e-6 {
        return String::new();
    }
    bars.get(at as usize).map_or_else(String::new, |(name, _)| (*name).to_owned())
}

fn rows(set: &Set) -> Option<Plot> {
    let reference = set.reference.as_deref()?;
    let rows: Vec<(&str, &crate::results::Row)> = set
        .rows
        .iter()
        .filter(|row| Metric::Cpu.median(row, reference).is_some())
        .map(|row| (row.name.as_str(), row))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let ratio = |row, name: &str| Metric::Cpu.ratio(row, name, reference);
    let all = rows.iter().flat_map(|(_, row)| set.allocators.iter().filter_map(|one| ratio(row, &one.name)));
    let (least, most) =
        all.fold((0.8f64, 1.25f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    let title = format!("{}: CPU, {reference} = 1, less is better", title(set.kind));
    let width = 220 + 56 * rows.len() as u32;
    plot(set, "cpu", title, (width, 480), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(34)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..rows.len() as f64, (least * 0.9..most * 1.1).log_scale())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(2 * rows.len() + 1)
            .x_label_formatter(&|at| middle(*at, &rows))
            .y_label_formatter(&|value| format!("{value:.2}"))
            .label_style(("sans-serif", 12))
            .draw()?;
        chart.draw_series(LineSeries::new([(0.0, 1.0), (rows.len() as f64, 1.0)], BLACK.mix(0.4)))?;
        let count = set.allocators.len() as f64;
        for (place, allocator) in set.allocators.iter().enumerate() {
            let colour = colour(place);
            let radius = if place == 0 { 6 } else { 4 };
            let across = 0.15 + 0.7 * (place as f64 + 0.5) / count;
            let points = rows.iter().enumerate().filter_map(|(at, (_, row))| {
                Some(Circle::new((at as f64 + across, ratio(row, &allocator.name)?), radius, colour.filled()))
            });
            chart
                .draw_series(points)?
                .label(&allocator.name)
                .legend(move |(x, y)| Circle::new((x + 7, y), radius, colour.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        Ok(())
    })
}

fn growth(set: &Set) -> Option<Plot> {
    let points = || set.allocators.iter().flat_map(|allocator| &allocator.growth);
    let least = points().map(|growth| growth.live).min()? as f64;
    let most = points().map(|growth| growth.live).max()? as f64;
    if least == most {
        return None;
    }
    let own = |growth: &crate::results::Growth| (growth.replace - growth.touch).max(0.0);
    let highest = points().map(own).fold(1.0, f64::max);
    let title = format!("{}: ns for a replacement, beyond touching the block", title(set.kind));
    plot(set, "growth", title, (860, 440), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d((least..most).log_scale(), 0.0..highest * 1.1)?;
        chart
            .configure_mesh()
            .x_desc("live blocks")
            .x_label_formatter(&|live| format!("{live:.0}"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .label_style(("sans-serif", 12))
            .draw()?;
        for (place, allocator) in set.allocators.iter().enumerate() {
            let colour = colour(place);
            let style = colour.stroke_width(if place == 0 { 4 } else { 2 });
            let line: Vec<_> =
                allocator.growth.iter().map(|growth| (growth.live as f64, own(growth))).collect();
            chart
                .draw_series(LineSeries::new(line, style).point_size(3))?
                .label(&allocator.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        Ok(())
    })
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
