//! Reading text: heads, comments, run commands, and what is wrong with a text.

use nopal_ir::reader::{Comparison, RunCommand, parse_functions, parse_run_command, parse_test};
use nopal_ir::{
    AbiParam, Block, CallConv, DataValue, Entity, EntityRef, Inst, Opcode, Signature, Type, Value,
    ValueDef, verify,
};

const FILE: &str = "\
; About the file.
test run ; runs
test compile precise-output expect=x=y

set opt_level=speed enable_simd
target aarch64
set opt_level=none
target x86_64 has_avx has_sse41=false
feature \"a\"
feature ! \"b\"
; Before the first function.

function %first(i32) -> i32 {
; inside 1
    ss0 = explicit_slot 4 ; inside 2
block0(v0: i32):
    return v0 ; inside 3
}
; run: %first(1) == 1
; patch: off 0

function %second() fast {
block0:
    return
}\t; run
; end";

#[test]
fn heads_and_comments() {
    let file = parse_test(FILE).unwrap();
    let commands: Vec<_> = file
        .commands
        .iter()
        .map(|c| (c.line, c.name, c.options.len()))
        .collect();
    assert_eq!(commands, [(2, "run", 0), (3, "compile", 2)]);
    let option = file.commands[1].options[1];
    assert_eq!((option.name, option.value), ("expect", Some("x=y")));
    let settings: Vec<_> = file
        .settings
        .iter()
        .map(|s| (s.line, s.name, s.value))
        .collect();
    let want = [
        (5, "opt_level", Some("speed")),
        (5, "enable_simd", None),
        (7, "opt_level", Some("none")),
    ];
    assert_eq!(settings, want);
    let targets: Vec<_> = file
        .targets
        .iter()
        .map(|t| (t.line, t.triple, t.settings))
        .collect();
    assert_eq!(targets, [(6, "aarch64", 2), (8, "x86_64", 3)]);
    let flags: Vec<_> = file.targets[1]
        .flags
        .iter()
        .map(|f| (f.name, f.value))
        .collect();
    assert_eq!(flags, [("has_avx", None), ("has_sse41", Some("false"))]);
    let features: Vec<_> = file
        .features
        .iter()
        .map(|f| (f.line, f.name, f.present))
        .collect();
    assert_eq!(features, [(9, "a", true), (10, "b", false)]);

    let texts = |comments: &[nopal_ir::reader::Comment<'_>]| {
        for c in comments {
            assert!(FILE[c.start..].starts_with(c.text));
        }
        comments
            .iter()
            .map(|c| format!("{} {}", c.line, c.text))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts(&file.preamble_comments),
        [
            "1 ; About the file.",
            "2 ; runs",
            "11 ; Before the first function."
        ]
    );
    let [first, second] = &file.functions[..] else {
        panic!("not two functions");
    };
    assert_eq!(
        texts(&first.comments_inside),
        ["14 ; inside 1", "15 ; inside 2", "17 ; inside 3"]
    );
    assert_eq!(
        texts(&first.comments_after),
        ["19 ; run: %first(1) == 1", "20 ; patch: off 0"]
    );
    assert_eq!(texts(&second.comments_after), ["25 ; run", "26 ; end"]);
    assert!(FILE[first.range.clone()].starts_with("function %first"));
    assert!(FILE[first.range.clone()].ends_with('}'));
    assert_eq!(first.function.signature.call_conv, CallConv::SystemV);
    assert_eq!(second.function.signature.call_conv, CallConv::Fast);
    let line = |entity| first.line_of(entity);
    assert_eq!(line(Entity::Function), Some(13));
    assert_eq!(
        line(Entity::StackSlot(nopal_ir::StackSlot::new(0))),
        Some(15)
    );
    assert_eq!(line(Entity::Block(Block::new(0))), Some(16));
    assert_eq!(line(Entity::Inst(Inst::new(0))), Some(17));
    assert_eq!(line(Entity::Inst(Inst::new(1))), None);
    assert_eq!(line(Entity::Block(Block::new(1))), None);
}

