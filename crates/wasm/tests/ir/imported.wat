;; What is imported is reached through pointers in the context.
(module
  (import "m" "memory" (memory 1))
  (import "m" "table" (table 1 funcref))
  (import "m" "global" (global $mutable (mut i64)))
  (import "m" "constant" (global $constant f64))
  (import "m" "func" (func $func (param i32 f64) (result i32 f64)))
  (func (param i32) (result i32)
    (i32.add (i32.load (local.get 0)) (memory.size)))
  (func (result f64)
    (global.set $mutable (i64.const 5))
    (global.get $constant))
  (func (result i32 f64)
    (call $func (i32.const 1) (f64.const 2)))
  (func (param i32) (result funcref)
    (table.get 0 (local.get 0))))

;;! function u0:1(i64 vmctx, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32):
;;!     @006e   v2 = load.i64 notrap aligned readonly can_move v0+48
;;!     @006e   v3 = load.i64 notrap aligned readonly can_move v2
;;!     @0071   v4 = uextend.i64 v1
;;!     @0071   v5 = iadd v3, v4
;;!     @0071   v6 = load.i32 little v5
;;!     @0074   v7 = load.i64 notrap aligned readonly can_move v0+48
;;!     @0074   v8 = load.i64 notrap aligned v7+8
;;!     @0074   v9 = iconst.i64 16
;;!     @0074   v10 = ushr v8, v9  ; v9 = 16
;;!     @0074   v11 = ireduce.i32 v10
;;!     @0076   v12 = iadd v6, v11
;;!     @0077   return v12
;;! }
;;! function u0:2(i64 vmctx) -> f64 fast {
;;! block0(v0: i64):
;;!     @0079   v1 = load.i64 notrap aligned readonly can_move v0+48
;;!     @0079   v2 = load.i64 notrap aligned readonly can_move v1
;;!     @007a   v3 = iconst.i64 5
;;!     @007c   v4 = load.i64 notrap aligned readonly can_move v0+56
;;!     @007c   store notrap aligned v3, v4  ; v3 = 5
;;!     @007e   v5 = load.i64 notrap aligned readonly can_move v0+64
;;!     @007e   v6 = load.f64 notrap aligned readonly can_move v5
;;!     @0080   return v6
;;! }
;;! function u0:3(i64 vmctx) -> i32, f64 fast {
;;!     sig0 = (i64 vmctx, i32, f64) -> i32, f64 fast
;;!
;;! block0(v0: i64):
;;!     @0082   v1 = load.i64 notrap aligned readonly can_move v0+48
;;!     @0082   v2 = load.i64 notrap aligned readonly can_move v1
;;!     @0083   v3 = iconst.i32 1
;;!     @0085   v4 = f64const 0x1.0000000000000p1
;;!     @008e   v5 = load.i64 notrap aligned readonly can_move v0+24
;;!     @008e   v6 = load.i64 notrap aligned readonly can_move v0+32
;;!     @008e   v7, v8 = call_indirect sig0, v5(v6, v3, v4)  ; v3 = 1, v4 = 0x1.0000000000000p1
;;!     @0090   return v7, v8
;;! }
;;! function u0:4(i64 vmctx, i32) -> i64 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0092   v2 = load.i64 notrap aligned readonly can_move v0+48
;;!     @0092   v3 = load.i64 notrap aligned readonly can_move v2
;;!     @0095   v4 = load.i64 notrap aligned readonly can_move v0+40
;;!     @0095   v5 = uextend.i64 v1
;;!     @0095   v6 = load.i64 notrap aligned v4+8
;;!     @0095   v7 = icmp uge v5, v6
;;!     @0095   trapnz v7, user5
;;!     @0095   v8 = load.i64 notrap aligned v4
;;!     @0095   v9 = iconst.i64 3
;;!     @0095   v10 = ishl v5, v9  ; v9 = 3
;;!     @0095   v11 = iadd v8, v10
;;!     @0095   v12 = load.i64 notrap aligned v11
;;!     @0097   return v12
;;! }
