//! Blocks aligned to a cache line, to 256 bytes and to a page.

use super::{Plan, mix};

const LIVE: usize = 512;

#[repr(align(64))]
struct Line([u8; 128]);

#[repr(align(256))]
struct Tile([u8; 512]);

#[repr(align(4096))]
struct Page([u8; 4096]);

#[derive(Default)]
struct Place {
    line: Option<Box<Line>>,
    tile: Option<Box<Tile>>,
    pages: Vec<Page>,
}

pub fn run(plan: Plan) -> u64 {
    let mut dice = fastrand::Rng::with_seed(10);
    let mut places: Vec<Place> = (0..LIVE).map(|_| Place::default()).collect();
    let mut sum = 0u64;
    for round in 0..plan.times(3_000_000) {
        let tag = round as u8;
        let place = &mut places[dice.usize(..LIVE)];
        sum = mix(sum, place.line.as_ref().map_or(0, |line| u64::from(line.0[64])));
        place.line = Some(Box::new(Line([tag; 128])));
        if round % 2 == 0 {
            sum ^= place.tile.as_ref().map_or(0, |tile| u64::from(tile.0[256]));
            place.tile = Some(Box::new(Tile([tag; 512])));
        }
        if round % 64 == 0 {
            sum ^= place.pages.first().map_or(0, |page| u64::from(page.0[17]));
            place.pages = (0..1 + round as usize % 3).map(|_| Page([tag; 4096])).collect();
        }
    }
    sum
}
