//! What the `brkmap` tool and the demo programs share.

pub mod bar;
pub mod baton;
pub mod child;
pub mod dice;
pub mod framebuffer;
pub mod input;
pub mod interrupt;
pub mod mapping;
pub mod proof;
pub mod report;
pub mod ring;
pub mod scratch;
pub mod sigbus;
pub mod size;
pub mod store;
pub mod tool;
pub mod trouble;
pub mod watcher;
