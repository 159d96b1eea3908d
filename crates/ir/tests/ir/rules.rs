//! What the verifier objects to in functions that are read from text.

use nopal_ir::reader::parse_test;
use nopal_ir::verify;

/// The errors of one function, each with its line, counted from that of the word `function`.
fn errors(text: &str) -> Vec<String> {
    let file = parse_test(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let f = &file.functions[0];
    let errors = verify(&f.function).err().unwrap_or_default();
    let line = |e: &nopal_ir::VerifierError| f.line_of(e.entity).unwrap_or(0);
    let errors = errors.iter().map(|e| format!("{}: {}", line(e), e.message));
    errors.collect()
}

/// The errors of a function whose body is `text`, with the parameters of the entry block.
fn body(text: &str) -> Vec<String> {
    errors(&format!(
        "function %f(i32, i64, f32, i8x16, i32x4) system_v {{ ss0 = explicit_slot 8
        gv0 = symbol %s
        gv1 = symbol tls %t
        gv2 = iadd_imm.i64 gv0, 1
        const0 = 0x0102
        region0 = 1 \"r\"
        sig0 = (i32) -> i64 tail
        sig1 = () -> i64 windows_fastcall
        fn0 = %g sig0
        fn1 = colocated patchable %hook() preserve_all
        fn2 = patchable %far() fast
        fn3 = colocated patchable %value() -> i32 fast
        block0(v0: i32, v1: i64, v2: f32, v3: i8x16, v4: i32x4):
        {text}\n}}"
    ))
}

#[track_caller]
fn check(found: &[String], want: &[&str]) {
    let text = |e: &String| {
        e.split_once(": ")
            .map(|e| e.1.to_string())
            .unwrap_or_default()
    };
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), want);
}

#[test]
fn errors_are_found_where_they_are() {
    let found = errors(
        "\n\nfunction %f() -> i32 fast {\n  sig0 = () -> i32 preserve_all\nblock0:\n  v0 = iconst.i8 1\n  return\n  return v0\n}",
    );
    assert_eq!(
        found,
        [
            "4: preserve_all functions return nothing",
            "7: a terminator in the middle of block0",
            "7: 0 results, but the function has 1",
            "8: result 0, v0, has type i8, but the function has i32",
        ]
    );
}

