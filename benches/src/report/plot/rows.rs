//! CPU of each row as a ratio, an allocator a colour.

use brkmap_race::colour;
use plotters::prelude::*;

use super::{Plot, middle, names};
use crate::report::title;
use crate::results::metric::Metric;
use crate::results::{Row, Set};

/// The ratios that have a line: a scale's own would name none below 1.
const MARKS: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

pub fn plot(set: &Set) -> Option<Plot> {
    let reference = set.reference.as_deref()?;
    let rows: Vec<(&str, &Row)> = set
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
    let across = least * 0.9..most * 1.1;
    let marks: Vec<f64> = MARKS.into_iter().filter(|mark| across.contains(mark)).collect();
    let title = format!("{}: CPU, {reference} = 1, less is better", title(set.kind));
    // Names stand side by side.
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) as u32;
    let width = 80 + (8 + 7 * longest).max(56) * rows.len() as u32;
    super::plot(set, "cpu", title, (width, 480), &names(set), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(34)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..rows.len() as f64, across.log_scale().with_key_points(marks))?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .disable_x_mesh()
            .y_desc(format!("CPU time as a ratio, {reference} = 1"))
            .x_labels(2 * rows.len() + 1)
            .x_label_formatter(&|at| middle(*at, &rows))
            .y_label_formatter(&|value| format!("{value}"))
            .label_style(("sans-serif", 12))
            .draw()?;
        chart.draw_series(LineSeries::new([(0.0, 1.0), (rows.len() as f64, 1.0)], BLACK.mix(0.4)))?;
        let count = set.allocators.len() as f64;
        // The first is brkmap's, and lies above the others.
        for (place, allocator) in set.allocators.iter().enumerate().rev() {
            let colour = colour::of(&allocator.name);
            let radius = if place == 0 { 6 } else { 4 };
            let across = 0.15 + 0.7 * (place as f64 + 0.5) / count;
            let points = rows.iter().enumerate().filter_map(|(at, (_, row))| {
                Some(Circle::new((at as f64 + across, ratio(row, &allocator.name)?), radius, colour.filled()))
            });
            chart.draw_series(points)?;
        }
        Ok(())
    })
}
