//! Code that Cranelift compiled is published, runs, and is patched.

#[path = "../examples/cranelift.rs"]
mod example;

#[test]
fn patchable_calls_are_sites() {
    let outcome = example::demonstrate().unwrap();
    assert_eq!(outcome.results, [10; 3]);
    assert_eq!(outcome.count, 4);
    assert_eq!(outcome.seen, [4, 7, 9, 10]);
    example::main().unwrap();
}
