//! Pixels in shared memory, four bytes each, row after row, behind a page for the two sides to agree.
//!
//! ```text
//!   page 0                         page 1 …
//!   turn | stop | sum | note …     0x00RRGGBB 0x00RRGGBB … (width × height)
//! ```

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use brkmap_base::error::Error;
use brkmap_demos::baton::Baton;
use brkmap_demos::mapping::{Mapping, SharedAnonymous, Writable, word32};
use brkmap_witness::page_size;

const TURN: usize = 0;
const STOP: usize = 4;
const SUM: usize = 8;
const NOTE: usize = 64;

#[derive(Debug)]
pub struct Framebuffer {
    memory: SharedAnonymous,
    pub width: usize,
    pub height: usize,
}

impl Framebuffer {
    /// Black, and shared with every child forked from now on.
    pub fn new(width: usize, height: usize) -> Result<Framebuffer, Error> {
        let memory = SharedAnonymous::map(page_size() + width * height * 4)?;
        Ok(Framebuffer { memory, width, height })
    }

    /// Whose turn it is. The passing of it publishes the pixels.
    pub fn turn(&self) -> Baton<'_> {
        Baton::on(word32(&self.memory, TURN))
    }

    /// Not 0 when the server wants no more pictures; read after a turn.
    pub fn stop(&self) -> &AtomicU32 {
        word32(&self.memory, STOP)
    }

    /// What the painter makes of its picture's pixels, for the server to compare; read after a turn.
    pub fn sum(&self) -> &AtomicU32 {
        word32(&self.memory, SUM)
    }

    pub fn set(&self, x: usize, y: usize, [red, green, blue]: [u8; 3]) {
        assert!(x < self.width && y < self.height);
        // Relaxed: the turn orders pictures, and within one there is only the painter.
        self.pixel(y * self.width + x).store(u32::from_be_bytes([0, red, green, blue]), Relaxed);
    }

    pub fn get(&self, x: usize, y: usize) -> [u8; 3] {
        assert!(x < self.width && y < self.height);
        let [_, red, green, blue] = self.pixel(y * self.width + x).load(Relaxed).to_be_bytes();
        [red, green, blue]
    }

    fn pixel(&self, number: usize) -> &AtomicU32 {
        word32(&self.memory, page_size() + number * 4)
    }

    /// Three bytes a pixel, as a PNG wants them.
    pub fn to_rgb(&self) -> Vec<u8> {
        (0..self.height).flat_map(|y| (0..self.width).flat_map(move |x| self.get(x, y))).collect()
    }

    /// A sum over all pixels and their places.
    pub fn checksum(&self) -> u32 {
        (0..self.width * self.height)
            .fold(0, |sum: u32, number| sum.wrapping_mul(31).wrapping_add(self.pixel(number).load(Relaxed)))
    }

    /// The address of the first pixel.
    pub fn pixels_at(&self) -> usize {
        self.memory.addr() + page_size()
    }

    /// The painter's last words.
    pub fn write_note(&self, note: &str) {
        assert!(NOTE + note.len() < page_size());
        self.memory.copy_in(NOTE, note.as_bytes());
        self.memory.store(NOTE + note.len(), 0);
    }

    pub fn read_note(&self) -> String {
        let bytes: Vec<u8> =
            (NOTE..page_size()).map(|at| self.memory.load(at)).take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
