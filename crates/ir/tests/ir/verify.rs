//! What the verifier objects to.

use crate::samples::{every_opcode, import, signature};
use nopal_ir::{
    Block, BlockCall, BuilderContext, CallConv, ExtFunc, ExternalName, FloatCC, Function,
    FunctionBuilder, Inst, InstData, IntCC, JumpTable, JumpTableData, MemFlags, Opcode,
    PackedOption, SigRef, SiteAttr, SourceLoc, StackSlot, StackSlotData, Type, Value, ValueList,
    verify,
};

/// The errors of `fn f(i32, i64) -> i32 { block0(v0, v1): body; block1(v2: i64) }`, whose block1
/// is empty and reached by nothing unless `body` changes that.
fn errors(body: impl FnOnce(&mut Function)) -> Vec<String> {
    let sig = signature(&[Type::I32, Type::I64], &[Type::I32], CallConv::Fast);
    let mut func = Function::new(ExternalName::Named("f".into()), sig);
    let entry = func.create_block();
    func.append_block_param(entry, Type::I32);
    func.append_block_param(entry, Type::I64);
    let other = func.create_block();
    func.append_block_param(other, Type::I64);
    func.begin_block(entry);
    body(&mut func);
    match verify(&func) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn v(n: u32) -> Value {
    Value::from_u32(n)
}

fn push(func: &mut Function, data: InstData, results: &[Type]) -> Inst {
    let inst = func.push_inst(data, SourceLoc::NONE);
    for &ty in results {
        func.push_result(inst, ty);
    }
    inst
}

fn unary(opcode: Opcode, arg: u32) -> InstData {
    InstData::Unary {
        opcode,
        arg: v(arg),
    }
}

fn binary(opcode: Opcode, x: u32, y: u32) -> InstData {
    InstData::Binary {
        opcode,
        args: [v(x), v(y)],
    }
}

fn ret(func: &mut Function, values: &[u32]) {
    let values: Vec<_> = values.iter().map(|&n| v(n)).collect();
    let args = func.lists.list(&values);
    let opcode = Opcode::Return;
    push(func, InstData::MultiAry { opcode, args }, &[]);
}

fn jump(func: &mut Function, to: u32, args: &[u32]) {
    let args: Vec<_> = args.iter().map(|&n| v(n)).collect();
    let dest = func.create_block_call(Block::from_u32(to), &args);
    let opcode = Opcode::Jump;
    push(func, InstData::Jump { opcode, dest }, &[]);
}

/// One instruction with these results, then a return: the errors of the former.
fn inst_errors(data: InstData, results: &[Type]) -> Vec<String> {
    errors(|func| {
        push(func, data, results);
        ret(func, &[0]);
    })
}

/// The only error, without the entity it is about.
fn only(errors: Vec<String>) -> String {
    let [error] = errors.as_slice() else {
        panic!("not one error: {errors:#?}");
    };
    let (_, message) = error.rsplit_once("`: ").or(error.split_once(": ")).unwrap();
    message.to_string()
}

#[test]
fn well_formed_functions_pass() {
    assert_eq!(verify(&every_opcode()), Ok(()));
    assert_eq!(errors(|func| ret(func, &[0])), [""; 0]);
}

#[test]
fn errors_name_the_instruction() {
    let errors = inst_errors(binary(Opcode::Iadd, 0, 1), &[Type::I32]);
    assert_eq!(
        errors,
        ["inst0 `v3 = iadd v0, v1`: v1 has type i64, but v0 has type i32"]
    );
}

#[test]
fn blocks_and_terminators() {
    let none = errors(|func| *func = Function::new(func.name.clone(), func.signature.clone()));
    assert_eq!(none, ["function: has no blocks"]);
    assert_eq!(errors(|_| {}), ["block0: is empty"]);
    let open = errors(|func| {
        push(func, unary(Opcode::Ineg, 0), &[Type::I32]);
    });
    assert_eq!(
        open,
        ["inst0 `v3 = ineg v0`: block0 does not end with a terminator"]
    );
    let early = errors(|func| {
        ret(func, &[0]);
        ret(func, &[0]);
    });
    assert_eq!(only(early), "a terminator in the middle of block0");
    let twice = errors(|func| {
        ret(func, &[0]);
        func.begin_block(Block::from_u32(0));
    });
    assert_eq!(twice, ["block0: is twice in the layout"]);
    let params = errors(|func| {
        func.signature.params.pop();
        func.signature.params[0].ty = Type::F32;
        ret(func, &[0]);
    });
    assert_eq!(
        params,
        [
            "block0: has 2 parameters, but the function has 1",
            "block0: parameter 0 has type i32, but that of the function has type f32"
        ]
    );
}

#[test]
fn edges() {
    let edge = |to, args: &'static [u32]| {
        only(errors(|func| {
            jump(func, to, args);
            func.begin_block(Block::from_u32(1));
            ret(func, &[0]);
        }))
    };
    assert_eq!(edge(1, &[]), "0 arguments, but block1 has 1");
    assert_eq!(
        edge(1, &[0]),
        "argument 0, v0, has type i32, but block1 has i64"
    );
    assert_eq!(edge(0, &[0, 1]), "branches to block0, the entry");
    assert_eq!(edge(7, &[]), "block7 does not exist");
    let unplaced = errors(|func| jump(func, 1, &[1]));
    assert_eq!(only(unplaced), "block1 is not in the layout");
    let dest = BlockCall::from_u32(3);
    let opcode = Opcode::Jump;
    let nowhere = errors(|func| {
        push(func, InstData::Jump { opcode, dest }, &[]);
    });
    assert_eq!(only(nowhere), "edge3 does not exist");
    let opcode = Opcode::Brif;
    let condition = errors(|func| {
        let float = push(
            func,
            InstData::UnaryIeee32 {
                opcode: Opcode::F32const,
                bits: 0,
            },
            &[Type::F32],
        );
        let arg = func.first_result(float);
        let dests = [0; 2].map(|_| func.create_block_call(Block::from_u32(1), &[v(1)]));
        push(func, InstData::Brif { opcode, arg, dests }, &[]);
        func.begin_block(Block::from_u32(1));
        ret(func, &[0]);
    });
    assert_eq!(only(condition), "v3 has type f32, but must be an integer");
}

