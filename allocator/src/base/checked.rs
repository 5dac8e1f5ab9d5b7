//! Checked arrays and slices. An index out of range ends the program with a message, and without a panic:
//! std's panic machinery may allocate.
#![forbid(unsafe_code)]

use crate::base::fatal;
use core::ops::{Index, IndexMut, Range};

/// A checked array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked<T, const N: usize>(pub [T; N]);

impl<T, const N: usize> Checked<T, N> {
    /// The first `count` elements.
    #[inline]
    pub fn first(&self, count: usize) -> &[T] {
        part_or_end(&self.0, 0..count)
    }
}

impl<T, const N: usize> Index<usize> for Checked<T, N> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        at_or_end(&self.0, at)
    }
}

impl<T, const N: usize> IndexMut<usize> for Checked<T, N> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        at_or_end_mut(&mut self.0, at)
    }
}

/// The element of a slice.
#[inline]
pub fn at_or_end<T>(slice: &[T], at: usize) -> &T {
    slice.get(at).unwrap_or_else(|| beyond())
}

/// The element of a slice, to be changed.
#[inline]
pub fn at_or_end_mut<T>(slice: &mut [T], at: usize) -> &mut T {
    slice.get_mut(at).unwrap_or_else(|| beyond())
}

/// A part of a slice.
#[inline]
pub fn part_or_end<T>(slice: &[T], part: Range<usize>) -> &[T] {
    slice.get(part).unwrap_or_else(|| beyond())
}

/// The chunk of `N` elements of a slice that so many others are before.
#[inline]
pub fn chunk_or_end<T, const N: usize>(slice: &[T], at: usize) -> &[T; N] {
    slice.get(at * N..).and_then(<[T]>::first_chunk).unwrap_or_else(|| beyond())
}

/// A slice's first `at` elements, and the others.
#[inline]
pub fn split_or_end<T>(slice: &[T], at: usize) -> (&[T], &[T]) {
    slice.split_at_checked(at).unwrap_or_else(|| beyond())
}

#[cold]
#[inline(never)]
fn beyond() -> ! {
    fatal::unreachable_state(c"an index out of range")
}
