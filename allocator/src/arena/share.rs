//! The share: what the arena has of all that is live and dirty, as its lock left it.
#![forbid(unsafe_code)]

use super::state::State;
use crate::base::config::GRANULE_SHIFT;

/// The arena's share of what is live and dirty, in bytes.
#[derive(Clone, Copy)]
pub struct Share {
    pub in_use: usize,
    pub dirty: usize,
    /// An end should go as addresses.
    pub ends_go: bool,
}

impl Share {
    /// Of an arena that has not started.
    pub const NOTHING: Share = Share { in_use: 0, dirty: 0, ends_go: false };

    pub fn of(state: &State) -> Share {
        Share {
            in_use: (state.in_use as usize) << GRANULE_SHIFT,
            dirty: state.dirty as usize * state.page,
            ends_go: state.ends_go,
        }
    }
}