#[test]
fn declarations() {
    for (text, want) in [
        ("gv0 = vmctx", "the function has no vmctx parameter"),
        ("gv0 = load.i64 notrap aligned gv0", "depends on itself"),
        (
            "gv1 = load.i64 aligned gv0\n gv0 = symbol %a",
            "must be loaded `notrap aligned`",
        ),
        (
            "gv1 = load.i64 notrap aligned gv0\n gv0 = load.i32 notrap aligned gv2\n gv2 = symbol %a",
            "gv0 has type i32, not i64",
        ),
        (
            "gv0 = symbol %a\n gv1 = iadd_imm.f64 gv0, 1",
            "has type f64, not an integer type",
        ),
        (
            "gv0 = symbol %a\n gv1 = iadd_imm.i32 gv0, 1\n stack_limit = gv1",
            "gv0 has type i64, not i32",
        ),
        (
            "gv0 = dyn_scale_target_const.i8x64\n dt0 = i8x64*gv0",
            "there are no multiples of i8x64",
        ),
        (
            "region0 = 4 \"a\"\n region1 = 4 \"b\"",
            "has the number 4 of region0",
        ),
        (
            "sig0 = (f32 sext)",
            "parameter 0 has type f32, which cannot be extended",
        ),
        (
            "sig0 = () -> i8x16 uext",
            "result 0 has type i8x16, which cannot be extended",
        ),
        (
            "sig0 = (i32 vmctx)",
            "parameter 0 is vmctx but has type i32, not i64",
        ),
        (
            "sig0 = (i64, f64 sret)",
            "parameter 1 is sret but has type f64, not i64",
        ),
        ("sig0 = () -> i64 sarg(8)", "result 0 cannot be a structure"),
        (
            "sig0 = (i64 sarg(8)) tail",
            "tail functions take no structures, sarg",
        ),
        (
            "sig0 = (i32) -> i32 preserve_all",
            "preserve_all functions return nothing",
        ),
    ] {
        let found = errors(&format!(
            "function %f() fast {{\n {text}\nblock0:\n return\n}}"
        ));
        assert!(
            found.iter().any(|e| e.ends_with(&format!(": {want}"))),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn entry_block() {
    let found = errors("function %f() fast {\nblock0 cold:\n return\n}");
    check(&found, &["the entry cannot be cold"]);
    let found = errors("function %f(i32) fast {\nblock0:\n jump block0\n}");
    check(
        &found,
        &[
            "has 0 parameters, but the function has 1",
            "branches to block0, the entry",
        ],
    );
}

#[test]
fn immediates() {
    for (text, want) in [
        ("v9 = extractlane v4, 4", "i32x4 has no lane 4"),
        (
            "v9 = insertlane v3, v0, 3",
            "v0 has type i32, but must be i8",
        ),
        ("v9 = insertlane v4, v0, 200", "i32x4 has no lane 200"),
        (
            "v9 = shuffle v3, v3, 0x20000000000000000000000000000000",
            "lane 32 of two vectors of 16 lanes",
        ),
        (
            "v9 = vconst.i32x4 const0",
            "const0 has 2 bytes, but i32x4 has 16",
        ),
        (
            "v9 = f128const const0",
            "const0 has 2 bytes, but f128 has 16",
        ),
        (
            "v9 = bitcast.i64x2 v4",
            "i32x4 to i64x2 needs a byte order, `big` or `little`",
        ),
        (
            "v9 = bitcast.f64 v2",
            "v2 has type f32, but must be as wide as the result",
        ),
        ("v9 = stack_addr.i64 ss0+9", "offset 9 is outside of ss0"),
        (
            "v9 = stack_addr.i32 ss0",
            "the result has type i32, not an address, i64",
        ),
        ("v9 = symbol_value.i64 gv1", "gv1 is thread-local"),
        ("v9 = tls_value.i64 gv0", "gv0 is not thread-local"),
        ("v9 = symbol_value.i64 gv2", "gv2 is not a symbol"),
        (
            "v9 = symbol_value.i32 gv0",
            "the result has type i32, not an address, i64",
        ),
        ("v9 = load.i32 region7 v1", "region7 does not exist"),
        (
            "store readonly v0, v1",
            "a store to memory that is readonly",
        ),
        (
            "v9 = atomic_rmw.i32 readonly add v1, v0",
            "a store to memory that is readonly",
        ),
        (
            "v9 = atomic_cas v1, v0, v1",
            "v0 has type i32, but v1 has type i64",
        ),
        (
            "v9 = uadd_overflow_trap v3, v3, user1",
            "v3 has type i8x16, but must be i32 or i64",
        ),
        ("v9, v10 = isplit.i8 v0", "v9 has type invalid, not i16"),
        ("<1> nop", "tags are for calls and sequence_point"),
        (
            "v9 = load.i32 little region0 v1\n v10 = bitcast.i64x2 big v4\n v11 = iadd v9, v10",
            "v10 has type i64x2, but v9 has type i32",
        ),
        ("v9 = splat.i32x4 v2", "v2 has type f32, but must be i32"),
        (
            "v9 = snarrow v4, v4\n v10 = iadd v9, v4",
            "v4 has type i32x4, but v9 has type i16x8",
        ),
        (
            "v9 = select v2, v0, v0",
            "v2 has type f32, but must be an integer",
        ),
        (
            "v9 = get_exception_handler_address.i64 block0, 0",
            "block0 does not end with a try_call",
        ),
    ] {
        let found = body(&format!("{text}\n return"));
        assert!(
            found.iter().any(|e| e.ends_with(&format!(": {want}"))),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn patchable_calls() {
    check(&body("call fn1(), site=4, observe=[v0, v3]\n return"), &[]);
    check(
        &body("call fn2()\n return"),
        &["a patchable callee must be colocated"],
    );
    check(
        &body("v9 = call fn3()\n return"),
        &["a patchable callee must return nothing"],
    );
    check(
        &body("v9 = call fn0(v0), site=1\n return"),
        &["site attributes, but fn0 is not patchable"],
    );
    check(
        &body("call fn1(), stack_map=[i64 @ ss0+1]\n return"),
        &["i64 at offset 1 is outside of ss0"],
    );
    let tail = errors(
        "function %f() preserve_all {\n fn0 = colocated patchable %g() preserve_all\nblock0:\n return_call fn0()\n}",
    );
    check(
        &tail,
        &[
            "fn0 is patchable, so it cannot be called in tail position",
            "convention preserve_all has no tail calls",
        ],
    );
    let indirect = errors(
        "function %f(i64) fast {\n sig0 = () preserve_all\nblock0(v0: i64):\n try_call_indirect v0(), sig0, block1, [], site=1\nblock1:\n return\n}",
    );
    check(
        &indirect,
        &["site attributes, but an indirect call cannot be patchable"],
    );
}

#[test]
fn tail_calls() {
    let tail = |own: &str, callee: &str| {
        errors(&format!(
            "function %f(i32) {own} {{\n fn0 = %g(i32) {callee}\nblock0(v0: i32):\n return_call fn0(v0)\n}}"
        ))
    };
    check(&tail("-> i32 tail", "-> i32 tail"), &[]);
    check(
        &tail("-> i32 fast", "-> i32 tail"),
        &["the callee has convention tail, but the function fast"],
    );
    check(
        &tail("fast", "fast"),
        &["convention fast has no tail calls"],
    );
    check(
        &tail("-> i32, i64 tail", "tail"),
        &["the callee returns nothing, but the function i32, i64"],
    );
    check(
        &tail("tail", "-> f32 tail"),
        &["the callee returns f32, but the function nothing"],
    );
    let found = errors(
        "function %f(i64) tail {\n sig0 = (i64) tail\nblock0(v0: i64):\n return_call_indirect sig0, v0()\n}",
    );
    check(&found, &["0 arguments, but the callee has 1"]);
}

#[test]
fn handlers() {
    let call = |edges: &str| {
        errors(&format!(
            "function %f(i32, i64) fast {{
            sig0 = (i32) -> i64 tail
            sig1 = (i32) windows_fastcall
            sig2 = (i32) -> i64 system_v
            fn0 = %g sig0
            fn1 = %h sig1
        block0(v0: i32, v1: i64):
            try_call {edges}
        block1(v2: i64):
            v7 = get_exception_handler_address.i64 block0, 1
            return
        block2(v3: i64, v4: i64):
            return
        block3:
            return
            }}"
        ))
    };
    let good = "[ tag1: block2(exn1, v1), default: block1(exn0), context v0 ]";
    check(&call(&format!("fn0(v0), sig0, block1(ret0), {good}")), &[]);
    check(
        &call(&format!("fn0(v0), sig2, block1(ret0), {good}")),
        &["sig2 is not the signature of fn0"],
    );
    check(
        &call(&format!("fn0(v0), sig0, block1(exn0), {good}")),
        &["exn0 on the normal edge"],
    );
    check(
        &call("fn0(v0), sig0, block3, [ default: block1(ret0), default: block3 ]"),
        &["ret0 on an edge to a handler"],
    );
    check(
        &call("fn0(v0), sig0, block3, [ default: block1(exn2), default: block3 ]"),
        &["v11 does not exist"],
    );
    check(
        &call("fn0(v0), sig0, block1(v0), [ default: block2(exn0), default: block3 ]"),
        &[
            "argument 0, v0, has type i32, but block1 has i64",
            "1 argument, but block2 has 2",
        ],
    );
    check(
        &call("fn1(v0), sig1, block3, [ default: block3, tag0: block3 ]"),
        &["convention windows_fastcall has no handlers"],
    );
    check(
        &call("fn0(v0), sig0, block1(ret0), [ default: block3 ]"),
        &["block0 has 1 handlers, so there is no number 1"],
    );
    check(
        &errors("function %f() fast {\nblock0:\n jump block1(ret0)\nblock1(v0: i32):\n return\n}"),
        &["v1 does not exist"],
    );
}
