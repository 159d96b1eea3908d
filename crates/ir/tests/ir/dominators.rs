//! Dominators, compared with their definition.

use crate::common::Rng;
use crate::samples::signature;
use nopal_ir::{
    Block, BuilderContext, CallConv, Dominators, ExternalName, Function, FunctionBuilder, Type,
};

/// A function whose blocks have these successors; block 0 is the entry.
fn graph(successors: &[Vec<usize>]) -> Function {
    let sig = signature(&[Type::I32], &[], CallConv::Fast);
    let mut func = Function::new(ExternalName::Named("f".into()), sig);
    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    let blocks: Vec<_> = successors.iter().map(|_| b.create_block()).collect();
    b.append_block_params_for_function_params(blocks[0]);
    for (&block, to) in blocks.iter().zip(successors) {
        b.switch_to_block(block);
        let index = b.iconst(Type::I32, 0);
        match *to.as_slice() {
            [] => b.return_(&[]),
            [to] => b.jump(blocks[to], &[]),
            [first, ref rest @ ..] => {
                let rest: Vec<_> = rest.iter().map(|&to| (blocks[to], &[][..])).collect();
                b.br_table(index, (blocks[first], &[]), &rest)
            }
        };
    }
    b.seal_all_blocks();
    b.finalize();
    func
}

/// Which blocks are reached from block 0 without entering `without`.
fn reached(successors: &[Vec<usize>], without: usize) -> Vec<bool> {
    let mut seen = vec![false; successors.len()];
    let mut stack = vec![0];
    while let Some(at) = stack.pop() {
        if at != without && !std::mem::replace(&mut seen[at], true) {
            stack.extend(&successors[at]);
        }
    }
    seen
}

#[test]
fn random_graphs() {
    let mut rng = Rng(1);
    let mut dominators = Dominators::new();
    for _ in 0..2000 {
        let num = 1 + rng.below(16);
        let successors: Vec<Vec<usize>> = (0..num)
            .map(|_| match num {
                1 => Vec::new(),
                _ => (0..rng.below(4)).map(|_| 1 + rng.below(num - 1)).collect(),
            })
            .collect();
        dominators.compute(&graph(&successors));
        let reachable = reached(&successors, num);
        let block = |n: usize| Block::from_u32(n as u32);
        for a in 0..num {
            assert_eq!(dominators.is_reachable(block(a)), reachable[a]);
            let avoiding = reached(&successors, a);
            for b in 0..num {
                let want = !reachable[b] || (reachable[a] && !avoiding[b]);
                let got = dominators.dominates(block(a), block(b));
                assert_eq!(got, want, "{a} over {b} in {successors:?}");
            }
            let idom = dominators.idom(block(a));
            assert_eq!(idom.is_some(), reachable[a] && a != 0);
            if let Some(idom) = idom {
                let strict = |x: usize| x != a && dominators.dominates(block(x), block(a));
                let nearest = (0..num)
                    .filter(|&x| reachable[x] && strict(x))
                    .all(|x| dominators.dominates(block(x), idom));
                assert!(nearest && strict(idom.as_u32() as usize));
            }
        }
        let order: Vec<_> = dominators.reverse_postorder().collect();
        assert_eq!(order.len(), reachable.iter().filter(|&&r| r).count());
        for (at, &x) in order.iter().enumerate() {
            assert!(order[..at].iter().all(|&y| !dominators.dominates(x, y)));
        }
    }
}

#[test]
fn deep_graphs_take_no_stack() {
    let num = 100_000;
    let chain: Vec<_> = (1..=num)
        .map(|n| if n < num { vec![n, num - 1] } else { vec![] })
        .collect();
    let dominators = Dominators::of(&graph(&chain));
    assert_eq!(
        dominators.idom(Block::from_u32(num as u32 - 1)),
        Some(Block::from_u32(0))
    );
    assert_eq!(
        dominators.idom(Block::from_u32(777)),
        Some(Block::from_u32(776))
    );
    assert!(dominators.dominates(Block::from_u32(5), Block::from_u32(99_000)));
    assert_eq!(dominators.reverse_postorder().len(), num);
}
