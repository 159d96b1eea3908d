//! What the builder makes of variables.

use nopal_ir::{
    Block, BuilderContext, CallConv, ExternalName, Function, FunctionBuilder, InstData, IntCC,
    Opcode, Signature, Type, Value, ValueDef,
};

fn build(body: impl FnOnce(&mut FunctionBuilder<'_>)) -> Function {
    let name = ExternalName::Named("f".into());
    let mut func = Function::new(name, Signature::new(CallConv::Fast));
    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    body(&mut b);
    b.finalize();
    func
}

fn returned(func: &Function, block: Block) -> Vec<Value> {
    match *func.inst(func.terminator(block).unwrap()) {
        InstData::MultiAry { args, .. } => func.lists.iter(args).collect(),
        other => panic!("not a return: {other:?}"),
    }
}

fn begin(b: &mut FunctionBuilder<'_>) -> Block {
    let block = b.create_block();
    b.switch_to_block(block);
    block
}

fn num_params(func: &Function) -> usize {
    func.layout()
        .iter()
        .map(|&b| func.block_params(b).len())
        .sum()
}

#[test]
fn a_merge_of_two_values_gets_a_parameter() {
    let mut end = None;
    let mut values = Vec::new();
    let func = build(|b| {
        let (x, same) = (b.declare_var(Type::I32), b.declare_var(Type::I32));
        begin(b);
        let (yes, no, merge) = (b.create_block(), b.create_block(), b.create_block());
        let c = b.iconst(Type::I32, 7);
        b.def_var(same, c);
        b.brif(c, yes, &[], no, &[]);
        b.seal_block(yes);
        b.seal_block(no);
        for block in [yes, no] {
            b.switch_to_block(block);
            let v = b.iconst(Type::I32, 1);
            b.def_var(x, v);
            values.push(v);
            b.jump(merge, &[]);
        }
        b.seal_block(merge);
        b.switch_to_block(merge);
        let both = [b.use_var(x), b.use_var(same)];
        assert_eq!(both[1], c);
        b.return_(&both);
        end = Some(merge);
    });
    let merge = end.unwrap();
    let params: Vec<_> = func.block_params(merge).collect();
    assert_eq!(params.len(), 1);
    assert_eq!(returned(&func, merge)[0], params[0]);
    let mut args = Vec::new();
    for &block in func.layout() {
        func.for_each_edge(func.terminator(block).unwrap(), |e| {
            args.extend(func.block_call_args(e));
        });
    }
    assert_eq!(args, values);
}

#[test]
fn a_loop_has_parameters_only_for_what_it_changes() {
    let mut blocks = Vec::new();
    let func = build(|b| {
        let (i, n) = (b.declare_var(Type::I32), b.declare_var(Type::I32));
        begin(b);
        let zero = b.iconst(Type::I32, 0);
        b.def_var(i, zero);
        b.def_var(n, zero);
        let (head, exit) = (b.create_block(), b.create_block());
        b.jump(head, &[]);
        b.switch_to_block(head);
        let (iv, nv) = (b.use_var(i), b.use_var(n));
        let next = b.iadd(iv, nv);
        b.def_var(i, next);
        let c = b.icmp(IntCC::Equal, next, nv);
        b.brif(c, head, &[], exit, &[]);
        b.seal_block(head);
        b.seal_block(exit);
        b.switch_to_block(exit);
        let (i, n) = (b.use_var(i), b.use_var(n));
        b.return_(&[i, n]);
        blocks.extend([head, exit]);
        blocks.push(Block::from_u32(zero.as_u32()));
    });
    let zero = Value::from_u32(blocks[2].as_u32());
    let params: Vec<_> = func.block_params(blocks[0]).collect();
    assert_eq!(params.len(), 1);
    assert_eq!(func.value_def(params[0]), ValueDef::Param(blocks[0], 0));
    assert_eq!(num_params(&func), 1);
    let next = returned(&func, blocks[1]);
    assert_eq!(next[1], zero);
    let ValueDef::Result(inst, 0) = func.value_def(next[0]) else {
        panic!("not a result")
    };
    assert_eq!(
        *func.inst(inst),
        InstData::Binary {
            opcode: Opcode::Iadd,
            args: [params[0], zero]
        }
    );
}

#[test]
fn a_definition_in_the_header_is_not_lost_when_it_is_sealed() {
    let mut end = None;
    let mut defined = None;
    let func = build(|b| {
        let x = b.declare_var(Type::I64);
        begin(b);
        let start = b.iconst(Type::I64, 1);
        b.def_var(x, start);
        let (head, body, exit) = (b.create_block(), b.create_block(), b.create_block());
        b.jump(head, &[]);
        b.switch_to_block(head);
        let old = b.use_var(x);
        let new = b.iadd(old, old);
        b.def_var(x, new);
        b.brif(new, body, &[], exit, &[]);
        b.seal_block(body);
        b.switch_to_block(body);
        b.jump(head, &[]);
        b.seal_block(head);
        b.seal_block(exit);
        b.switch_to_block(exit);
        let v = b.use_var(x);
        b.return_(&[v]);
        end = Some(exit);
        defined = Some(new);
    });
    assert_eq!(returned(&func, end.unwrap()), [defined.unwrap()]);
}

#[test]
fn undefined_variables_are_zero() {
    let mut end = None;
    let func = build(|b| {
        let vars = [Type::F32, Type::I8, Type::F64].map(|ty| b.declare_var(ty));
        let entry = begin(b);
        let next = b.create_block();
        b.iconst(Type::I32, 5);
        b.jump(next, &[]);
        b.seal_block(entry);
        b.seal_block(next);
        b.switch_to_block(next);
        let values = vars.map(|v| b.use_var(v));
        b.return_(&values);
        end = Some(next);
        // Nothing leads here: the constant is local.
        let dead = begin(b);
        b.seal_block(dead);
        assert!(b.is_unreachable());
        let v = b.use_var(vars[1]);
        b.return_(&[v]);
    });
    let entry = func.layout()[0];
    let opcodes: Vec<_> = func.block_insts(entry).map(|i| func.opcode(i)).collect();
    assert_eq!(
        opcodes,
        [
            Opcode::F32const,
            Opcode::Iconst,
            Opcode::F64const,
            Opcode::Iconst,
            Opcode::Jump
        ]
    );
    let values = returned(&func, end.unwrap());
    for (n, (v, ty)) in values
        .iter()
        .zip([Type::F32, Type::I8, Type::F64])
        .enumerate()
    {
        assert_eq!(func.value_type(*v), ty);
        let inst = func.block_insts(entry).nth(n).unwrap();
        assert_eq!(func.value_def(*v), ValueDef::Result(inst, 0));
        assert_eq!(func.first_result(inst), *v);
    }
    let dead = func.layout()[2];
    assert_eq!(func.block_insts(dead).count(), 2);
}
