//! The C functions that only glibc has: its other names for the family, and its reports.
#![expect(clippy::undocumented_unsafe_blocks, reason = "the cases share one reason, written above them")]

use std::ptr::null_mut;

use libc::{c_int, size_t};

use super::c_api::{
    SIZES, TOO_MUCH, all, calloc, errno, free, functions, mallinfo2, malloc, malloc_trim, malloc_usable_size,
    memalign, realloc, set_errno,
};
use super::{KIB, MIB};
use crate::measure;
use crate::table::Table;

/// As `c_api_cases`, for this list.
#[macro_export]
macro_rules! c_names_cases {
    ($with:ident) => {
        $with! {
            glibcs_names_lead_to_the_same_malloc,
            glibcs_names_keep_its_promises,
            cfree_frees,
            alignments_that_no_address_space_has_give_enomem,
            mallinfo_is_mallinfo2_in_ints,
            malloc_info_refuses_options,
            malloc_info_writes_what_glibc_does,
            malloc_info_counts_what_is_free_and_what_is_mapped,
            malloc_info_may_write_to_a_stream_that_allocates,
        }
    };
}

macro_rules! table {
    ($($case:ident,)*) => {
        pub const CASES: &[(&str, fn())] = &[$((stringify!($case), $case)),*];
    };
}
c_names_cases!(table);

/// mallinfo(3)'s struct.
#[repr(C)]
pub(super) struct Mallinfo([c_int; 10]);

functions! {
    __libc_malloc(size: size_t) -> *mut u8;
    __libc_calloc(count: size_t, size: size_t) -> *mut u8;
    __libc_realloc(block: *mut u8, size: size_t) -> *mut u8;
    __libc_memalign(align: size_t, size: size_t) -> *mut u8;
    __libc_valloc(size: size_t) -> *mut u8;
    __libc_pvalloc(size: size_t) -> *mut u8;
    __libc_free(block: *mut u8);
    cfree(block: *mut u8);
    mallinfo() -> Mallinfo;
    malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int;
    open_memstream(text: *mut *mut u8, len: *mut size_t) -> *mut libc::FILE;
}

// SAFETY, for all cases: blocks are used within the size that was asked for, while they are live, and each is
// given back once; streams are open while they are used.

fn glibcs_names_lead_to_the_same_malloc() {
    unsafe {
        for size in SIZES {
            let made = [
                malloc(size),
                memalign(64, size),
                __libc_malloc(size),
                __libc_calloc(1, size),
                __libc_realloc(null_mut(), size),
                __libc_memalign(64, size),
                __libc_valloc(size),
                __libc_pvalloc(size),
                __libc_realloc(malloc(size / 2 + 1), size),
                realloc(__libc_malloc(size / 2 + 1), size),
            ];
            for (at, block) in made.iter().enumerate() {
                assert!(malloc_usable_size(*block) >= size, "{at} of {size} bytes");
                block.write_bytes(at as u8, size);
            }
            for (at, block) in made.iter().enumerate() {
                assert!(all(*block, size, at as u8), "{at} of {size} bytes");
                if at % 2 == 0 { __libc_free(*block) } else { free(*block) }
            }
        }
    }
}

fn glibcs_names_keep_its_promises() {
    let page = measure::page_size();
    unsafe {
        for size in SIZES {
            let dirty = malloc(size);
            dirty.write_bytes(0xff, size);
            free(dirty);
            let zeroed = __libc_calloc(size, 1);
            assert!(all(zeroed, size, 0), "{size}");
            let (aligned, paged) = (__libc_memalign(4096, size), __libc_pvalloc(size));
            assert!(aligned.addr().is_multiple_of(4096) && paged.addr().is_multiple_of(page));
            assert!(malloc_usable_size(paged) >= size.next_multiple_of(page));
            [zeroed, aligned, paged].into_iter().for_each(|block| __libc_free(block));
        }
        __libc_free(null_mut());
        set_errno(0);
        let refused = [
            __libc_malloc(TOO_MUCH),
            __libc_calloc(TOO_MUCH, 3),
            __libc_realloc(null_mut(), TOO_MUCH),
            __libc_memalign(64, TOO_MUCH),
            __libc_valloc(TOO_MUCH),
            __libc_pvalloc(usize::MAX),
        ];
        assert!(refused.iter().all(|block| block.is_null()));
        assert_eq!(errno(), libc::ENOMEM);
    }
}

