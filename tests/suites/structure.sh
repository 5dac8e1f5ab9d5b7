#!/usr/bin/env bash
# layers, file lengths, dead files, homes of unsafe, banned calls, documents
set -u
. tests/lib.sh
need_linker
cargo_test -p brkmap-tests --test structure --test unsafety --test bare_bools --test circles --test documents
