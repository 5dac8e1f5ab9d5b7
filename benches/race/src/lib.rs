//! One command under several allocators, one after another in turn, and what can be told of the difference.
//!
//! ```text
//!   course ─┬─ turns                     who runs when, and when it is enough
//!           └─ interval ── statistics    the ratio of each pair, its median, how sure that is
//!   process ── sample                    a timed run
//!   look                                 a run that is watched and not timed
//!   verdict ── interval                  the answer in words
//!   library, peers                       the allocators
//!   picture, legend ── colour            the answer in a picture
//!   amounts                              times and percentages of a command line
//! ```

pub mod amounts;
pub mod colour;
pub mod course;
pub mod interval;
pub mod legend;
pub mod library;
pub mod look;
pub mod peers;
pub mod picture;
pub mod process;
pub mod sample;
pub mod statistics;
pub mod turns;
pub mod verdict;
