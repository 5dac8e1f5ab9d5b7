//! The one allocator of the process, and the heaps beside it.

use crate::allocator::Allocator;
use crate::heap::registry::Tables;
use crate::os::linux::Linux;
use crate::samples::Samples;
use crate::zone::list::List;

static TABLES: Tables = Tables::new();
/// The same as the allocator's, found in one instruction less.
pub static SAMPLES: Samples = Samples::new();

/// One for each program or library that the crate is linked into.
pub static ALLOCATOR: Allocator<Linux> = Allocator::new(Linux::new(), &TABLES, &SAMPLES);

/// All heaps of one's own.
pub static ZONES: List = List::new();
