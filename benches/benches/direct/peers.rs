//! The allocators of this process: brkmap, and those whose features are on.

pub static BRKMAP: brkmap::BrkMap = brkmap::BrkMap::new();
#[cfg(feature = "system")]
pub static SYSTEM: std::alloc::System = std::alloc::System;
#[cfg(feature = "mimalloc")]
pub static MIMALLOC: mimalloc::MiMalloc = mimalloc::MiMalloc;
/// The crate holds one of its versions; which, the features say.
#[cfg(feature = "mimalloc")]
pub const MIMALLOC_NAME: &str = if cfg!(feature = "mimalloc-v2") { "mimalloc-v2" } else { "mimalloc" };
#[cfg(feature = "jemalloc")]
pub static JEMALLOC: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
#[cfg(feature = "snmalloc")]
pub static SNMALLOC: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;
#[cfg(feature = "rusty_alloc")]
pub static RUSTY_ALLOC: rusty_alloc_api::RustyAlloc = rusty_alloc_api::RustyAlloc;
#[cfg(feature = "smmalloc")]
pub static SMMALLOC: smmalloc::Smalloc = smmalloc::Smalloc::new();
#[cfg(feature = "dlmalloc")]
pub static DLMALLOC: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The body once for each allocator, each time with another type: generic code, and no closure can be.
macro_rules! each {
    (|$name:ident, $allocator:ident| $body:expr) => {{
        let ($name, $allocator) = ("brkmap", &$crate::peers::BRKMAP);
        $body;
        #[cfg(feature = "system")]
        {
            let ($name, $allocator) = ("system", &$crate::peers::SYSTEM);
            $body;
        }
        #[cfg(feature = "mimalloc")]
        {
            let ($name, $allocator) = ($crate::peers::MIMALLOC_NAME, &$crate::peers::MIMALLOC);
            $body;
        }
        #[cfg(feature = "jemalloc")]
        {
            let ($name, $allocator) = ("jemalloc", &$crate::peers::JEMALLOC);
            $body;
        }
        #[cfg(feature = "snmalloc")]
        {
            let ($name, $allocator) = ("snmalloc", &$crate::peers::SNMALLOC);
            $body;
        }
        #[cfg(feature = "rusty_alloc")]
        {
            let ($name, $allocator) = ("rusty_alloc", &$crate::peers::RUSTY_ALLOC);
            $body;
        }
        #[cfg(feature = "smmalloc")]
        {
            let ($name, $allocator) = ("smmalloc", &$crate::peers::SMMALLOC);
            $body;
        }
        #[cfg(feature = "dlmalloc")]
        {
            let ($name, $allocator) = ("dlmalloc", &$crate::peers::DLMALLOC);
            $body;
        }
    }};
}
