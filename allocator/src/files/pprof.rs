//! pprof's profile.proto, in the shape of Go's heap profile: a sample for each stack and each length of a
//! block, with the length as its label. Behind Go's four values comes a fifth, the bytes that the program
//! asked for: what rounding costs is the difference of the last two.
#![forbid(unsafe_code)]

use super::addresses::{Addresses, Number};
use super::kinds::{Moment, Span};
use super::mappings::Mappings;
use super::message::{Head, Message, NUMBER, put_field, put_number, put_parts};
use super::sink::Sink;
use crate::base::config::STACK_DEPTH;
use crate::base::random::weight;
use crate::os::Os;
use crate::samples::Samples;

/// Fields of Profile.
mod profile {
    pub const SAMPLE_TYPE: u64 = 1;
    pub const SAMPLE: u64 = 2;
    pub const MAPPING: u64 = 3;
    pub const LOCATION: u64 = 4;
    pub const STRING: u64 = 6;
    pub const DROP_FRAMES: u64 = 7;
    pub const TIME_NANOS: u64 = 9;
    pub const DURATION_NANOS: u64 = 10;
    pub const PERIOD_TYPE: u64 = 11;
    pub const PERIOD: u64 = 12;
    pub const COMMENT: u64 = 13;
    pub const DEFAULT_SAMPLE_TYPE: u64 = 14;
}

/// The strings that every profile has, by their places. The first must be empty.
const STRINGS: [&[u8]; 11] = [
    b"",
    b"alloc_objects",
    b"count",
    b"alloc_space",
    b"bytes",
    b"inuse_objects",
    b"inuse_space",
    b"inuse_requested",
    b"space",
    DROP,
    b"brkmap: sampled by bytes, addresses only",
];
const COUNT: u64 = 2;
const BYTES: u64 = 4;
/// Each value's name and unit.
const VALUES: [[u64; 2]; 5] = [[1, COUNT], [3, BYTES], [5, COUNT], [6, BYTES], [7, BYTES]];
const INUSE_SPACE: u64 = 6;
const SPACE: u64 = 8;
const DROP_AT: u64 = 9;
const COMMENT_AT: u64 = 10;

/// Functions that belong to the allocator: whoever shows the profile leaves them out.
const DROP: &[u8] =
    b"(_?_?(libc_)?(malloc|calloc|realloc|memalign|valloc|pvalloc)|aligned_alloc|posix_memalign|\
reallocarray|_?_?rust_(re)?alloc(_zeroed)?|__rustc::__rust_(re)?alloc(_zeroed)?|_?brkmap.*|\
<brkmap.*|alloc::alloc::.*|<alloc::alloc::Global.*)";

pub fn write<O: Os>(samples: &Samples, os: &O, span: Span, moment: Moment, out: &mut impl Sink) -> bool {
    let (Some(mut addresses), Some(mappings)) = (Addresses::of(samples, os), Mappings::read(os)) else {
        return false;
    };
    let value = |[name, unit]: [u64; 2]| Message::<{ 4 * NUMBER }>::new().number(1, name).number(2, unit);
    VALUES.iter().for_each(|&pair| put_field(out, profile::SAMPLE_TYPE, value(pair).bytes()));
    STRINGS.iter().for_each(|text| put_field(out, profile::STRING, text));
    put_mappings(&mappings, out);
    put_samples(samples, moment, &mut addresses, &mappings, out);
    put_number(out, profile::DROP_FRAMES, DROP_AT);
    put_number(out, profile::TIME_NANOS, span.began);
    put_number(out, profile::DURATION_NANOS, span.lasted);
    put_field(out, profile::PERIOD_TYPE, value([SPACE, BYTES]).bytes());
    put_number(out, profile::PERIOD, samples.rate() as u64);
    put_number(out, profile::COMMENT, COMMENT_AT);
    put_number(out, profile::DEFAULT_SAMPLE_TYPE, INUSE_SPACE);
    true
}

fn put_mappings<O: Os>(mappings: &Mappings<O>, out: &mut impl Sink) {
    for (at, mapping) in mappings.iter().enumerate() {
        let name = (STRINGS.len() + 2 * at) as u64;
        let message = Message::<128>::new()
            .number(1, at as u64 + 1)
            .number(2, mapping.start as u64)
            .number(3, mapping.end as u64)
            .number(4, mapping.offset as u64)
            .number(5, name)
            .number(6, name + 1);
        put_field(out, profile::MAPPING, message.bytes());
        put_field(out, profile::STRING, mapping.name);
        put_field(out, profile::STRING, mappings.build_id(at).digits());
    }
}

fn put_samples<O: Os>(
    samples: &Samples,
    moment: Moment,
    addresses: &mut Addresses<O>,
    mappings: &Mappings<O>,
    out: &mut impl Sink,
) {
    let mut numbers = Message::<{ STACK_DEPTH * NUMBER }>::new();
    samples.for_each_site(|site, counts, peak| {
        if counts.allocated == 0 {
            return;
        }
        numbers.clear();
        // The address of the call, not of what is behind it.
        for address in samples.stack_of(site).map(|address| address - 1) {
            let number = match addresses.number(address) {
                Some(Number::New(number)) => {
                    put_location(number, mappings, address, out);
                    number
                }
                Some(Number::Known(number)) => number,
                None => continue,
            };
            numbers.varint(number as u64 + 1);
        }
        let each = weight(site.bytes(), samples.rate());
        let weighed = |count: u64| (count as f64 * each + 0.5) as u64;
        let weighed_bytes = |count: u64| (count as f64 * each * site.bytes() as f64 + 0.5) as u64;
        let in_use = if moment == Moment::Peak { peak } else { counts };
        let values = [
            weighed(counts.allocated),
            weighed_bytes(counts.allocated),
            weighed(in_use.live()),
            weighed_bytes(in_use.live()),
            weighed(in_use.asked_live()),
        ];
        let stack = Head::new().head(1, numbers.bytes().len());
        let label = Message::new().number(1, BYTES).number(3, site.bytes() as u64).number(4, BYTES);
        let rest = Message::<256>::new().numbers(2, values.into_iter()).message(3, label);
        put_parts(out, profile::SAMPLE, [stack.bytes(), numbers.bytes(), rest.bytes()]);
    });
}

fn put_location<O: Os>(number: usize, mappings: &Mappings<O>, address: usize, out: &mut impl Sink) {
    let message = Message::<{ 6 * NUMBER }>::new()
        .number(1, number as u64 + 1)
        .number(2, mappings.of(address).map_or(0, |(at, _)| at as u64 + 1))
        .number(3, address as u64);
    put_field(out, profile::LOCATION, message.bytes());
}
