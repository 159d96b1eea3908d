(module
  (type $t (func (param i64) (result i64)))
  (table $fixed 10 10 funcref)
  (table $growing 10 funcref)
  (elem declare func $callee)
  (func $callee (param i64) (result i64) (local.get 0))
  (func (param i64) (result i64)
    (i64.add (call $callee (local.get 0)) (call $callee (i64.const 1))))
  (func (param i32 i64) (result i64)
    (call_indirect $fixed (type $t) (local.get 1) (local.get 0)))
  (func (param i32 i64) (result i64)
    (call_indirect $growing (type $t) (local.get 1) (local.get 0)))
  (func (result funcref) (ref.func $callee)))

;;! function u0:0(i64 vmctx, i64) -> i64 fast {
;;! block0(v0: i64, v1: i64):
;;!     @003a   return v1
;;! }
;;! function u0:1(i64 vmctx, i64) -> i64 fast {
;;!     sig0 = (i64 vmctx, i64) -> i64 fast
;;!     fn0 = colocated u0:0 sig0
;;!
;;! block0(v0: i64, v1: i64):
;;!     @003f   v2 = call fn0(v0, v1)
;;!     @0041   v3 = iconst.i64 1
;;!     @0043   v4 = call fn0(v0, v3)  ; v3 = 1
;;!     @0045   v5 = iadd v2, v4
;;!     @0046   return v5
;;! }
;;! function u0:2(i64 vmctx, i32, i64) -> i64 fast {
;;!     sig0 = (i64 vmctx, i64) -> i64 fast
;;!
;;! block0(v0: i64, v1: i32, v2: i64):
;;!     @004d   v3 = uextend.i64 v1
;;!     @004d   v4 = iconst.i32 10
;;!     @004d   v5 = icmp uge v1, v4  ; v4 = 10
;;!     @004d   trapnz v5, user2
;;!     @004d   v6 = load.i64 notrap aligned readonly can_move v0+24
;;!     @004d   v7 = iconst.i64 3
;;!     @004d   v8 = ishl v3, v7  ; v7 = 3
;;!     @004d   v9 = iadd v6, v8
;;!     @004d   v10 = load.i64 notrap aligned v9
;;!     @004d   v11 = load.i32 user3 aligned v10+16
;;!     @004d   v12 = load.i64 notrap aligned readonly can_move v0+16
;;!     @004d   v13 = load.i32 notrap aligned readonly can_move v12
;;!     @004d   v14 = icmp ne v11, v13
;;!     @004d   trapnz v14, user4
;;!     @004d   v15 = load.i64 notrap aligned v10
;;!     @004d   v16 = load.i64 notrap aligned v10+8
;;!     @004d   v17 = call_indirect sig0, v15(v16, v2)
;;!     @0050   return v17
;;! }
;;! function u0:3(i64 vmctx, i32, i64) -> i64 fast {
;;!     sig0 = (i64 vmctx, i64) -> i64 fast
;;!
;;! block0(v0: i64, v1: i32, v2: i64):
;;!     @0057   v3 = uextend.i64 v1
;;!     @0057   v4 = load.i64 notrap aligned v0+48
;;!     @0057   v5 = icmp uge v3, v4
;;!     @0057   trapnz v5, user2
;;!     @0057   v6 = load.i64 notrap aligned v0+40
;;!     @0057   v7 = iconst.i64 3
;;!     @0057   v8 = ishl v3, v7  ; v7 = 3
;;!     @0057   v9 = iadd v6, v8
;;!     @0057   v10 = load.i64 notrap aligned v9
;;!     @0057   v11 = load.i32 user3 aligned v10+16
;;!     @0057   v12 = load.i64 notrap aligned readonly can_move v0+16
;;!     @0057   v13 = load.i32 notrap aligned readonly can_move v12
;;!     @0057   v14 = icmp ne v11, v13
;;!     @0057   trapnz v14, user4
;;!     @0057   v15 = load.i64 notrap aligned v10
;;!     @0057   v16 = load.i64 notrap aligned v10+8
;;!     @0057   v17 = call_indirect sig0, v15(v16, v2)
;;!     @005a   return v17
;;! }
;;! function u0:4(i64 vmctx) -> i64 fast {
;;! block0(v0: i64):
;;!     @005d   v1 = iconst.i64 64
;;!     @005d   v2 = iadd v0, v1  ; v1 = 64
;;!     @005f   return v2
;;! }
