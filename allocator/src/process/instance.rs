//! The one allocator of the process.

use crate::allocator::Allocator;
use crate::heap::registry::Tables;
use crate::os::linux::Linux;
use crate::samples::Samples;

static TABLES: Tables = Tables::new();
static SAMPLES: Samples = Samples::new();

/// One for each program or library that the crate is linked into.
pub static ALLOCATOR: Allocator<Linux> = Allocator::new(Linux::new(), &TABLES, &SAMPLES);
