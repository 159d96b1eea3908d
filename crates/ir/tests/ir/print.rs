//! The text of functions.

use crate::samples::{every_opcode, signature};
use nopal_ir::{
    BlockCall, CallConv, ExternalName, FuncRef, Function, InstData, JumpTable, Opcode,
    PackedOption, SiteAttr, SourceLoc, Type, Value, ValueList,
};
use std::path::Path;

/// Compares with a file beside the tests; `NOPAL_BLESS=1` writes it.
pub(crate) fn check_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/ir/golden")
        .join(name);
    if std::env::var_os("NOPAL_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, want, "{name} differs; NOPAL_BLESS=1 rewrites it");
}

#[test]
fn every_opcode_is_as_in_the_golden_file() {
    let text = every_opcode().to_string();
    check_golden("every_opcode.clif", &text);
}

#[test]
fn a_function_without_preamble_and_locations() {
    let mut func = Function::new(
        ExternalName::Named("f".into()),
        signature(&[], &[], CallConv::SystemV),
    );
    let block = func.create_block();
    func.begin_block(block);
    let args = ValueList::default();
    let opcode = Opcode::Return;
    func.push_inst(InstData::MultiAry { opcode, args }, SourceLoc::NONE);
    let text = func.to_string();
    assert_eq!(text, "function %f() system_v {\nblock0:\n    return\n}\n");
}

#[test]
fn aliases_are_written_as_what_they_stand_for() {
    let mut func = Function::new(
        ExternalName::Named("f".into()),
        signature(&[], &[], CallConv::Fast),
    );
    let block = func.create_block();
    func.begin_block(block);
    let [a, b] = [0; 2].map(|_| func.append_block_param(block, Type::I32));
    let opcode = Opcode::Ineg;
    let data = InstData::Unary { opcode, arg: b };
    let inst = func.push_inst_with_results(data, Type::INVALID, SourceLoc::NONE);
    func.remove_block_param(block, 1, a);
    assert_eq!(func.display_inst(inst).to_string(), "v2 = ineg v0");
}

#[test]
fn references_that_lead_nowhere_are_written() {
    let mut func = Function::new(
        ExternalName::Named("f".into()),
        signature(&[], &[], CallConv::Fast),
    );
    let block = func.create_block();
    func.begin_block(block);
    let mut other = Function::new(
        ExternalName::Named("g".into()),
        signature(&[], &[], CallConv::Fast),
    );
    let foreign = other.lists.list(&[Value::from_u32(1); 9]);
    let far = Value::from_u32(99);
    for (data, text) in [
        (
            InstData::Binary {
                opcode: Opcode::Iadd,
                args: [far; 2],
            },
            "iadd v99, v99",
        ),
        (
            InstData::BranchTable {
                opcode: Opcode::BrTable,
                arg: far,
                table: JumpTable::from_u32(3),
            },
            "br_table v99, jt3",
        ),
        (
            InstData::Jump {
                opcode: Opcode::Jump,
                dest: BlockCall::from_u32(5),
            },
            "jump edge5",
        ),
        (
            InstData::Call {
                opcode: Opcode::Call,
                func: FuncRef::from_u32(4),
                args: foreign,
                attrs: PackedOption::from(SiteAttr::from_u32(2)),
            },
            "call fn4(<no such list>), site2",
        ),
    ] {
        let inst = func.push_inst(data, SourceLoc::NONE);
        assert_eq!(func.display_inst(inst).to_string(), text);
    }
    assert!(func.to_string().ends_with("site2\n}\n"));
}