#[test]
fn jump_tables() {
    let opcode = Opcode::BrTable;
    let missing = errors(|func| {
        let (arg, table) = (v(0), JumpTable::from_u32(2));
        push(func, InstData::BranchTable { opcode, arg, table }, &[]);
    });
    assert_eq!(only(missing), "jt2 does not exist");
    let wide = errors(|func| {
        let default = func.create_block_call(Block::from_u32(1), &[v(1)]);
        let table = vec![BlockCall::from_u32(9)];
        let table = func.create_jump_table(JumpTableData { default, table });
        push(
            func,
            InstData::BranchTable {
                opcode,
                arg: v(1),
                table,
            },
            &[],
        );
        func.begin_block(Block::from_u32(1));
        ret(func, &[0]);
    });
    assert_eq!(wide.len(), 2);
    assert!(wide[0].ends_with(": v1 has type i64, but must be i32"));
    assert!(wide[1].ends_with(": edge9 does not exist"));
}

#[test]
fn definitions_dominate_uses() {
    let missing = inst_errors(unary(Opcode::Ineg, 77), &[Type::I32]);
    assert_eq!(missing, ["inst0 `v3 = ineg v77`: v77 does not exist"]);
    let early = errors(|func| {
        push(func, unary(Opcode::Ineg, 4), &[Type::I32]);
        push(func, unary(Opcode::Ineg, 0), &[Type::I32]);
        ret(func, &[0]);
    });
    assert_eq!(
        only(early),
        "v4 is defined by inst1, which is not before it"
    );
    let foreign = inst_errors(unary(Opcode::Ineg, 2), &[Type::I64]);
    assert_eq!(
        only(foreign),
        "v2 is a parameter of block1, which is not in the layout"
    );
    let one_side = errors(|func| {
        let opcode = Opcode::Brif;
        let arg = v(0);
        let end = func.create_block();
        let dests = [
            func.create_block_call(Block::from_u32(1), &[v(1)]),
            func.create_block_call(end, &[]),
        ];
        push(func, InstData::Brif { opcode, arg, dests }, &[]);
        func.begin_block(Block::from_u32(1));
        jump(func, 2, &[]);
        func.begin_block(end);
        push(func, unary(Opcode::Ineg, 2), &[Type::I64]);
        ret(func, &[0]);
    });
    assert_eq!(
        only(one_side),
        "v2 is defined in block1, which does not dominate block2"
    );
    let unreachable = errors(|func| {
        ret(func, &[0]);
        func.begin_block(Block::from_u32(1));
        ret(func, &[0]);
    });
    assert_eq!(unreachable, [""; 0]);
}

