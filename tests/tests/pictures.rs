//! The pictures of the documents: a legend covers nothing, an allocator has one colour in all of them, axes have units.

use std::collections::HashMap;
use std::path::Path;

use brkmap_tests::program::root;
use roxmltree::{Document, Node};

/// A rectangle by its edges: left, top, right, bottom.
type Edges = [f64; 4];

/// Something that is drawn.
struct Shape {
    edges: Edges,
    /// Text, or nothing.
    text: String,
    colour: String,
}

fn number(node: Node, name: &str) -> f64 {
    let text = node.attribute(name).unwrap_or_else(|| panic!("{name} of {node:?}"));
    text.parse().unwrap_or_else(|_| panic!("{text} in {node:?}"))
}

fn around(points: impl Iterator<Item = (f64, f64)>) -> Edges {
    points.fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |[left, top, right, bottom], (x, y)| {
        [left.min(x), top.min(y), right.max(x), bottom.max(y)]
    })
}

fn pairs(text: &str) -> impl Iterator<Item = (f64, f64)> {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} among points"));
    text.split_whitespace()
        .map(move |pair| pair.split_once(',').expect("a point"))
        .map(move |(x, y)| (number(x), number(y)))
}

/// What is drawn, but for the ground of it all.
fn shapes(picture: &Document) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for node in picture.root_element().descendants().filter(Node::is_element).skip(1) {
        let n = |name| number(node, name);
        let edges = match node.tag_name().name() {
            "rect" => [n("x"), n("y"), n("x") + n("width"), n("y") + n("height")],
            "circle" => [n("cx") - n("r"), n("cy") - n("r"), n("cx") + n("r"), n("cy") + n("r")],
            "line" => around([(n("x1"), n("y1")), (n("x2"), n("y2"))].into_iter()),
            "polyline" | "polygon" => around(pairs(node.attribute("points").expect("points"))),
            // Its letters are not measured: where it begins.
            "text" => [n("x"), n("y"), n("x") + 1.0, n("y") + 1.0],
            other => panic!("{other} is drawn"),
        };
        let colour = |name| node.attribute(name).filter(|colour| *colour != "none");
        let colour = colour("fill").or(colour("stroke")).unwrap_or_default().to_owned();
        let text = node.text().unwrap_or_default().trim().to_owned();
        let is_text = node.tag_name().name() == "text";
        if colour != "#FFFFFF" && (!is_text || !text.is_empty()) {
            shapes.push(Shape { edges, text, colour });
        }
    }
    shapes
}

/// The marks of a legend, each with its text: small rectangles that a text begins beside.
fn legend(shapes: &[Shape]) -> Vec<(&Shape, &Shape)> {
    let is_mark = |shape: &&Shape| {
        let [left, top, right, bottom] = shape.edges;
        shape.text.is_empty() && (right - left, bottom - top) == (14.0, 10.0)
    };
    let beside = |mark: &Shape| {
        let [_, top, right, bottom] = mark.edges;
        shapes.iter().find(|shape| {
            let [x, y, ..] = shape.edges;
            !shape.text.is_empty() && (0.0..12.0).contains(&(x - right)) && (top - 4.0..bottom).contains(&y)
        })
    };
    shapes.iter().filter(is_mark).filter_map(|mark| Some((mark, beside(mark)?))).collect()
}

/// What a legend covers, or is covered by.
fn covered(picture: &Document) -> Vec<String> {
    let shapes = shapes(picture);
    let entries = legend(&shapes);
    let own = |shape: &Shape| {
        entries.iter().any(|(mark, text)| [*mark, *text].iter().any(|one| std::ptr::eq(*one, shape)))
    };
    let letters = |text: &Shape| {
        let [left, top, ..] = text.edges;
        [(left, top), (left + 6.0 * text.text.chars().count() as f64, top + 13.0)].into_iter()
    };
    let ends = |mark: &Shape| [(mark.edges[0], mark.edges[1]), (mark.edges[2], mark.edges[3])].into_iter();
    let all = around(entries.iter().flat_map(|(mark, text)| ends(mark).chain(letters(text))));
    let others = shapes.iter().filter(|shape| !own(shape) && meet(all, shape.edges));
    others.map(|shape| format!("{:?} {} {}", shape.edges, shape.colour, shape.text)).collect()
}

