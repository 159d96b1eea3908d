//! Calls of the guest by the host.

use crate::{Test, instance};
use nopal_wasm::{ErrorKind, ExternRef, Func, FuncType, Val, ValType};

#[test]
fn typed_calls_pass_every_type_both_ways() -> Test {
    let (mut store, instance) = instance(
        r#"(module
            (func (export "id") (param i32 i64 f32 f64 externref funcref)
                (result funcref externref f64 f32 i64 i32)
                local.get 5 local.get 4 local.get 3 local.get 2 local.get 1 local.get 0)
            (func (export "none")))"#,
    );
    type Params = (i32, i64, f32, f64, Option<ExternRef>, Option<Func>);
    type Results = (Option<Func>, Option<ExternRef>, f64, f32, i64, i32);
    let id = instance.get_typed_func::<Params, Results>(&mut store, "id")?;
    let object = ExternRef::new("object");
    let params = (
        -1,
        i64::MIN,
        1.5,
        -2.5,
        Some(object.clone()),
        Some(*id.func()),
    );
    let (func, same, d, f, long, int) = id.call(&mut store, params)?;
    assert!(same.is_some_and(|same| same.ptr_eq(&object)));
    assert_eq!((d, f, long, int), (-2.5, 1.5, i64::MIN, -1));
    let id_again = func.expect("a function").typed::<Params, Results>(&store)?;
    let (func, none, ..) = id_again.call(&mut store, (0, 0, 0.0, 0.0, None, None))?;
    assert!(func.is_none() && none.is_none());
    let none = instance.get_typed_func::<(), ()>(&mut store, "none")?;
    none.call(&mut store, ())?;
    Ok(())
}

#[test]
fn untyped_calls_check_their_arguments() -> Test {
    let (mut store, instance) = instance(
        r#"(module (func (export "f") (param i32 f64) (result f64)
            (f64.mul (f64.convert_i32_s (local.get 0)) (local.get 1))))"#,
    );
    let f = instance.get_func(&mut store, "f").expect("f");
    assert_eq!(
        f.ty(&store),
        FuncType::new([ValType::I32, ValType::F64], [ValType::F64])
    );
    let mut results = [Val::I32(0)];
    f.call(&mut store, &[Val::I32(-3), Val::from(0.5)], &mut results)?;
    assert_eq!(results[0].f64(), Some(-1.5));

    let error = f
        .call(&mut store, &[Val::I32(1)], &mut results)
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Type(_)));
    assert_eq!(
        error.to_string(),
        "arguments (i32) given to a function that takes (i32, f64)"
    );
    let error = f.call(&mut store, &[Val::I32(1), Val::I32(1)], &mut results);
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Type(_)));
    let error = f.call(&mut store, &[Val::I32(1), Val::from(1.0)], &mut []);
    assert_eq!(
        error.unwrap_err().to_string(),
        "room for 0 results given to a function that has 1"
    );
    let error = instance.get_typed_func::<i32, i32>(&mut store, "f");
    assert_eq!(
        error.unwrap_err().to_string(),
        "a function of type (i32, f64) -> (f64) used as (i32) -> (i32)"
    );
    let error = instance.get_typed_func::<i32, i32>(&mut store, "g");
    assert_eq!(error.unwrap_err().to_string(), "no exported function `g`");
    Ok(())
}

#[test]
fn many_parameters_and_results() -> Test {
    let types = ["i32", "f64", "i64", "f32"];
    let list = |n: usize| (0..n).map(|i| types[i % 4]).collect::<Vec<_>>().join(" ");
    let gets: String = (0..100).rev().map(|i| format!("local.get {i} ")).collect();
    let reversed: Vec<&str> = (0..100).rev().map(|i| types[i % 4]).collect();
    let text = format!(
        r#"(module (func (export "reverse") (param {}) (result {}) {gets}))"#,
        list(100),
        reversed.join(" ")
    );
    let (mut store, instance) = instance(&text);
    let reverse = instance.get_func(&mut store, "reverse").expect("reverse");
    let params: Vec<Val> = (0..100)
        .map(|i| match i % 4 {
            0 => Val::I32(i),
            1 => Val::from(f64::from(i)),
            2 => Val::I64(i.into()),
            _ => Val::from(i as f32),
        })
        .collect();
    let mut results = vec![Val::I32(0); 100];
    reverse.call(&mut store, &params, &mut results)?;
    for (param, result) in params.iter().rev().zip(&results) {
        assert_eq!(format!("{param:?}"), format!("{result:?}"));
    }
    Ok(())
}

#[test]
fn sixteen_typed_parameters() -> Test {
    let text = format!(
        r#"(module (func (export "sum") (param {}) (result i64) (i64.const 0) {}))"#,
        "i64 ".repeat(16),
        (0..16)
            .map(|i| format!("(i64.add (local.get {i}))"))
            .collect::<String>()
    );
    let (mut store, instance) = instance(&text);
    type I = i64;
    type Params = (I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I);
    let sum = instance.get_typed_func::<Params, i64>(&mut store, "sum")?;
    let params = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    assert_eq!(sum.call(&mut store, params)?, 136);
    Ok(())
}
