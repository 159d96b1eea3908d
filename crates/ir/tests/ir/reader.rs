//! Reading text: what is well-formed.

use nopal_ir::reader::{parse_functions, parse_test};
use nopal_ir::{Function, Opcode, verify};

pub(crate) const FILES: &[(&str, &str)] = &[
    ("every_opcode", include_str!("golden/every_opcode.clif")),
    ("every_entity", include_str!("clif/every_entity.clif")),
    ("control", include_str!("clif/control.clif")),
    ("operations", include_str!("clif/operations.clif")),
    ("extensions", include_str!("clif/extensions.clif")),
];

pub(crate) fn read(text: &str) -> Vec<Function> {
    parse_functions(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn print(functions: &[Function]) -> String {
    let texts: Vec<_> = functions.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

#[test]
fn what_is_printed_is_read_as_the_same_functions() {
    for (name, text) in FILES {
        let functions = read(text);
        for func in &functions {
            assert_eq!(verify(func), Ok(()), "{name}");
        }
        let printed = print(&functions);
        let again = print(&read(&printed));
        assert_eq!(again, printed, "{name}");
        if printed != *text {
            crate::print::check_golden(&format!("{name}_printed.clif"), &printed);
        }
    }
}

#[test]
fn the_files_have_every_opcode() {
    let mut missing: Vec<Opcode> = Opcode::ALL.to_vec();
    for (_, text) in FILES {
        for func in read(text) {
            for &block in func.layout() {
                for inst in func.block_insts(block) {
                    missing.retain(|&op| op != func.opcode(inst));
                }
            }
        }
    }
    assert_eq!(missing, []);
}

#[test]
fn head_and_comments_of_a_file() {
    let file = parse_test(FILES[1].1).unwrap();
    let options = file.settings.iter().map(|s| (s.name, s.value));
    assert_eq!(
        options.collect::<Vec<_>>(),
        [
            ("opt_level", Some("none")),
            ("preserve_frame_pointers", None)
        ]
    );
    assert_eq!(file.targets.len(), 2);
}