fn meet(one: Edges, other: Edges) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

/// The pictures that charts are drawn in, by their paths.
fn charts() -> Vec<(String, String)> {
    let folders = ["benches/results", "demos/pictures"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("the folder"));
    let paths = files.map(|entry| entry.expect("a file").path());
    let read = |path: &Path| std::fs::read_to_string(path).expect("a picture");
    let svgs = paths.filter(|path| path.extension().is_some_and(|end| end == "svg"));
    let all = svgs.map(|path| (path.display().to_string(), read(&path)));
    // What the tool shows of a process has words beside it, and no axes.
    all.filter(|(path, _)| !["maps.svg", "top.svg"].iter().any(|of_tool| path.ends_with(of_tool))).collect()
}

#[test]
fn a_legend_covers_no_data_and_an_allocator_has_one_colour() {
    let mut colours: HashMap<String, (String, String)> = HashMap::new();
    let charts = charts();
    assert!(charts.len() >= 7, "{} charts", charts.len());
    for (path, text) in &charts {
        let picture = Document::parse(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let shapes = shapes(&picture);
        let entries = legend(&shapes);
        assert!(entries.len() >= 2, "{path} has no legend");
        assert_eq!(covered(&picture), Vec::<String>::new(), "{path}");
        for (mark, text) in entries {
            let (colour, first) =
                colours.entry(text.text.clone()).or_insert_with(|| (mark.colour.clone(), path.clone()));
            assert_eq!(*colour, mark.colour, "{} in {path} and in {first}", text.text);
        }
    }
    assert!(colours.contains_key("brkmap") && colours.contains_key("jemalloc"), "{colours:?}");
}

/// What stands along the axes, by the ends of the pictures' names.
const UNITS: [(&str, &[&str]); 4] = [
    ("-means.svg", &["as ratios, "]),
    ("-cpu.svg", &["as a ratio, "]),
    ("-growth.svg", &["ns", "live blocks"]),
    ("fileio.svg", &["milliseconds", "calls", "faults"]),
];

#[test]
fn an_axis_of_figures_says_what_they_are_of() {
    for (path, text) in charts() {
        let units = UNITS.iter().find(|(end, _)| path.ends_with(end));
        let (_, units) = units.unwrap_or_else(|| panic!("{path}: its units have no row here"));
        let picture = Document::parse(&text).expect("a picture");
        let shapes = shapes(&picture);
        // A title names what is measured too, and is longer.
        let has = |unit: &&&str| {
            shapes.iter().any(|one| one.text == **unit || unit.len() > 9 && one.text.contains(**unit))
        };
        let missing: Vec<_> = units.iter().filter(|unit| !has(unit)).collect();
        assert!(missing.is_empty(), "{path} does not say {missing:?}");
    }
}

#[test]
fn a_legend_in_the_middle_of_the_data_is_found() {
    let picture = |x: u32| {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect x=\"0\" y=\"0\" width=\"300\" height=\"100\" fill=\"#FFFFFF\"/>\
             <rect x=\"10\" y=\"10\" width=\"80\" height=\"80\" fill=\"#123456\"/>\
             <rect x=\"{x}\" y=\"20\" width=\"14\" height=\"10\" fill=\"#123456\"/><text x=\"{}\" y=\"19\">this</text></svg>",
            x + 20
        )
    };
    let covered = |x| covered(&Document::parse(&picture(x)).expect("a picture")).len();
    assert_eq!((covered(60), covered(100)), (1, 0));
}