#[test]
fn the_default_convention_depends_on_the_tests() {
    let conv = |head: &str| {
        let text = format!("{head}\nfunction %f() {{\nblock0:\n return\n}}");
        parse_test(&text).unwrap().functions[0]
            .function
            .signature
            .call_conv
    };
    assert_eq!(conv("test run"), CallConv::SystemV);
    assert_eq!(conv("test compile\ntest cat"), CallConv::Fast);
    assert_eq!(conv(""), CallConv::Fast);
}

fn signature(params: &[Type], returns: &[Type]) -> Signature {
    let mut sig = Signature::new(CallConv::Fast);
    sig.params = params.iter().copied().map(AbiParam::new).collect();
    sig.returns = returns.iter().copied().map(AbiParam::new).collect();
    sig
}

#[test]
fn run_commands() {
    let every = [
        Type::I8,
        Type::I16,
        Type::I32,
        Type::I64,
        Type::I128,
        Type::F16,
        Type::F32,
        Type::F64,
        Type::F128,
        Type::I8X16,
        Type::F32X4,
        Type::I16.by(2).unwrap(),
    ];
    let sig = signature(&every, &[Type::I32, Type::F32]);
    let comment = ";; run: %f(-1, 0xffff, 1_0, -0x8000_0000_0000_0000, -2, 0x1.0, +NaN:0x1, -Inf, \
        0x1.8p1, 0x000102030405060708090a0b0c0d0e0f, [0x1.0 -0.0, sNaN:0x1 0.0], [-1 2]) == [7, -0x1.0p-1]";
    let command = parse_run_command(comment, &sig).unwrap().unwrap();
    let RunCommand::Run {
        invocation,
        comparison,
        expected,
    } = &command
    else {
        panic!("{command}");
    };
    assert_eq!(*comparison, Comparison::Equals);
    assert_eq!(invocation.function.as_deref(), Some("f"));
    let bits: Vec<u128> = invocation.args.iter().map(|v| v.bits()).collect();
    assert_eq!(bits[..5], [0xff, 0xffff, 10, 1 << 63, u128::MAX - 1]);
    assert_eq!(bits[5..8], [0x3c00, 0x7fc0_0001, 0xfff0 << 48]);
    assert_eq!(bits[8], 0x4000_8000 << 96);
    assert_eq!(bits[9], 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
    assert_eq!(
        bits[10],
        0x3f80_0000 | 0x8000_0000 << 32 | 0x7f80_0001 << 64
    );
    assert_eq!(bits[11], 0x2_ffff);
    let want = [
        DataValue::new(Type::I32, 7),
        DataValue::new(Type::F32, 0xbf00_0000),
    ];
    assert_eq!(expected[..], want);
    assert!(command.accepts(&want));
    assert!(!command.accepts(&want[..1]));
    assert!(!command.accepts(&[want[0], DataValue::new(Type::F32, 0)]));
    // What is written is read as the same.
    let again = parse_run_command(&command.to_string(), &sig)
        .unwrap()
        .unwrap();
    assert_eq!(again, command);
}

#[test]
fn other_run_commands() {
    let int = signature(&[], &[Type::I32]);
    let parse = |text: &str, sig: &Signature| parse_run_command(text, sig);
    let bare = parse("; run", &int).unwrap().unwrap();
    assert!(bare.accepts(&[DataValue::new(Type::I32, 5)]));
    assert!(!bare.accepts(&[DataValue::new(Type::I32, 0)]));
    let none = parse("; run: %f() == []", &signature(&[], &[]))
        .unwrap()
        .unwrap();
    assert!(none.accepts(&[]));
    let other = parse("; run: %f() != -1", &int).unwrap().unwrap();
    assert!(other.accepts(&[DataValue::new(Type::I32, 0)]));
    assert!(!other.accepts(&[DataValue::new(Type::I32, u128::MAX)]));
    let print = parse("; print: %f(2)", &signature(&[Type::I8], &[]))
        .unwrap()
        .unwrap();
    assert_eq!(print.to_string(), "print: %f(2)");
    assert!(
        matches!(parse("; print", &int), Ok(Some(RunCommand::Print(i))) if i.function.is_none())
    );
    for text in [
        "; runs fast",
        "; check: v0",
        "",
        ";",
        "; patch: on 0",
        "; é",
    ] {
        assert_eq!(parse(text, &int), Ok(None), "{text}");
    }
    for (text, sig, message) in [
        (
            "; run",
            signature(&[], &[]),
            "1:6: expected `:`, as the function does not return one integer, found the end of the text",
        ),
        (
            "; run",
            signature(&[Type::I8], &[Type::I8]),
            "1:6: expected `:`, as the function has parameters, found the end of the text",
        ),
        (
            "; run: f() == 1",
            signature(&[], &[Type::I8]),
            "1:8: expected the name of a function, e.g. `%f`, found `f`",
        ),
        (
            "; run: %f(1) = 1",
            signature(&[Type::I8], &[Type::I8]),
            "1:16: expected `=`, found `1`",
        ),
        (
            "; run: %f(1)",
            signature(&[Type::I8], &[Type::I8]),
            "1:13: expected `==` or `!=`, found the end of the text",
        ),
        (
            "; run: %f() == 300",
            signature(&[], &[Type::I8]),
            "1:16: expected an integer of type i8, found `300`: too large a number",
        ),
        (
            "; run: %f(1, 2) == 3",
            signature(&[Type::I8], &[Type::I8]),
            "1:12: expected `)`: no more than 1 values, found `,`",
        ),
        (
            "; run: %f(1) == 3",
            signature(&[Type::I8; 2], &[Type::I8]),
            "1:12: expected `,`: 2 values, not 1, found `)`",
        ),
        (
            "; run: %f() == 3 4",
            signature(&[], &[Type::I8]),
            "1:18: expected the end of the command, found `4`",
        ),
        (
            "; run: %f() == 3",
            signature(&[], &[Type::I8; 2]),
            "1:16: expected `[`, found `3`",
        ),
        (
            "; run: %f() == 1.5",
            signature(&[], &[Type::F32]),
            "1:16: expected a float of 32 bits, found `1.5`: floats but 0.0 are written in hexadecimal, e.g. 0x1.8p3",
        ),
        (
            "; run: %f() == [1 2]",
            signature(&[], &[Type::I64.by(4).unwrap()]),
            "1:16: expected nothing: there are no values of type i64x4 here, found `[`",
        ),
    ] {
        assert_eq!(parse(text, &sig).unwrap_err().to_string(), message);
    }
}

#[test]
fn errors_say_where_and_what() {
    for (text, message) in [
        ("test", "1:1: expected the name of a test after `test`"),
        (
            "target\n",
            "1:1: expected the name of a machine after `target`",
        ),
        (
            "feature x",
            "1:1: expected a name between quotes after `feature`",
        ),
        ("func", "1:1: expected `function`, found `func`"),
        (
            "function",
            "1:9: expected a name, `%f` or `u0:0`, e.g. `u0`, found the end of the text",
        ),
        (
            "function %f",
            "1:12: expected `(`, found the end of the text",
        ),
        ("function %f(i3)", "1:13: expected a type, found `i3`"),
        (
            "function %f(i32) fats {",
            "1:18: expected a calling convention, found `fats`",
        ),
        ("function %f() {\n  é", "2:3: unexpected character 'é'"),
        (
            "function %f() {\n  \"abc",
            "2:3: this text between quotes does not end",
        ),
        (
            "function %f() {\n  jt0 = 1",
            "2:3: expected a declaration, a block or `}`, found `jt0`",
        ),
        (
            "function %f() {\n  ss0 = spill 1",
            "2:9: expected `explicit_slot`, found `spill`",
        ),
        (
            "function %f() {\n  ss0 = explicit_slot 8, align = 3",
            "2:34: an alignment is a power of two",
        ),
        (
            "function %f() {\n  ss0 = explicit_slot -8",
            "2:23: expected a size in bytes, found `-8`: too small a number",
        ),
        (
            "function %f() {\n  ss0 = explicit_slot 8\n  ss0 = explicit_slot 8",
            "3:3: `ss0` is declared already",
        ),
        (
            "function %f() {\n  gv0 = heap",
            "2:9: `heap` is not a kind of global value",
        ),
        (
            "function %f() {\n  gv0 = iadd_imm.i64 gv1, 2 }",
            "2:22: `gv1` is not declared",
        ),
        (
            "function %f() {\n  fn0 = %g sig1 }",
            "2:12: `sig1` is not declared",
        ),
        (
            "function %f() {\nblock0:\nblock0:",
            "3:1: `block0` is there already",
        ),
        (
            "function %f() {\nblock0:\n  iad v0",
            "3:3: expected an opcode, found `iad`",
        ),
        (
            "function %f() {\nblock0:\n  v0 = iconst 1",
            "3:15: expected the type of an integer of up to 64 bits before the number, found `1`",
        ),
        (
            "function %f() {\nblock0:\n  v0 = iconst.i8 256",
            "3:18: expected an integer of type i8, found `256`: too large a number",
        ),
        (
            "function %f() {\nblock0:\n  v0 = f32const 0x1.00000001p0",
            "3:17: expected a float of 32 bits, found `0x1.00000001p0`: too precise a number for this type",
        ),
        (
            "function %f() {\nblock0:\n  v0 = iadd v1, v2\n",
            "3:8: `iadd` needs a type, as `v1` is not defined before it, e.g. `iadd.i32`",
        ),
        (
            "function %f() {\nblock0:\n  v0 = bitcast v0\n",
            "3:8: `bitcast` needs a type, e.g. `bitcast.i32`",
        ),
        (
            "function %f() {\nblock0:\n  jump.i32 block0\n",
            "3:3: `jump` takes no type",
        ),
        (
            "function %f() {\nblock0:\n  v0 = iadd.i32 v1, v2\n return\n}",
            "3:17: `v1` is not defined",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v0 = ineg v0\n}",
            "3:3: `v0` is defined already",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v1 = trapz v0, user1\n}",
            "3:8: `trapz` has 0 results, but 1 are named",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  ineg v0\n}",
            "3:3: `ineg` has 1 result, but 0 are named",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v1 = isplit v0\n}",
            "3:8: `isplit` has 2 results, but 1 are named",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v1 v0\n}",
            "3:6: expected `,`, `=` or `->`, found `v0`",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v1 -> v2\n}",
            "3:9: `v2` is not defined before its alias",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v0 -> v0\n}",
            "3:9: `v0` would be an alias of itself",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  trapz v0, user0\n}",
            "3:13: expected a trap code, e.g. `user1`, found `user0`",
        ),
        (
            "function %f() {\nblock0(v0: i64):\n  v1 = load.i32 little big v0\n}",
            "3:24: both `little` and `big`",
        ),
        (
            "function %f() {\nblock0(v0: i64):\n  v1 = load.i32 v0+0x8000_0000\n}",
            "3:19: an offset has 32 bits",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v1 = icmp less v0, v0\n}",
            "3:13: expected a condition, found `less`",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  jump block9\n}",
            "3:8: there is no `block9`",
        ),
        (
            "function %f() {\n fn0 = %g() fast\nblock0:\n  patchable_call fn0()\n}",
            "4:3: `patchable_call` of `fn0`, which is not patchable",
        ),
        (
            "function %f() {\nblock0(v0: i32):\n  v1 = ineg v0, site=1\n}",
            "3:15: `ineg` ends before this",
        ),
        (
            "function %f() {\n fn0 = %g() fast\nblock0:\n  call fn0(), site=1, site=2\n}",
            "4:23: expected `stack_map`, `site` or `observe`, each once, found `site`",
        ),
        (
            "function %f() {\nblock0:\n  return\n} x",
            "4:3: expected `function`, found `x`",
        ),
        (
            "function %f() {\nblock0:\n  @123456789 return\n}",
            "3:3: expected a source location, found `@123456789`: too large a number",
        ),
    ] {
        match parse_functions(text) {
            Ok(_) => panic!("no error in {text}"),
            Err(e) => assert_eq!(e.to_string(), message, "{text}"),
        }
    }
}

