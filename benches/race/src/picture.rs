//! Ratios with their intervals, a line each; the reference is the upright line at 1.

use std::error::Error;

use plotters::prelude::*;

use crate::colour;
use crate::interval::Interval;

pub struct Entry {
    /// What stands before the line.
    pub label: String,
    /// Whose colour it has.
    pub allocator: String,
    pub interval: Interval,
}

const LINE: u32 = 34;
/// Digits and letters of this size are at most so wide, in pixels.
const LETTER: u32 = 8;

/// `axis` says what the ratio is of, and to what.
pub fn draw(title: &str, axis: &str, entries: &[Entry]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let longest = entries.iter().map(|entry| entry.label.chars().count()).max().unwrap_or(0) as u32;
    let room = 20 + LETTER * longest;
    let width = (room + 620).max(40 + 11 * title.chars().count() as u32);
    let size = (width, 110 + LINE * entries.len() as u32);
    let least = entries.iter().map(|entry| entry.interval.low).fold(0.95, f64::min);
    let most = entries.iter().map(|entry| entry.interval.high).fold(1.05, f64::max);
    let air = (most - least) * 0.08;
    // To the right the figures have their place.
    let across = least - air..most + 4.0 * air;
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let inner = area.titled(title, ("sans-serif", 18))?;
    let count = entries.len() as f64;
    let mut chart = ChartBuilder::on(&inner)
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(room)
        .build_cartesian_2d(across, count..0.0)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .disable_y_mesh()
        .x_desc(axis)
        .y_labels(2 * entries.len() + 1)
        .y_label_formatter(&|at| label(*at, entries))
        .x_label_formatter(&|ratio| format!("{ratio:.2}"))
        .label_style(("sans-serif", 13))
        .draw()?;
    chart.draw_series(LineSeries::new([(1.0, 0.0), (1.0, count)], BLACK.mix(0.5)))?;
    for (place, entry) in entries.iter().enumerate() {
        let (y, Interval { middle, low, high }) = (place as f64 + 0.5, entry.interval);
        let colour = colour::of(&entry.allocator);
        chart.draw_series(LineSeries::new([(low, y), (high, y)], colour.stroke_width(3)))?;
        chart.draw_series([Circle::new((middle, y), 6, colour.filled())])?;
        let figures = format!("{middle:.3} ({low:.3} to {high:.3})");
        chart.draw_series([Text::new(figures, (high + air * 0.3, y - 0.18), ("sans-serif", 12))])?;
    }
    area.present()?;
    drop(chart);
    drop(inner);
    drop(area);
    Ok(svg)
}

/// At the middle of a line's place; nothing between two.
fn label(at: f64, entries: &[Entry]) -> String {
    if (at.fract() - 0.5).abs() > 1e-6 {
        return String::new();
    }
    entries.get(at as usize).map_or_else(String::new, |entry| entry.label.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_named_and_the_axis_says_what_it_is() {
        let entry = |name: &str, middle: f64| Entry {
            label: name.into(),
            allocator: name.into(),
            interval: Interval { middle, low: middle - 0.02, high: middle + 0.03 },
        };
        let svg =
            draw("a race", "CPU time, glibc = 1", &[entry("brkmap", 0.8), entry("jemalloc", 1.2)]).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for part in ["brkmap", "jemalloc", "CPU time, glibc = 1", "0.800 (0.780 to 0.830)", "#D55E00"] {
            assert!(svg.contains(part), "{part}\n{svg}");
        }
    }
}
