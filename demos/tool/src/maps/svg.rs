//! The picture as SVG.

use std::fmt::Write;

use brkmap_base::Bytes;

use super::picture::{Kind, Picture};

/// Cells side by side, and what one measures.
const COLUMNS: usize = 120;
const SIDE: usize = 8;
const LINE: usize = 18;
const LEFT: usize = 12;
const WIDTH: usize = COLUMNS * SIDE + 2 * LEFT;

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Slabs => "#2a9d5c",
        Kind::Chunks => "#7fc66a",
        Kind::Spans => "#3c8dc4",
        Kind::Large => "#1d5f96",
        Kind::Cached => "#e0b040",
        Kind::Dirty => "#cf5c4a",
        Kind::Free => "#dfe3e6",
    }
}

pub fn of(picture: &Picture) -> String {
    let cell = picture.cell(COLUMNS as u64);
    let mut body = String::new();
    let mut y = LINE;
    text(&mut body, LEFT, y, &picture.title, true);
    y += LINE / 2;
    for ribbon in &picture.ribbons {
        y += LINE;
        text(&mut body, LEFT, y, &ribbon.title, false);
        y += LINE / 3;
        for row in ribbon.cells(cell).chunks(COLUMNS) {
            let mut x = LEFT;
            for run in row.chunk_by(|one, other| one == other) {
                rectangle(&mut body, (x, y), run.len() * SIDE, colour(run[0]));
                x += run.len() * SIDE;
            }
            y += SIDE + 2;
        }
        y += LINE / 3;
    }
    y += LINE;
    text(&mut body, LEFT, y, &format!("A square is {}.", Bytes(cell)), false);
    for (kind, words) in &picture.words {
        y += LINE;
        rectangle(&mut body, (LEFT, y - SIDE), SIDE, colour(*kind));
        text(&mut body, LEFT + 2 * SIDE, y, words, false);
    }
    y += LINE;
    text(&mut body, LEFT, y, &picture.tables, false);
    let height = y + LINE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         {body}</svg>\n"
    )
}

fn rectangle(body: &mut String, (x, y): (usize, usize), width: usize, fill: &str) {
    // Into a string: it takes all.
    let _ = writeln!(body, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{SIDE}\" fill=\"{fill}\"/>");
}

fn text(body: &mut String, x: usize, y: usize, words: &str, strong: bool) {
    let weight = if strong { " font-weight=\"bold\"" } else { "" };
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, "<text x=\"{x}\" y=\"{y}\" fill=\"#222222\"{weight}>{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::picture::tests::moment;

    #[test]
    fn each_run_of_cells_is_one_rectangle_in_its_place() {
        let (moment, parts) = moment();
        let svg = of(&Picture::of(&moment, &parts));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        let with = |colour: &str| svg.matches(&format!("fill=\"{colour}\"")).count();
        // One in the ribbon of each, and one beside the words.
        assert_eq!(
            (with(colour(Kind::Spans)), with(colour(Kind::Dirty)), with(colour(Kind::Large))),
            (2, 2, 2)
        );
        assert_eq!(with(colour(Kind::Slabs)), 3);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        let mib = 16 * SIDE;
        assert!(
            svg.contains(&format!(
                "<rect x=\"{LEFT}\" y=\"51\" width=\"{mib}\" height=\"{SIDE}\" fill=\"#2a9d5c\"/>"
            )),
            "{svg}"
        );
    }
}
