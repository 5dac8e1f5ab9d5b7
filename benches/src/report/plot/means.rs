//! Geometric means of CPU and peak RSS, an allocator a pair of bars.

use brkmap_race::colour;
use brkmap_race::legend::{Entry, Legend};
use plotters::prelude::*;

use super::{Plot, middle};
use crate::report::title;
use crate::results::Set;
use crate::results::metric::Metric;

pub fn plot(set: &Set) -> Option<Plot> {
    /// How much of the allocator's colour the bar has: one of CPU is full, one of memory pale.
    const SHOWN: [(Metric, f64); 2] = [(Metric::Cpu, 1.0), (Metric::Peak, 0.45)];
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
    let entry =
        |(metric, part): (Metric, f64)| Entry { text: metric.title().into(), colour: pale(BLACK, part) };
    let legend = Legend(SHOWN.map(entry).into());
    super::plot(set, "means", title, (860, height), &legend, |area| {
        let count = bars.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(44)
            .y_label_area_size(130)
            .build_cartesian_2d(0.0..most * 1.15, count..0.0)?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .disable_y_mesh()
            .x_desc(format!("CPU time and peak RSS as ratios, {reference} = 1"))
            .y_labels(2 * bars.len() + 1)
            .y_label_formatter(&|at| middle(*at, &bars))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (shown, (_, part)) in SHOWN.into_iter().enumerate() {
            let bar = |(place, (name, values)): (usize, &(&str, [Option<f64>; 2]))| {
                let top = place as f64 + 0.12 + 0.38 * shown as f64;
                Some(Rectangle::new(
                    [(0.0, top), (values[shown]?, top + 0.36)],
                    pale(colour::of(name), part).filled(),
                ))
            };
            chart.draw_series(bars.iter().enumerate().filter_map(bar))?;
            let figure = |(place, (_, values)): (usize, &(&str, [Option<f64>; 2]))| {
                let value = values[shown]?;
                let at = (value + most * 0.01, place as f64 + 0.2 + 0.38 * shown as f64);
                Some(Text::new(format!("{value:.2}"), at, ("sans-serif", 12)))
            };
            chart.draw_series(bars.iter().enumerate().filter_map(figure))?;
        }
        chart.draw_series(LineSeries::new([(1.0, 0.0), (1.0, count)], BLACK.mix(0.4)))?;
        Ok(())
    })
}

/// A part of a colour on white.
fn pale(RGBColor(red, green, blue): RGBColor, part: f64) -> RGBColor {
    let mixed = |value: u8| (f64::from(value) * part + 255.0 * (1.0 - part)).round() as u8;
    RGBColor(mixed(red), mixed(green), mixed(blue))
}
