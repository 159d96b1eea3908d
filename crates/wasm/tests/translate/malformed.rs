//! Damaged modules: an error or a function, never a panic.

use crate::translate;
use nopal_wasm::Sites;

/// One of everything.
const MODULE: &str = r#"
(module $name
  (type $binary (func (param i32 i32) (result i32)))
  (import "m" "f" (func $imported (param i64) (result f32)))
  (import "m" "g" (global $g i32))
  (table $t 4 8 funcref)
  (table $e 1 externref)
  (memory 1 3)
  (global $mutable (mut i64) (i64.const -1))
  (global $sum i32 (i32.add (global.get $g) (i32.const 4)))
  (export "run" (func $run))
  (start $start)
  (elem (table $t) (i32.const 1) func $run $start)
  (elem $passive func $start)
  (elem declare func $imported)
  (data (i32.const 8) "some bytes")
  (data $bytes "more bytes")
  (func $start)
  (func $run (type $binary) (local i64 f32 f64)
    (block $out (result i32)
      (loop $again (param) (result i32)
        (br_if $out (i32.const 1) (i32.lt_s (local.get 0) (local.get 1)))
        drop
        (local.set 0 (i32.load8_s offset=3 (local.get 1)))
        (br_if $again (i32.eqz (local.get 0)))
        (if (result i32) (f64.lt (local.get 4) (f64.const 1.5))
          (then (i32.trunc_sat_f32_u (local.get 3)))
          (else (call_indirect $t (type $binary) (i32.const 1) (i32.const 2) (local.get 0))))
        (i32.const 7)
        (br_table $out $out $out (i32.const 3))))
    (global.set $mutable (i64.extend_i32_u (i32.const 3)))
    (drop (call $imported (global.get $mutable)))
    (memory.init $bytes (i32.const 0) (i32.const 1) (i32.const 2))
    (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 2))
    (drop (table.grow $t (ref.func $start) (i32.const 1)))
    (table.set $e (i32.const 0) (ref.null extern))
    (i64.store offset=0xffffffff (i32.const 1) (i64.extend8_s (local.get 2)))))
"#;

fn module() -> Vec<u8> {
    wat::parse_str(MODULE).expect("a well-formed module")
}

#[test]
fn the_module_itself_is_fine() {
    let funcs = translate(&module(), Sites::ALL).expect("a valid module");
    assert_eq!(funcs.len(), 2);
}

#[test]
fn truncated_modules_are_refused() {
    let wasm = module();
    let mut valid = Vec::new();
    for len in 0..wasm.len() {
        if translate(&wasm[..len], Sites::ALL).is_ok() {
            valid.push(len);
        }
    }
    // Cut off between sections that need no others: the empty module, and the names at the end.
    assert_eq!(valid.first(), Some(&8));
    assert!(valid.len() < 6, "{valid:?}");
}

#[test]
fn modules_with_a_wrong_byte_are_refused_or_translated() {
    let wasm = module();
    let (mut refused, mut translated) = (0, 0);
    for at in 0..wasm.len() {
        for change in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
            let mut damaged = wasm.clone();
            damaged[at] ^= change;
            match translate(&damaged, Sites::ALL) {
                Ok(funcs) => {
                    translated += 1;
                    for func in &funcs {
                        nopal_ir::verify(func).expect("well-formed IR");
                    }
                }
                Err(err) => {
                    refused += 1;
                    assert!(!err.to_string().contains('\n'), "one line: {err}");
                }
            }
        }
    }
    assert!(
        refused > 1000 && translated > 1000,
        "{refused} {translated}"
    );
}

#[test]
fn errors_say_where_and_what() {
    let message = |bytes: &[u8]| {
        let err = translate(bytes, Sites::NONE).expect_err("a bad module");
        err.to_string()
    };
    let wat = |text: &str| wat::parse_str(text).expect("well-formed text");
    assert!(message(b"").contains("unexpected end"), "{}", message(b""));
    assert!(message(b"\x7fELF....").contains("magic header not detected"));
    assert_eq!(
        message(&wat("(module (func (result i32) i64.const 1))")),
        "invalid module: type mismatch: expected i32, found i64 (at offset 0x1a)"
    );
    assert_eq!(
        message(&wat("(module (memory 1) (memory 1))")),
        "unsupported: multi-memory (at offset 0xa)"
    );
    assert_eq!(
        message(&wat("(module (func (result v128) unreachable))")),
        "unsupported: simd (at offset 0xb)"
    );
    assert_eq!(
        message(&wat("(module (func (drop (v128.const i64x2 1 2))))")),
        "unsupported: simd (at offset 0x17)"
    );
    assert_eq!(
        message(&wat("(module (func (return_call 0)))")),
        "unsupported: tail-call (at offset 0x17)"
    );
    assert_eq!(
        message(&wat("(module (memory i64 1))")),
        "unsupported: memory64 (at offset 0xb)"
    );
    assert_eq!(
        message(&wat("(component)")),
        "unsupported: component-model (at offset 0x0)"
    );
}

#[test]
fn malformed_names_are_ignored() {
    let mut wasm = wat::parse_str("(module (func))").expect("well-formed text");
    // Subsection 1: two names, the second of which goes on beyond the end.
    wasm.extend(b"\x00\x0e\x04name\x01\x07\x02\x00\x01f\x01\x7fg");
    let inspector = nopal_wasm::Inspector::new(&wasm).expect("a valid module");
    assert_eq!(inspector.function_name(0), Some("f"));
    assert_eq!(inspector.function_name(1), None);
}

#[test]
fn functions_that_take_too_long_to_compile_are_refused() {
    // A loop that goes back from 20,000 places, with 5,000 locals assigned in it.
    let text = format!(
        "(module (func (local {}) (loop {} {})))",
        "i32 ".repeat(5000),
        (0..5000)
            .map(|i| format!("(local.set {i} (i32.add (local.get {i}) (i32.const 1)))"))
            .collect::<String>(),
        "(br_if 0 (local.get 0))".repeat(20_000),
    );
    let wasm = wat::parse_str(&text).expect("well-formed text");
    let err = translate(&wasm, Sites::ALL).expect_err("a function too complex");
    assert_eq!(
        err.to_string(),
        "limit exceeded: function 0 has too many operands of calls and branches"
    );
}

#[test]
fn deeply_nested_blocks_are_translated() {
    let n = 100_000;
    for (begin, blocks) in [
        (&[0x02, 0x40][..], 1),
        (&[0x03, 0x40][..], n + 1),
        (&[0x41, 1, 0x04, 0x40][..], 2 * n + 1),
    ] {
        let mut body = vec![0];
        body.extend(begin.repeat(n));
        body.extend(vec![0x0b; n + 1]);
        let wasm = module_with_body(&body);
        let funcs = translate(&wasm, Sites::NONE).expect("a valid module");
        assert_eq!(funcs[0].layout().len(), blocks);
    }
}

/// A module with one function, without parameters and results.
fn module_with_body(body: &[u8]) -> Vec<u8> {
    fn leb(mut n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while n >= 0x80 {
            bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
        bytes
    }
    let mut code = vec![1];
    code.extend(leb(body.len()));
    code.extend(body);
    let mut wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
    wasm.extend(leb(code.len()));
    wasm.extend(code);
    wasm
}