#[test]
fn columns_count_characters() {
    let e = parse_functions("function %\"éé\"(x").unwrap_err();
    assert_eq!((e.line, e.column), (1, 16));
}

#[test]
fn results_without_consecutive_numbers_get_new_ones() {
    let text = "function %f(i64) -> i32, i32 fast {
    block0(v1: i64):
        v9 = iadd.i32 v7, v5
        v7, v5 = isplit v1
        v3 -> v7
        return v3, v5
    }";
    let func = &parse_functions(text).unwrap()[0];
    let split = func.block_insts(func.layout()[0]).nth(1).unwrap();
    assert_eq!(func.opcode(split), Opcode::Isplit);
    let results: Vec<Value> = func.inst_results(split).collect();
    assert_eq!(results[1].as_u32(), results[0].as_u32() + 1);
    assert_eq!(func.resolve(Value::new(7)), results[0]);
    assert_eq!(func.resolve(Value::new(5)), results[1]);
    let printed = func.to_string();
    assert!(printed.contains("v10, v11 = isplit v1"), "{printed}");
    assert!(printed.contains("return v10, v11"), "{printed}");
    // A use before the definition is an error of the verifier's, not of the reader's.
    assert_eq!(verify(func).unwrap_err().len(), 2);
}

#[test]
fn numbers_that_are_not_used_are_no_values() {
    let text = "function %f() fast {\nblock3:\n    v4 = iconst.i8 1\n    return\n}\n";
    let func = &parse_functions(text).unwrap()[0];
    assert_eq!(func.value_def(Value::new(2)), ValueDef::None);
    assert_eq!(func.get_value(Value::new(2)), None);
    assert_eq!(func.to_string(), text);
    assert_eq!(verify(func), Ok(()));
}

