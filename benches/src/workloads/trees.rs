//! Binary trees, built from the leaves and dropped whole: the classic of languages with a collector.

use super::Plan;

const DEPTH: u32 = 15;

struct Node {
    branches: Option<(Box<Node>, Box<Node>)>,
}

pub fn run(plan: Plan) -> u64 {
    let lasting = tree(DEPTH);
    let mut sum = 0u64;
    for round in 0..plan.times(450) {
        // Few deep ones, many shallow ones, the same number of nodes each time.
        let shallow = (round % 3) as u32 * 4;
        for _ in 0..1u32 << shallow {
            sum = sum.wrapping_add(count(&tree(DEPTH - shallow)));
        }
    }
    sum.wrapping_add(count(&lasting))
}

fn tree(depth: u32) -> Node {
    let branch = || Box::new(tree(depth - 1));
    Node { branches: (depth > 0).then(|| (branch(), branch())) }
}

fn count(node: &Node) -> u64 {
    1 + node.branches.as_ref().map_or(0, |(left, right)| count(left) + count(right))
}