#[test]
fn operand_types() {
    for (data, ty, message) in [
        (
            binary(Opcode::Fadd, 0, 0),
            Type::I32,
            "v0 has type i32, but must be a float or a vector of floats",
        ),
        (
            unary(Opcode::Uextend, 1),
            Type::I32,
            "v1 has type i64, but must be an integer narrower than the result",
        ),
        (
            unary(Opcode::Ireduce, 0),
            Type::I32,
            "v0 has type i32, but must be an integer wider than the result",
        ),
        (
            unary(Opcode::Fpromote, 0),
            Type::F64,
            "v0 has type i32, but must be a float narrower than the result",
        ),
        (
            unary(Opcode::Fdemote, 0),
            Type::F32,
            "v0 has type i32, but must be a float wider than the result",
        ),
        (
            unary(Opcode::Bitcast, 0),
            Type::F64,
            "v0 has type i32, but must be as wide as the result",
        ),
        (
            unary(Opcode::FcvtFromSint, 0),
            Type::I32,
            "the result has type i32, not a float or a fixed vector of floats",
        ),
        (
            unary(Opcode::Ineg, 0),
            Type::I64,
            "the result has type i64, not i32",
        ),
        (
            InstData::IntCompare {
                opcode: Opcode::Icmp,
                cond: IntCC::Equal,
                args: [v(0), v(0)],
            },
            Type::I32,
            "the result has type i32, not i8",
        ),
        (
            InstData::FloatCompare {
                opcode: Opcode::Fcmp,
                cond: FloatCC::Equal,
                args: [v(1), v(99)],
            },
            Type::I8,
            "v1 has type i64, but must be a float or a vector of floats",
        ),
        (
            unary(Opcode::Sextend, 0),
            Type::INVALID,
            "the result has type invalid, not an integer",
        ),
        (
            InstData::Ternary {
                opcode: Opcode::Select,
                args: [v(0), v(0), v(1)],
            },
            Type::I32,
            "v1 has type i64, but v0 has type i32",
        ),
        (
            InstData::UnaryImm {
                opcode: Opcode::Iconst,
                imm: 200,
            },
            Type::I8,
            "200 is not a sign-extended number of type i8",
        ),
        (
            InstData::Binary {
                opcode: Opcode::Ineg,
                args: [v(0), v(0)],
            },
            Type::I32,
            "operands of format Binary, but ineg has format Unary",
        ),
    ] {
        let found = inst_errors(data, &[ty]);
        assert!(
            found.iter().any(|e| e.ends_with(&format!(": {message}"))),
            "{message} is not among {found:#?}"
        );
    }
    assert_eq!(
        only(inst_errors(unary(Opcode::Ineg, 0), &[])),
        "has 0 results, not 1"
    );
}

#[test]
fn memory() {
    let (opcode, flags) = (Opcode::Load, MemFlags::new());
    let arg = v(0);
    let offset = 0;
    let load = |opcode, arg| InstData::Load {
        opcode,
        flags,
        arg,
        offset,
    };
    assert_eq!(
        only(inst_errors(load(opcode, arg), &[Type::F32])),
        "v0 has type i32, but must be an address, i64"
    );
    assert_eq!(
        only(inst_errors(load(Opcode::Sload16, v(1)), &[Type::I16])),
        "the result has type i16, not i32 or i64"
    );
    let store = |opcode, flags| InstData::Store {
        opcode,
        flags,
        args: [v(0), v(1)],
        offset,
    };
    assert_eq!(
        only(inst_errors(store(Opcode::Istore32, flags), &[])),
        "v0 has type i32, but must be i64"
    );
    assert_eq!(
        only(inst_errors(
            store(Opcode::Store, flags.with_readonly()),
            &[]
        )),
        "a store to memory that is readonly"
    );
    let opcode = Opcode::StackAddr;
    for (slot, offset, ty, message) in [
        (1, 0, Type::I64, "ss1 does not exist"),
        (0, 9, Type::I64, "offset 9 is outside of ss0"),
        (0, -1, Type::I64, "offset -1 is outside of ss0"),
        (
            0,
            7,
            Type::I32,
            "the result has type i32, not an address, i64",
        ),
    ] {
        let found = errors(|func| {
            func.create_stack_slot(StackSlotData {
                size: 8,
                align_shift: 3,
            });
            let slot = StackSlot::from_u32(slot);
            let data = InstData::StackAddr {
                opcode,
                slot,
                offset,
            };
            push(func, data, &[ty]);
            ret(func, &[0]);
        });
        assert_eq!(only(found), message);
    }
    let aligned = errors(|func| {
        func.create_stack_slot(StackSlotData {
            size: 8,
            align_shift: 40,
        });
        ret(func, &[0]);
    });
    assert_eq!(aligned, ["ss0: alignment 2^40 is too large"]);
}

