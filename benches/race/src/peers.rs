//! The allocators that Debian has as libraries to preload.

use std::path::PathBuf;

pub struct Peer {
    pub name: &'static str,
    pub package: &'static str,
    file: &'static str,
}

pub const ALL: [Peer; 5] = [
    Peer { name: "mimalloc", package: "libmimalloc3", file: "libmimalloc.so.3" },
    Peer { name: "mimalloc-2.0", package: "libmimalloc2.0", file: "libmimalloc.so.2.0" },
    Peer { name: "jemalloc", package: "libjemalloc2", file: "libjemalloc.so.2" },
    Peer { name: "tcmalloc", package: "libtcmalloc-minimal4", file: "libtcmalloc_minimal.so.4" },
    Peer { name: "tbbmalloc", package: "libtbbmalloc2", file: "libtbbmalloc_proxy.so.2" },
];

impl Peer {
    /// Where the package puts it.
    pub fn path(&self) -> PathBuf {
        format!("/usr/lib/{}-linux-gnu/{}", std::env::consts::ARCH, self.file).into()
    }

    /// Where it is: Debian's place, or another system's.
    pub fn found(&self) -> Option<PathBuf> {
        let elsewhere = ["/usr/lib64", "/usr/lib", "/usr/local/lib"];
        let places = elsewhere.map(|folder| PathBuf::from(folder).join(self.file));
        [self.path()].into_iter().chain(places).find(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_paths_are_the_packages() {
        for (at, peer) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.name != peer.name && other.file != peer.file));
            assert!(peer.path().ends_with(peer.file));
        }
    }
}
