//! The figures as a table, as bars in an SVG, and in words: where mmap loses.

use std::path::Path;

use brkmap_base::error::{During, Error};
use brkmap_demos::report;
use brkmap_race::legend::{Entry, Legend};
use comfy_table::{Cell, CellAlignment};
use plotters::prelude::*;

use crate::measure::Measured;
use crate::work::{Way, Work};

pub fn table(rows: &[Measured]) -> String {
    let mut table = report::table(["work", "way", "time, ms", "syscalls", "minor faults", "major faults"]);
    for row in rows {
        let calls = row.calls.as_ref().map_or("?".to_owned(), |calls| calls.all().to_string());
        let figures = [
            milliseconds(row.microseconds),
            calls,
            row.faults.minor.to_string(),
            row.faults.major.to_string(),
        ];
        let mut cells = vec![Cell::new(row.work), Cell::new(row.way)];
        cells.extend(figures.map(|text| Cell::new(text).set_alignment(CellAlignment::Right)));
        table.add_row(cells);
    }
    table.to_string()
}

pub fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:02}", microseconds / 1000, microseconds % 1000 / 10)
}

/// Both ways of every work that was measured.
pub fn pairs(rows: &[Measured]) -> Vec<(Work, &Measured, &Measured)> {
    let find =
        |work: Work, way: Way| rows.iter().find(|row| row.work == work.name() && row.way == way.name());
    Work::ALL
        .into_iter()
        .filter_map(|work| Some((work, find(work, Way::Calls)?, find(work, Way::Mmap)?)))
        .collect()
}

/// A sentence for each work: who wins, by how much, and what it pays with.
pub fn verdicts(rows: &[Measured]) -> Vec<String> {
    let verdict = |(work, calls, mmap): (Work, &Measured, &Measured)| {
        let (calls_time, mmap_time) = (calls.microseconds.max(1) as f64, mmap.microseconds.max(1) as f64);
        let ratio = mmap_time / calls_time;
        let (name, faults) = (work.name(), mmap.faults.all());
        let paid = calls
            .calls
            .as_ref()
            .map_or(String::new(), |counted| format!(", against {} calls", counted.all()));
        match ratio {
            ..0.91 => format!("{name}: mmap wins, {:.1} times as fast; {faults} faults{paid}", ratio.recip()),
            0.91..=1.1 => format!("{name}: no difference worth the name; {faults} faults{paid}"),
            _ => format!("{name}: mmap LOSES, {ratio:.1} times the time; {faults} faults{paid}"),
        }
    };
    pairs(rows).into_iter().map(verdict).collect()
}

/// Three panels: time, system calls, faults; the scale is logarithmic, for they differ by thousands. Each bar has
/// its figure, so that one below the scale is told too. The legend is beside them.
pub fn chart(rows: &[Measured], title: &str, path: &Path) -> Result<(), Error> {
    draw(rows, title, path).map_err(|error| error.to_string()).during(&format!("draw {}", path.display()))
}

/// What the panels have of the picture's width.
const WIDTH: u32 = 960;
/// The colour of each way, and where its bars stand.
const WAYS: [(Way, RGBColor, f64); 2] =
    [(Way::Calls, RGBColor(90, 130, 180), 0.15), (Way::Mmap, RGBColor(220, 130, 50), 0.5)];

type Figure<'a> = &'a dyn Fn(&Measured) -> f64;

fn draw(rows: &[Measured], title: &str, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let entry = |(way, colour, _): (Way, RGBColor, f64)| Entry { text: way.name().to_owned(), colour };
    let legend = Legend(WAYS.map(entry).into());
    let root = SVGBackend::new(path, (WIDTH + legend.width(), 900)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, ("sans-serif", 22))?;
    let (charts, beside) = root.split_horizontally(WIDTH);
    legend.draw(&beside)?;
    let panels = charts.split_evenly((3, 1));
    let pairs = pairs(rows);
    let calls = |row: &Measured| row.calls.as_ref().map_or(0.0, |calls| calls.all() as f64);
    let figures: [(&str, &str, Figure<'_>); 3] = [
        ("time", "milliseconds", &|row| row.microseconds as f64 / 1000.0),
        ("system calls", "calls", &calls),
        ("page faults", "faults", &|row| row.faults.all() as f64),
    ];
    for (panel, (label, unit, figure)) in panels.iter().zip(figures) {
        let least = if label == "time" { 0.01 } else { 0.5 };
        let most = rows.iter().map(figure).fold(1.0, f64::max) * 6.0;
        let mut chart = ChartBuilder::on(panel)
            .margin(8)
            .caption(label, ("sans-serif", 16))
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..pairs.len() as f64, (least..most).log_scale())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .y_desc(unit)
            .x_labels(2 * pairs.len() + 1)
            .x_label_formatter(&|at| match at.fract() {
                0.5 => pairs[*at as usize].0.name().to_owned(),
                _ => String::new(),
            })
            .y_label_formatter(&|value| format!("{value}"))
            .draw()?;
        for (way, colour, shift) in WAYS {
            let values = || {
                pairs.iter().enumerate().map(move |(place, (_, calls, mmap))| {
                    (place as f64 + shift, figure(if way == Way::Calls { calls } else { mmap }))
                })
            };
            chart.draw_series(values().map(|(left, value)| {
                Rectangle::new([(left, least), (left + 0.35, value.max(least))], colour.filled())
            }))?;
            chart.draw_series(values().map(|(left, value)| {
                let digits = if value.fract() > 0.0 { 2 } else { 0 };
                // Above its bar.
                let at = (left + 0.08, value.max(least) * 1.9);
                Text::new(format!("{value:.digits$}"), at, ("sans-serif", 12))
            }))?;
        }
    }
    root.present()?;
    Ok(())
}
