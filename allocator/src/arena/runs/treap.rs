//! The treap of free runs: ordered by address, heap-ordered by a hash of it; every node knows the longest
//! and the dirtiest run below it. A node is named by its granule.

use super::nodes::{NIL, Nodes};

/// The order of the heap: a hash, so that no pattern of addresses makes the tree deep.
fn priority(node: u32) -> u32 {
    let x = (node ^ (node >> 15)).wrapping_mul(0x2c1b_3c6d);
    (x ^ (x >> 12)).wrapping_mul(0x297a_2d39)
}

/// The lowest run of at least `len` granules.
pub(super) fn lowest_fit(nodes: &Nodes, root: u32, len: u32) -> Option<u32> {
    let mut at = root;
    if at == NIL || nodes[at].longest < len {
        return None;
    }
    loop {
        let node = &nodes[at];
        if node.left != NIL && nodes[node.left].longest >= len {
            at = node.left;
        } else if node.len >= len {
            return Some(at);
        } else {
            at = node.right;
        }
    }
}

/// The highest run with something to purge.
pub(super) fn highest_dirty(nodes: &Nodes, root: u32) -> Option<u32> {
    let mut at = root;
    if at == NIL || nodes[at].dirtiest == 0 {
        return None;
    }
    loop {
        let node = &nodes[at];
        if node.right != NIL && nodes[node.right].dirtiest > 0 {
            at = node.right;
        } else if node.run_dirty > 0 {
            return Some(at);
        } else {
            at = node.left;
        }
    }
}

/// Computes what a node knows of its subtree from its children.
pub(super) fn update(nodes: &mut Nodes, at: u32) {
    let node = nodes[at];
    let (mut longest, mut dirtiest) = (node.len, node.run_dirty);
    for child in [node.left, node.right] {
        if child != NIL {
            longest = longest.max(nodes[child].longest);
            dirtiest = dirtiest.max(nodes[child].dirtiest);
        }
    }
    let node = &mut nodes[at];
    (node.longest, node.dirtiest) = (longest, dirtiest);
}

/// Splits the tree at `key`: the nodes below it, the nodes above it.
pub(super) fn split(nodes: &mut Nodes, at: u32, key: u32) -> (u32, u32) {
    if at == NIL {
        return (NIL, NIL);
    }
    if at < key {
        let (low, high) = split(nodes, nodes[at].right, key);
        nodes[at].right = low;
        update(nodes, at);
        (at, high)
    } else {
        let (low, high) = split(nodes, nodes[at].left, key);
        nodes[at].left = high;
        update(nodes, at);
        (low, at)
    }
}

/// Joins two trees, all of the first below all of the second.
pub(super) fn merge(nodes: &mut Nodes, low: u32, high: u32) -> u32 {
    if low == NIL || high == NIL {
        return if low == NIL { high } else { low };
    }
    if priority(low) > priority(high) {
        nodes[low].right = merge(nodes, nodes[low].right, high);
        update(nodes, low);
        low
    } else {
        nodes[high].left = merge(nodes, low, nodes[high].left);
        update(nodes, high);
        high
    }
}

/// Removes `key`, which is in the tree.
pub(super) fn remove(nodes: &mut Nodes, at: u32, key: u32) -> u32 {
    debug_assert!(at != NIL);
    let node = nodes[at];
    if at == key {
        return merge(nodes, node.left, node.right);
    }
    if key < at {
        nodes[at].left = remove(nodes, node.left, key);
    } else {
        nodes[at].right = remove(nodes, node.right, key);
    }
    update(nodes, at);
    at
}
