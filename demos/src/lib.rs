//! What the `brkmap` tool and the demo programs share.

pub mod tool;
