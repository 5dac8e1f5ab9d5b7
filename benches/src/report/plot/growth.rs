//! Cost of a replacement over the number of live blocks.

use brkmap_race::colour;
use plotters::prelude::*;

use super::{Plot, names};
use crate::report::title;
use crate::results::{Growth, Set};

pub fn plot(set: &Set) -> Option<Plot> {
    let points = || set.allocators.iter().flat_map(|allocator| &allocator.growth);
    let least = points().map(|growth| growth.live).min()? as f64;
    let most = points().map(|growth| growth.live).max()? as f64;
    if least == most {
        return None;
    }
    let own = |growth: &Growth| (growth.replace - growth.touch).max(0.0);
    let highest = points().map(own).fold(1.0, f64::max);
    let title = format!("{}: ns for a replacement, beyond touching the block", title(set.kind));
    super::plot(set, "growth", title, (860, 440), &names(set), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d((least..most).log_scale(), 0.0..highest * 1.1)?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .x_desc("live blocks")
            .y_desc("ns")
            .x_label_formatter(&|live| format!("{live:.0}"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .label_style(("sans-serif", 12))
            .draw()?;
        // The first is brkmap's, and lies above the others.
        for (place, allocator) in set.allocators.iter().enumerate().rev() {
            let colour = colour::of(&allocator.name);
            let style = colour.stroke_width(if place == 0 { 4 } else { 2 });
            let line: Vec<_> =
                allocator.growth.iter().map(|growth| (growth.live as f64, own(growth))).collect();
            chart.draw_series(LineSeries::new(line, style).point_size(3))?;
        }
        Ok(())
    })
}