fn cfree_frees() {
    let before = measure::resident();
    unsafe {
        for _ in 0..20_000 {
            let block = malloc(20 * KIB);
            block.write_bytes(1, 20 * KIB);
            cfree(block);
        }
        cfree(null_mut());
    }
    let grown = measure::resident().saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB stay resident", grown / MIB);
}

fn alignments_that_no_address_space_has_give_enomem() {
    unsafe {
        for bits in 47..64 {
            for size in [0, 1, 4096, MIB] {
                set_errno(0);
                assert!(
                    memalign(1 << bits, size).is_null() && errno() == libc::ENOMEM,
                    "1 << {bits}, {size}"
                );
                set_errno(0);
                assert!(super::c_api::aligned_alloc(1 << bits, size).is_null() && errno() == libc::ENOMEM);
                let sentinel = std::ptr::without_provenance_mut(0x1234);
                let mut block = sentinel;
                set_errno(1234);
                assert_eq!(super::c_api::posix_memalign(&mut block, 1 << bits, size), libc::ENOMEM);
                assert_eq!((block, errno()), (sentinel, 1234), "1 << {bits}, {size} left a trace");
            }
        }
        set_errno(0);
        assert!(
            memalign((1 << 63) + 1, 1).is_null() && errno() == libc::EINVAL,
            "no power of two is as large"
        );
    }
}

fn mallinfo_is_mallinfo2_in_ints() {
    unsafe {
        let held = [malloc(1000), malloc(100_000), malloc(10 * MIB)];
        let (wide, narrow) = (mallinfo2(), mallinfo());
        let wide = [
            wide.arena,
            wide.ordblks,
            wide.smblks,
            wide.hblks,
            wide.hblkhd,
            wide.usmblks,
            wide.fsmblks,
            wide.uordblks,
            wide.fordblks,
            wide.keepcost,
        ];
        assert_eq!(narrow.0, wide.map(|figure| figure as c_int));
        assert!(narrow.0[0] > 0 && narrow.0[3] >= 1 && narrow.0[7] >= 101_000, "{:?}", narrow.0);
        held.into_iter().for_each(|block| free(block));
    }
}

fn malloc_info_refuses_options() {
    unsafe {
        let stream = libc::tmpfile();
        for options in [1, -1, c_int::MAX] {
            assert_eq!(malloc_info(options, stream), libc::EINVAL);
        }
        assert_eq!(libc::ftell(stream), 0, "it wrote something all the same");
        libc::fclose(stream);
    }
}

/// What `malloc_info` writes.
fn info() -> String {
    unsafe {
        let stream = libc::tmpfile();
        assert_eq!(malloc_info(0, stream), 0);
        let mut text = vec![0u8; libc::ftell(stream) as usize];
        libc::rewind(stream);
        assert_eq!(libc::fread(text.as_mut_ptr().cast(), 1, text.len(), stream), text.len());
        libc::fclose(stream);
        String::from_utf8(text).expect("text")
    }
}

/// A figure of an element that stands directly in `malloc`, and not in a heap.
fn figure(info: &str, element: &str, name: &str) -> usize {
    let own = info.rsplit("</heap>").next().expect("the end");
    let line =
        own.lines().find(|line| line.starts_with(element)).unwrap_or_else(|| panic!("{element}: {info}"));
    attribute(line, name)
}

fn attribute(line: &str, name: &str) -> usize {
    let value = line.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{line} has no figure {name}"))
}

