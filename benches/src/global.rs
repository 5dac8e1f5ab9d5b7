//! The allocator of the process, for a program that takes this file as its own module: brkmap, or the first of those
//! whose feature is on.

macro_rules! global {
    ($name:expr, $type:ty, $allocator:expr) => {
        pub const NAME: &str = $name;

        #[global_allocator]
        static GLOBAL: $type = $allocator;
    };
}

cfg_select! {
    // libc's malloc, or the one that is preloaded over it.
    feature = "system" => { global! { "system", std::alloc::System, std::alloc::System } }
    feature = "mimalloc-v2" => { global! { "mimalloc-v2", mimalloc::MiMalloc, mimalloc::MiMalloc } }
    feature = "mimalloc" => { global! { "mimalloc", mimalloc::MiMalloc, mimalloc::MiMalloc } }
    feature = "jemalloc" => {
        global! { "jemalloc", tikv_jemallocator::Jemalloc, tikv_jemallocator::Jemalloc }
    }
    feature = "snmalloc" => { global! { "snmalloc", snmalloc_rs::SnMalloc, snmalloc_rs::SnMalloc } }
    feature = "rusty_alloc" => {
        global! { "rusty_alloc", rusty_alloc_api::RustyAlloc, rusty_alloc_api::RustyAlloc }
    }
    feature = "smmalloc" => { global! { "smmalloc", smmalloc::Smalloc, smmalloc::Smalloc::new() } }
    feature = "dlmalloc" => { global! { "dlmalloc", dlmalloc::GlobalDlmalloc, dlmalloc::GlobalDlmalloc } }
    // brkmap as the malloc of the whole program.
    feature = "override" => { global! { "brkmap-override", brkmap::BrkMap, brkmap::BrkMap::new() } }
    _ => { global! { "brkmap", brkmap::BrkMap, brkmap::BrkMap::new() } }
}
