//! A flame graph as SVG: each function as wide as what came from it, above its caller. A field in the picture searches
//! for names, and a click widens a function.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::sites::Sites;
use super::{Value, signed};

const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;
const HEAD: f64 = 40.0;
/// What is narrower is left out.
const LEAST: f64 = 0.4;

#[derive(Default)]
struct Node<'a> {
    /// How wide it is, and what it is more or less.
    weight: f64,
    bytes: f64,
    above: BTreeMap<&'a str, Node<'a>>,
}

const SCRIPT: &str = r#"
const frames = [...document.querySelectorAll('g.f')];
const width = 1200;
function place(from, share) {
  for (const g of frames) {
    const x = (+g.dataset.x - from) / share, w = +g.dataset.w / share;
    const shown = w > 0.0002 && x < 1 && x + w > 0;
    g.style.display = shown ? '' : 'none';
    if (!shown) continue;
    const left = Math.max(0, x) * width, right = Math.min(1, x + w) * width;
    const rect = g.querySelector('rect'), text = g.querySelector('text');
    rect.setAttribute('x', left);
    rect.setAttribute('width', Math.max(0, right - left - 0.5));
    text.setAttribute('x', left + 3);
    const room = Math.floor((right - left - 6) / 6.6), name = g.dataset.n;
    text.textContent = room < 3 ? '' : name.length <= room ? name : name.slice(0, room - 1) + '…';
  }
}
for (const g of frames) g.addEventListener('click', () => place(+g.dataset.x, +g.dataset.w));
const field = document.getElementById('search');
field.addEventListener('input', () => {
  let word;
  try { word = field.value ? new RegExp(field.value, 'i') : null; } catch { word = null; }
  for (const g of frames) g.classList.toggle('hit', !!word && word.test(g.dataset.n));
});
place(0, 1);
"#;

/// The picture. Of a difference what is more is red, and what is less blue.
pub fn svg(sites: &Sites, value: Value, difference: bool) -> String {
    let mut root = Node::default();
    for (stack, bytes) in sites.with(value) {
        let mut node = &mut root;
        (node.weight, node.bytes) = (node.weight + bytes.abs(), node.bytes + bytes);
        for name in stack {
            node = node.above.entry(name).or_default();
            (node.weight, node.bytes) = (node.weight + bytes.abs(), node.bytes + bytes);
        }
    }
    let whole = root.weight.max(1.0);
    let depth = depth(&root, whole);
    let height = HEAD + ROW * (depth as f64 + 1.0);
    let title = format!(
        "{} {}",
        signed(root.bytes, difference),
        if difference { "more or less" } else { value.words() }
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <style>g.f {{ cursor: pointer }} g.f text {{ pointer-events: none }} g.hit rect {{ fill: #e0218a }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"6\" y=\"24\" font-size=\"15\">{}</text>\n\
         <foreignObject x=\"900\" y=\"6\" width=\"290\" height=\"28\"><input xmlns=\"http://www.w3.org/1999/xhtml\" \
         id=\"search\" placeholder=\"search\" style=\"width: 280px\"/></foreignObject>\n",
        escaped(&title)
    );
    let mut drawing = Drawing { out: &mut out, whole, height, difference };
    drawing.frame("all", &root, 0.0, 0);
    out.push_str("<script><![CDATA[");
    out.push_str(SCRIPT);
    out.push_str("]]></script>\n</svg>\n");
    out
}

fn is_wide_enough(node: &Node, whole: f64) -> bool {
    node.weight / whole * WIDTH >= LEAST
}

fn depth(node: &Node, whole: f64) -> usize {
    let above = node.above.values().filter(|node| is_wide_enough(node, whole));
    above.map(|node| depth(node, whole) + 1).max().unwrap_or(0)
}

struct Drawing<'a> {
    out: &'a mut String,
    whole: f64,
    height: f64,
    difference: bool,
}

impl Drawing<'_> {
    fn frame(&mut self, name: &str, node: &Node, from: f64, level: usize) {
        let share = node.weight / self.whole;
        let y = self.height - ROW * (level as f64 + 1.0);
        let shown = escaped(name);
        let colour = self.colour(name, node);
        let bytes = signed(node.bytes, self.difference);
        // To a string nothing fails.
        let _ = writeln!(
            self.out,
            "<g class=\"f\" data-x=\"{from:.6}\" data-w=\"{share:.6}\" data-n=\"{shown}\">\
             <title>{shown}: {bytes}, {:.1} %</title><rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
             rx=\"2\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\"></text></g>",
            100.0 * share,
            from * WIDTH,
            (share * WIDTH - 0.5).max(0.1),
            ROW - 1.0,
            from * WIDTH + 3.0,
            y + 12.0,
        );
        let mut from = from;
        for (name, above) in &node.above {
            if is_wide_enough(above, self.whole) {
                self.frame(name, above, from, level + 1);
            }
            from += above.weight / self.whole;
        }
    }

    /// By the name, so that a function has one colour.
    fn colour(&self, name: &str, node: &Node) -> String {
        if self.difference {
            let strength = (node.bytes.abs() / node.weight.max(1.0) * 150.0) as u32;
            let pale = 240 - strength;
            return if node.bytes > 0.0 {
                format!("rgb(250,{pale},{pale})")
            } else {
                format!("rgb({pale},{pale},250)")
            };
        }
        let hash = name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        format!("rgb({},{},{})", 205 + hash % 50, 120 + hash / 50 % 110, 50 + hash / 5500 % 50)
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() => out.push('?'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_in_the_picture() {
        assert_eq!(escaped("<Vec<T> as \"A\"&>\u{7}"), "&lt;Vec&lt;T&gt; as &quot;A&quot;&amp;&gt;?");
    }
}
