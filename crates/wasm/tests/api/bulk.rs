//! Copies and fills of memory, of any length, known when compiling or not.

use crate::{Test, instance};
use nopal_wasm::*;
use std::fmt::Write;

/// The page the guest has, as it should be.
struct Model(Vec<u8>);

impl Model {
    /// What `memory.copy` or, with a byte, `memory.fill` does; whether it does not trap.
    fn change(&mut self, to: u32, from: Result<u32, u8>, len: u32) -> bool {
        let size = self.0.len() as u64;
        let outside = |at: u32| u64::from(at) + u64::from(len) > size;
        if outside(to) || from.is_ok_and(outside) {
            return false;
        }
        let range = to as usize..(to + len) as usize;
        match from {
            Ok(from) => self
                .0
                .copy_within(from as usize..(from + len) as usize, to as usize),
            Err(byte) => self.0[range].fill(byte),
        }
        true
    }
}

const SIZE: u32 = 1 << 16;

/// Where ranges begin: apart, overlapping in both directions, at the end of memory and beyond it.
fn places(len: u32) -> Vec<(u32, u32)> {
    let end = SIZE - len;
    vec![
        (100, 400),
        (400, 100),
        (100, 101),
        (101, 100),
        (200, 203),
        (203, 200),
        (300, 300),
        (0, end),
        (end, 0),
        (end + 1, 0),
        (0, end + 1),
        (end, end - 3),
        (SIZE - 1, 500),
        (500, SIZE - 1),
        (SIZE, 8),
        (8, SIZE),
        (SIZE + 1, 8),
        (0x7fff_ffff, 8),
        (8, 0x7fff_ffff),
        (u32::MAX, 8),
        (8, u32::MAX - 5),
    ]
}

#[test]
fn every_length_and_place() -> Test {
    let lengths: Vec<u32> = (0..=140).chain([1000]).collect();
    let mut text = String::from("(module (memory (export \"memory\") 1)\n");
    for len in &lengths {
        write!(
            text,
            r#"(func (export "copy {len}") (param i32 i32)
                (memory.copy (local.get 0) (local.get 1) (i32.const {len})))
            (func (export "fill {len}") (param i32 i32)
                (memory.fill (local.get 0) (local.get 1) (i32.const {len})))
            (func (export "zero {len}") (param i32 i32)
                (memory.fill (local.get 0) (i32.const 0x1200) (i32.const {len})))
            (func (export "nine {len}") (param i32 i32)
                (memory.fill (local.get 0) (i32.const 0x99) (i32.const {len})))
            "#
        )?;
    }
    text += r#"(func (export "copy") (param i32 i32 i32)
            (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "fill") (param i32 i32 i32)
            (memory.fill (local.get 0) (local.get 1) (local.get 2))))"#;
    let (mut store, instance) = instance(&text);
    let memory = instance.get_memory(&mut store, "memory").expect("memory");
    let mut model = Model((0..SIZE).map(|n| (n * 7 + n / 251) as u8).collect());
    memory.write(&mut store, 0, &model.0)?;

    for &len in &lengths {
        for (to, from) in places(len) {
            for (name, source) in [
                ("copy", Ok(from)),
                ("fill", Err(from as u8)),
                ("zero", Err(0)),
                ("nine", Err(0x99)),
            ] {
                let func = format!("{name} {len}");
                let func = instance.get_typed_func::<(u32, u32), ()>(&mut store, &func)?;
                let result = func.call(&mut store, (to, from));
                check(&store, memory, &mut model, result, (to, source, len));
                if let "copy" | "fill" = name {
                    let func = instance.get_typed_func::<(u32, u32, u32), ()>(&mut store, name)?;
                    let result = func.call(&mut store, (to, from, len));
                    check(&store, memory, &mut model, result, (to, source, len));
                }
            }
        }
    }
    Ok(())
}

fn check(
    store: &Store<()>,
    memory: Memory,
    model: &mut Model,
    result: Result<()>,
    (to, source, len): (u32, Result<u32, u8>, u32),
) {
    let fits = model.change(to, source, len);
    assert_eq!(result.is_ok(), fits, "{to} {source:?} {len}");
    if let Err(error) = result {
        let kind = error.trap().expect("a trap").kind();
        assert_eq!(kind, TrapKind::MemoryOutOfBounds);
    }
    assert!(memory.data(store) == model.0, "{to} {source:?} {len}");
}

/// Addresses that are known as well, and offsets that do not fit beside them.
#[test]
fn known_addresses() -> Test {
    let (mut store, instance) = instance(
        r#"(module (memory (export "memory") 1)
            (data (i32.const 10) "0123456789abcdefghijklmnop")
            (func (export "copy") (memory.copy (i32.const 100) (i32.const 10) (i32.const 23)))
            (func (export "fill") (memory.fill (i32.const 200) (i32.const 0x2a) (i32.const 5)))
            (func (export "far") (memory.copy (i32.const 8) (i32.const 0x7fffffff) (i32.const 64)))
            (func (export "farther") (memory.fill (i32.const 0xffffffff) (i32.const 1) (i32.const 64))))"#,
    );
    let memory = instance.get_memory(&mut store, "memory").expect("memory");
    for (name, fits) in [
        ("copy", true),
        ("fill", true),
        ("far", false),
        ("farther", false),
    ] {
        let func = instance.get_typed_func::<(), ()>(&mut store, name)?;
        assert_eq!(func.call(&mut store, ()).is_ok(), fits, "{name}");
    }
    let data = memory.data(&store);
    assert_eq!(&data[99..124], b"\x000123456789abcdefghijklm\0");
    assert_eq!(&data[199..206], b"\0*****\0");
    assert_eq!(&data[8..10], [0, 0]);
    Ok(())
}

/// With the guest's part of the stack used up but for what every call has, a copy still works or is a
/// stack overflow of the guest.
#[test]
fn at_the_end_of_the_stack() -> Test {
    let (mut store, instance) = instance(
        r#"(module (memory 1)
            (func $deep (export "deep") (param i32)
                (memory.copy (i32.const 0) (i32.const 1000) (i32.add (local.get 0) (i32.const 300)))
                (call $deep (i32.and (i32.add (local.get 0) (i32.const 1)) (i32.const 63)))
                (memory.fill (i32.const 0) (i32.const 0) (local.get 0))))"#,
    );
    let deep = instance.get_typed_func::<u32, ()>(&mut store, "deep")?;
    let error = deep.call(&mut store, 0).unwrap_err();
    assert_eq!(
        error.trap().expect("a trap").kind(),
        TrapKind::StackOverflow
    );
    Ok(())
}