fn malloc_info_writes_what_glibc_does() {
    unsafe { free(malloc(100)) };
    let info = info();
    let kinds = [
        ("<malloc version=\"1\">", 0),
        ("</malloc>", 0),
        ("<heap nr=\"", 0),
        ("</heap>", 0),
        ("<sizes>", 0),
        ("</sizes>", 0),
        ("  <size from=\"", 4),
        ("<total type=\"fast\" ", 2),
        ("<total type=\"rest\" ", 2),
        ("<total type=\"mmap\" ", 2),
        ("<system type=\"current\" ", 1),
        ("<system type=\"max\" ", 1),
        ("<aspace type=\"total\" ", 1),
        ("<aspace type=\"mprotect\" ", 1),
    ];
    for line in info.lines() {
        let kind = kinds.iter().find(|(start, _)| line.starts_with(start));
        let (_, figures) = kind.unwrap_or_else(|| panic!("glibc has no line {line:?}"));
        let names = ["from", "to", "total", "count", "size"];
        let found = names.iter().filter(|name| line.contains(&format!(" {name}=\"")));
        assert_eq!(found.inspect(|name| _ = attribute(line, name)).count(), *figures, "{line}");
    }
    let count = |what: &str| info.matches(what).count();
    assert!(info.starts_with("<malloc version=\"1\">\n") && info.ends_with("</malloc>\n"), "{info}");
    assert!(count("<heap ") >= 1 && count("<heap ") == count("</heap>"), "{info}");
    assert!(count("<sizes>") == count("<heap ") && count("</sizes>") == count("<heap "), "{info}");
    assert_eq!(count("<total type=\"mmap\""), 1, "{info}");
}

/// Free blocks of the class that holds so many bytes, over all heaps.
fn free_of(info: &str, bytes: usize) -> usize {
    let sizes = info.lines().filter(|line| line.starts_with("  <size "));
    let of_class = sizes.filter(|line| (attribute(line, "from")..=attribute(line, "to")).contains(&bytes));
    of_class.map(|line| attribute(line, "count")).sum()
}

fn malloc_info_counts_what_is_free_and_what_is_mapped() {
    const COUNT: usize = 20_000;
    unsafe {
        let before = info();
        let mut blocks = Table::<*mut u8>::new(COUNT);
        blocks.iter_mut().for_each(|block| *block = malloc(400));
        let mapped = malloc(10 * MIB);
        let during = info();
        blocks.iter().step_by(2).for_each(|block| free(*block));
        malloc_trim(0);
        let after = info();
        let mappings = |info: &str| {
            (figure(info, "<total type=\"mmap\"", "count"), figure(info, "<total type=\"mmap\"", "size"))
        };
        assert_eq!(mappings(&during).0, mappings(&before).0 + 1);
        assert!(mappings(&during).1 >= mappings(&before).1 + 10 * MIB);
        let current = |info: &str| figure(info, "<system type=\"current\"", "size");
        assert!(
            current(&during) >= COUNT * 400
                && figure(&during, "<system type=\"max\"", "size") >= current(&during)
        );
        let rest = figure(&after, "<total type=\"rest\"", "size");
        assert!(rest >= COUNT / 2 * 400, "{rest} bytes are free");
        let counted = free_of(&after, 400);
        assert!(
            (COUNT / 2..COUNT / 2 + 1000).contains(&counted),
            "{counted} free blocks of 400 bytes: {after}"
        );
        // Of medium blocks no two that are freed are of one chunk, so that each chunk stays.
        let mut medium = Table::<*mut u8>::new(200);
        medium.iter_mut().for_each(|block| *block = malloc(70_000));
        let full = free_of(&info(), 70_000);
        medium.iter().step_by(20).for_each(|block| free(*block));
        malloc_trim(0);
        let thinned = info();
        assert!(free_of(&thinned, 70_000) >= full + 10, "{full} free blocks before: {thinned}");
        medium.iter().enumerate().filter(|(at, _)| at % 20 > 0).for_each(|(_, block)| free(*block));
        free(mapped);
        blocks.iter().skip(1).step_by(2).for_each(|block| free(*block));
    }
}

fn malloc_info_may_write_to_a_stream_that_allocates() {
    unsafe {
        let (mut text, mut len) = (null_mut(), 0);
        let stream = open_memstream(&mut text, &mut len);
        let others: Vec<_> = (0..3)
            .map(|_| std::thread::spawn(|| (0..20_000).for_each(|size| free(calloc(1, size % 5000)))))
            .collect();
        for _ in 0..200 {
            assert_eq!(malloc_info(0, stream), 0);
        }
        others.into_iter().for_each(|other| other.join().expect("a thread"));
        libc::fclose(stream);
        let text = std::slice::from_raw_parts(text, len);
        assert_eq!(String::from_utf8_lossy(text).matches("</malloc>").count(), 200);
        free(text.as_ptr().cast_mut());
    }
}