#[test]
fn calls_and_returns() {
    assert_eq!(
        only(errors(|func| ret(func, &[1]))),
        "result 0, v1, has type i64, but the function has i32"
    );
    assert_eq!(
        only(errors(|func| ret(func, &[]))),
        "0 results, but the function has 1"
    );
    let call = |func: &mut Function, args: &[u32], results: &[Type]| {
        let sig = signature(&[Type::I64], &[Type::F32], CallConv::SystemV);
        let (_, callee) = import(func, "g", sig, false);
        let args: Vec<_> = args.iter().map(|&n| v(n)).collect();
        let data = InstData::Call {
            opcode: Opcode::Call,
            func: callee,
            args: func.lists.list(&args),
            attrs: PackedOption::NONE,
        };
        push(func, data, results);
        ret(func, &[0]);
    };
    assert_eq!(errors(|f| call(f, &[1], &[Type::F32])), [""; 0]);
    assert_eq!(
        only(errors(|f| call(f, &[0], &[Type::F32]))),
        "argument 0, v0, has type i32, but the callee has i64"
    );
    assert_eq!(
        only(errors(|f| call(f, &[1, 1], &[Type::F32]))),
        "2 arguments, but the callee has 1"
    );
    assert_eq!(
        only(errors(|f| call(f, &[1], &[]))),
        "0 results, but the callee has 1"
    );
    let indirect = |args: &'static [u32], sig| {
        errors(move |func| {
            func.import_signature(signature(&[Type::I32], &[], CallConv::Fast));
            let args: Vec<_> = args.iter().map(|&n| v(n)).collect();
            let data = InstData::CallIndirect {
                opcode: Opcode::CallIndirect,
                sig: SigRef::from_u32(sig),
                args: func.lists.list(&args),
            };
            push(func, data, &[]);
            ret(func, &[0]);
        })
    };
    assert_eq!(indirect(&[1, 0], 0), [""; 0]);
    assert_eq!(only(indirect(&[1, 0], 4)), "sig4 does not exist");
    assert_eq!(
        only(indirect(&[0, 0], 0)),
        "v0 has type i32, but must be an address, i64"
    );
    assert_eq!(indirect(&[], 0).len(), 2);
}

#[test]
fn patchable_calls() {
    let attrs = |patchable, attr| {
        errors(move |func| {
            let sig = signature(&[], &[], CallConv::PreserveAll);
            let (_, callee) = import(func, "hook", sig, patchable);
            func.create_site_attr(3, &[v(0)]);
            let data = InstData::Call {
                opcode: Opcode::Call,
                func: callee,
                args: ValueList::default(),
                attrs: SiteAttr::from_u32(attr).into(),
            };
            push(func, data, &[]);
            ret(func, &[0]);
        })
    };
    assert_eq!(attrs(true, 0), [""; 0]);
    assert_eq!(
        only(attrs(false, 0)),
        "site attributes, but fn0 is not patchable"
    );
    assert_eq!(only(attrs(true, 5)), "site5 does not exist");
    let no_signature = errors(|func| {
        func.import_function(ExtFunc {
            name: ExternalName::Named("g".into()),
            signature: SigRef::from_u32(6),
            colocated: false,
            patchable: false,
        });
        ret(func, &[0]);
    });
    assert_eq!(no_signature, ["fn0: sig6 does not exist"]);
}

#[test]
fn errors_are_limited() {
    let found = errors(|func| {
        for _ in 0..1000 {
            push(func, unary(Opcode::Ineg, 9999), &[Type::I32]);
        }
        ret(func, &[0]);
    });
    assert_eq!(found.len(), 100);
}

#[test]
fn a_builder_makes_well_formed_functions_unless_asked_not_to() {
    let sig = signature(&[Type::I32], &[], CallConv::Fast);
    let mut func = Function::new(ExternalName::Named("f".into()), sig);
    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    let entry = b.create_block();
    b.switch_to_block(entry);
    b.return_(&[]);
    b.finalize();
    let errors = verify(&func).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "block0: has 0 parameters, but the function has 1"
    );
}
