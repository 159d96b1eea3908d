//! What is generated is valid, determined by its seed, and ends nearly always.

use nopal_fuzzgen::{Memory, Options, Outcome, Rng, data, generate, interpret, reduce};
use nopal_ir::{Function, Opcode, verify};

fn text(funcs: &[Function]) -> String {
    funcs.iter().map(|f| format!("{f}\n")).collect()
}

fn run(funcs: &[Function], seed: u64) -> (Outcome, Vec<u8>) {
    let addresses: Vec<u64> = (1..=funcs.len() as u64).map(|n| 0x10_0000 * n).collect();
    let mut bytes = data::random(&mut Rng::new(seed), &addresses);
    let memory = Memory {
        address: 0x9000_0000,
        bytes: &mut bytes,
    };
    let run = interpret(funcs, &addresses, memory, 100_000);
    (run.outcome, bytes)
}

#[test]
fn modules_are_valid_and_determined() {
    let options = Options::default();
    let mut returned = 0;
    for seed in 0..300 {
        let funcs = generate(seed, &options);
        for f in &funcs {
            verify(f).unwrap_or_else(|e| panic!("seed {seed}: {}\n{f}", e[0]));
        }
        assert_eq!(text(&funcs), text(&generate(seed, &options)));
        let first = run(&funcs, seed);
        assert_eq!(first, run(&funcs, seed));
        assert_ne!(first.0, Outcome::Invalid, "seed {seed}");
        returned += usize::from(first.0 == Outcome::Return);
    }
    assert!(returned > 250, "{returned}");
}

#[test]
fn hooks_can_be_left_out() {
    let options = Options {
        hooks: false,
        ..Options::default()
    };
    for seed in 0..100 {
        let text = text(&generate(seed, &options));
        assert!(
            !text.contains("patchable") && !text.contains("%observe"),
            "{text}"
        );
    }
}

#[test]
fn a_reduced_module_still_fails() {
    let divides = |funcs: &[Function]| {
        let f = &funcs[0];
        f.layout()
            .iter()
            .any(|&b| f.block_insts(b).any(|i| f.opcode(i) == Opcode::Udiv))
    };
    let (mut reduced, mut original) = (0, 0);
    for seed in 0..60 {
        let funcs = generate(seed, &Options::default());
        if divides(&funcs) {
            let small = reduce(&funcs, false, divides);
            assert!(divides(&small) && verify(&small[0]).is_ok());
            reduced += small[0].num_insts();
            original += funcs[0].num_insts();
        }
    }
    assert!(
        0 < reduced && reduced < original / 5,
        "{reduced} of {original}"
    );
}
