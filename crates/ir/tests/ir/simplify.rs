//! Simplified code computes what the code as written computes.

use crate::common::{Outcome, Rng, arithmetic, interpret};
use nopal_ir::{
    AbiParam, BuilderContext, CallConv, ExternalName, Function, FunctionBuilder, InstData, IntCC,
    Opcode, Signature, TrapCode, Type, Value,
};

const INTS: [Type; 4] = [Type::I8, Type::I16, Type::I32, Type::I64];

fn build(simplify: bool, body: impl FnOnce(&mut FunctionBuilder<'_>)) -> Function {
    let mut sig = Signature::new(CallConv::Fast);
    sig.params = INTS.map(AbiParam::new).to_vec();
    let mut func = Function::new(ExternalName::Named("f".into()), sig);
    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.set_simplify(simplify);
    body(&mut b);
    b.finalize();
    func
}

fn with_type(b: &FunctionBuilder<'_>, rng: &mut Rng, pool: &[Value], ty: Type) -> Value {
    loop {
        let v = rng.pick(pool);
        if b.func.value_type(v) == ty {
            return v;
        }
    }
}

const BINARY: &[fn(&mut FunctionBuilder<'_>, Value, Value) -> Value] = &[
    |b, x, y| b.iadd(x, y),
    |b, x, y| b.isub(x, y),
    |b, x, y| b.imul(x, y),
    |b, x, y| b.udiv(x, y),
    |b, x, y| b.sdiv(x, y),
    |b, x, y| b.urem(x, y),
    |b, x, y| b.srem(x, y),
    |b, x, y| b.band(x, y),
    |b, x, y| b.bor(x, y),
    |b, x, y| b.bxor(x, y),
    |b, x, y| b.ishl(x, y),
    |b, x, y| b.ushr(x, y),
    |b, x, y| b.sshr(x, y),
    |b, x, y| b.rotl(x, y),
    |b, x, y| b.rotr(x, y),
];

const UNARY: &[fn(&mut FunctionBuilder<'_>, Value) -> Value] = &[
    |b, x| b.ineg(x),
    |b, x| b.bnot(x),
    |b, x| b.clz(x),
    |b, x| b.ctz(x),
    |b, x| b.popcnt(x),
];

fn random_value(b: &mut FunctionBuilder<'_>, rng: &mut Rng, pool: &[Value]) -> Value {
    let ty = rng.pick(&INTS);
    let x = with_type(b, rng, pool, ty);
    match rng.below(12) {
        0..=3 => {
            let y = with_type(b, rng, pool, ty);
            rng.pick(BINARY)(b, x, y)
        }
        4 => rng.pick(UNARY)(b, x),
        5 => {
            let y = with_type(b, rng, pool, ty);
            b.icmp(rng.pick(IntCC::ALL), x, y)
        }
        6 => {
            let c = rng.pick(pool);
            let y = with_type(b, rng, pool, ty);
            b.select(c, x, y)
        }
        7..=9 => {
            let to = rng.pick(&INTS);
            match to.bits().cmp(&ty.bits()) {
                std::cmp::Ordering::Less => b.ireduce(to, x),
                std::cmp::Ordering::Equal => x,
                std::cmp::Ordering::Greater if rng.below(2) == 0 => b.uextend(to, x),
                std::cmp::Ordering::Greater => b.sextend(to, x),
            }
        }
        10 => {
            if rng.below(8) == 0 {
                b.trapnz(x, TrapCode::INTEGER_OVERFLOW);
            }
            x
        }
        _ => {
            let special = [0, 1, -1, i64::MIN, i64::MAX, rng.next() as i64];
            b.iconst(ty, rng.pick(&special))
        }
    }
}

#[test]
fn random_code_has_the_same_outcome() {
    let (mut shorter, mut returned) = (0, 0);
    for seed in 0..3000 {
        let body = |b: &mut FunctionBuilder<'_>| {
            let mut rng = Rng(seed);
            let mut pool: Vec<_> = b.block_params(b.current_block().unwrap()).collect();
            for ty in INTS {
                for n in [0, 1, -1, 7] {
                    pool.push(b.iconst(ty, n));
                }
            }
            for _ in 0..20 {
                let v = random_value(b, &mut rng, &pool);
                pool.push(v);
            }
            let results: Vec<_> = (0..6).map(|_| rng.pick(&pool)).collect();
            b.return_(&results);
        };
        let (plain, simple) = (build(false, body), build(true, body));
        let mut rng = Rng(!seed);
        let args = INTS.map(|ty| {
            let n = rng.next() as i64;
            arithmetic(Opcode::Iadd, ty, n, 0).unwrap()
        });
        let (want, got) = (
            interpret(&plain, &args, 1000),
            interpret(&simple, &args, 1000),
        );
        assert_eq!(want, got, "seed {seed}");
        shorter += usize::from(count(&simple) < count(&plain));
        returned += usize::from(matches!(got, Outcome::Returned(_)));
    }
    assert!(shorter > 1000, "{shorter} of 3000 became shorter");
    assert!(returned > 1000, "{returned} of 3000 returned");
}

/// Number of instructions that are not constants.
fn count(func: &Function) -> usize {
    func.block_insts(func.layout()[0])
        .filter(|&i| func.opcode(i) != Opcode::Iconst)
        .count()
}

#[test]
fn folds_what_it_promises() {
    build(true, |b| {
        let params: Vec<_> = b.block_params(b.current_block().unwrap()).collect();
        let (x, y, wide) = (params[2], params[1], params[3]);
        let [zero, one, three] = [0, 1, 3].map(|n| b.iconst(Type::I32, n));
        assert_eq!(b.iadd(x, zero), x);
        assert_eq!(b.iadd(zero, x), x);
        assert_eq!(b.imul(x, one), x);
        assert_eq!(b.bor(x, x), x);
        let sum = b.iadd(one, three);
        assert_eq!(imm(b, sum), 4);
        let up = b.uextend(Type::I64, x);
        assert_eq!(b.ireduce(Type::I32, up), x);
        let eq = b.icmp(IntCC::Equal, x, three);
        let eq = b.uextend(Type::I32, eq);
        let ne = b.icmp(IntCC::Equal, eq, zero);
        let ValueIs::Compare(cond) = kind(b, ne) else {
            panic!("not a comparison")
        };
        assert_eq!(cond, IntCC::NotEqual);
        let swapped = b.icmp(IntCC::SignedLessThan, three, x);
        assert_eq!(kind(b, swapped), ValueIs::Compare(IntCC::SignedGreaterThan));
        assert_eq!(b.select(one, y, y), y);
        assert_eq!(b.bitcast(Type::I64, wide), wide);
        // A division that traps stays.
        let trap = b.udiv(three, zero);
        assert_eq!(kind(b, trap), ValueIs::Other);
        b.return_(&[]);
    });
}

#[derive(Debug, PartialEq)]
enum ValueIs {
    Const(i64),
    Compare(IntCC),
    Other,
}

fn kind(b: &FunctionBuilder<'_>, v: Value) -> ValueIs {
    match b.func.value_def(v) {
        nopal_ir::ValueDef::Result(inst, 0) => match *b.func.inst(inst) {
            InstData::UnaryImm { imm, .. } => ValueIs::Const(imm),
            InstData::IntCompare { cond, .. } => ValueIs::Compare(cond),
            _ => ValueIs::Other,
        },
        _ => ValueIs::Other,
    }
}

fn imm(b: &FunctionBuilder<'_>, v: Value) -> i64 {
    match kind(b, v) {
        ValueIs::Const(n) => n,
        other => panic!("{other:?}"),
    }
}