#[test]
fn long_texts_are_read_in_linear_time() {
    // 400 KB in which anything quadratic would take minutes.
    let mut text = String::from("function %f(i64) fast {\n");
    for n in 0..4000 {
        text += &format!(
            "ss{n} = explicit_slot 8, key = {n}\ngv{n} = symbol %s{n}\nfn{n} = %g{n}() fast\n"
        );
    }
    text += "block0(v0: i64):\n";
    for n in 1..8000 {
        text += &format!("v{n} = iadd v{}, v0 ; {n}\nv{} -> v{n}\n", n - 1, n + 8000);
    }
    text += "return\n}\n";
    let func = &parse_functions(&text).unwrap()[0];
    assert_eq!(func.num_insts(), 8000);
    assert_eq!(verify(func), Ok(()));
    assert!(func.to_string().len() > 100_000);
}

#[test]
fn signatures_of_functions_have_the_next_number() {
    let text = "function %f(i64) fast {
    sig0 = (i64) tail
    fn5 = %a(f32) system_v
    fn1 = %b sig1
    sig7 = () winch
    fn2 = %c(f64) patchable
    fn3 = colocated %d sig8
block0(v0: i64):
    v1 = f32const 0.0
    v2 = f64const 0.0
    call fn1(v1)
    call_indirect sig1, v0(v1)
    call_indirect sig8, v0(v2)
    return
}";
    let func = &parse_functions(text).unwrap()[0];
    assert_eq!(verify(func), Ok(()));
    let sigs: Vec<_> = func.sigs().iter().map(ToString::to_string).collect();
    let want = [
        "(i64) tail",
        "() winch",
        "(f32) system_v",
        "(f64) preserve_all",
    ];
    assert_eq!(sigs, want);
    let patchable: Vec<_> = func.ext_funcs().iter().map(|f| f.patchable).collect();
    assert_eq!(patchable, [false, true, true, false]);
}

/// Whether a number stands for itself does not depend on what is not printed again.
#[test]
fn numbers_stay_when_comments_and_aliases_go() {
    let comment = format!("; {}\n", "long ".repeat(4000));
    let aliases: String = (0..500).map(|n| format!("v{n} -> v600\n")).collect();
    for (value, block) in [(600, 128), (900, 999), (4000, 20_000)] {
        let text = format!(
            "function %f(f32) -> f32 {{
             block{block}(v{value}: f32): {comment}
                 v600 = fneg v{value}
                 {aliases}
                 v601 = fadd v1, v499
                 return v601
             }}"
        );
        let text = text.replace("v600 = fneg v600\n", "");
        let once = parse_functions(&text).unwrap()[0].to_string();
        let again = parse_functions(&once).unwrap()[0].to_string();
        assert_eq!(once, again);
    }
}
