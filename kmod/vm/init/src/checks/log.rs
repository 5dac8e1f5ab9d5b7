// SPDX-License-Identifier: GPL-2.0
//! What the kernel logged while all the others ran.

use crate::klog::Record;
use crate::report::{Fail, Outcome, equal, that};

const WARNING: u8 = 4;

/// What the kernel says of any module that is not part of it: of where it comes from, not what it does.
const OF_ANY_MODULE: [&str; 2] = [
    "mymap: loading out-of-tree module taints kernel.",
    "mymap: module verification failed: signature and/or required key missing - tainting kernel",
];

pub fn free_of_warnings(records: &[Record]) -> Outcome {
    for record in records {
        let ours = record.level > WARNING || OF_ANY_MODULE.contains(&record.text.as_str());
        if !ours {
            return Err(Fail(format!("level {}: {}", record.level, record.text)));
        }
    }
    Ok(())
}

/// The module counts its pages, and says so when it goes.
pub fn every_page_freed(records: &[Record], unloads: u32) -> Outcome {
    let mut told = 0;
    for record in records {
        let Some(counts) = record.text.strip_prefix("mymap: unloaded: ") else { continue };
        told += 1;
        let numbers: Vec<u32> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
        that(&record.text, matches!(numbers[..], [allocated, freed] if allocated == freed && freed > 0))?;
    }
    that("there was an unload", unloads > 0)?;
    equal("unloads told in the log", told, unloads)?;
    println!("# unloads={told} pages-left=0");
    Ok(())
}
