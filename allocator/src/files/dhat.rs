//! The JSON that valgrind's DHAT writes, version 2, for its viewer (dh_view.html).
//!
//! Counts are weighed, and rounded to whole blocks. `mb` and `mbk`, the most of a stack at once, are sums
//! over its lengths of blocks: of a stack with several they are bounds from above.
#![forbid(unsafe_code)]

use super::addresses::{Addresses, Number};
use super::kinds::Span;
use super::mappings::{Mappings, put_json};
use super::sink::Sink;
use crate::base::random::weight;
use crate::os::Os;
use crate::os::numbers;
use crate::samples::{Samples, Site};

/// What DHAT calls the figures of a stack.
#[derive(Default)]
struct Figures {
    total: [f64; 2],
    lived: f64,
    most: [f64; 2],
    at_peak: [f64; 2],
    at_end: [f64; 2],
}

impl Figures {
    fn add(&mut self, samples: &Samples, site: &Site) {
        let (counts, peak) = (site.counts(), samples.peak_of(site));
        let each = weight(site.bytes(), samples.rate());
        let add = |to: &mut [f64; 2], count: u64| {
            let [bytes, blocks] = to;
            *blocks += count as f64 * each;
            *bytes += count as f64 * each * site.bytes() as f64;
        };
        add(&mut self.total, counts.allocated);
        add(&mut self.most, counts.most);
        add(&mut self.at_peak, peak.live());
        add(&mut self.at_end, counts.live());
        self.lived += counts.lived as f64 * each;
    }

    fn put(&self, out: &mut impl Sink) {
        let Figures { total: [tb, tbk], lived, most: [mb, mbk], at_peak: [gb, gbk], at_end: [eb, ebk] } =
            self;
        let figures = [
            ("tb", tb),
            ("tbk", tbk),
            ("tl", lived),
            ("mb", mb),
            ("mbk", mbk),
            ("gb", gb),
            ("gbk", gbk),
            ("eb", eb),
            ("ebk", ebk),
        ];
        for (name, figure) in figures {
            out.put(b"\"");
            out.put(name.as_bytes());
            out.put(b"\":");
            out.put_number((figure + 0.5) as u64);
            out.put(b",");
        }
    }
}

pub fn write<O: Os>(samples: &Samples, os: &O, span: Span, out: &mut impl Sink) -> bool {
    let (Some(mut addresses), Some(mappings)) = (Addresses::of(samples, os), Mappings::read(os)) else {
        return false;
    };
    out.put(b"{\"dhatFileVersion\":2,\"mode\":\"heap\",\"verb\":\"Allocated\",\"bklt\":true,\"bkacc\":false");
    out.put(b",\"tu\":\"\xc2\xb5s\",\"Mtu\":\"s\",\"tuth\":10,\"cmd\":\"brkmap, a sample in ");
    out.put_number(samples.rate() as u64);
    out.put(b" bytes\",\"pid\":");
    out.put_number(numbers::process() as u64);
    out.put(b",\"te\":");
    out.put_number(span.lasted / 1000);
    out.put(b",\"tg\":");
    out.put_number(samples.peak_at());
    out.put(b",\"pps\":[");
    let mut between: &[u8] = b"\n";
    samples.for_each_stack(|site, all| {
        let mut figures = Figures::default();
        all.for_each(|site| figures.add(samples, site));
        let [_, blocks] = figures.total;
        if blocks == 0.0 {
            return;
        }
        let stack = || samples.stack_of(site).map(|address| address - 1);
        out.put(between);
        out.put(b"{");
        figures.put(out);
        out.put(b"\"fs\":[");
        let mut comma: &[u8] = b"";
        for number in stack().filter_map(|address| addresses.number(address)) {
            let (Number::New(number) | Number::Known(number)) = number;
            out.put(comma);
            // Frame 0 is the root.
            out.put_number(number as u64 + 1);
            comma = b",";
        }
        out.put(b"]}");
        between = b",\n";
    });
    out.put(b"],\n\"ftbl\":[\"[root]\"");
    for &address in addresses.in_order() {
        out.put(b",\n\"");
        out.put_hexadecimal(address as u64);
        out.put(b": ??? (in ");
        match mappings.of(address) {
            Some((_, mapping)) => {
                put_json(out, mapping.name);
                out.put(b"+");
                out.put_hexadecimal((address - mapping.start + mapping.offset) as u64);
            }
            None => out.put(b"nothing that is mapped"),
        }
        out.put(b")\"");
    }
    out.put(b"]}\n");
    true
}
