(module
  (table $t 10 externref)
  (table $u 10 externref)
  (elem $e externref (ref.null extern))
  (func (param i32 externref) (result externref)
    (table.set $t (local.get 0) (local.get 1))
    (table.get $t (i32.const 3)))
  (func (param externref i32) (result i32)
    (i32.add (table.size $u) (table.grow $u (local.get 0) (local.get 1))))
  (func (param i32 i32 i32)
    (table.copy $t $u (local.get 0) (local.get 1) (local.get 2))
    (table.fill $t (local.get 0) (ref.null extern) (local.get 2))
    (table.init $t $e (local.get 0) (local.get 1) (local.get 2))
    (elem.drop $e)))

;;! function u0:0(i64 vmctx, i32, i64) -> i64 fast {
;;! block0(v0: i64, v1: i32, v2: i64):
;;!     @003e   v3 = uextend.i64 v1
;;!     @003e   v4 = load.i64 notrap aligned v0+32
;;!     @003e   v5 = icmp uge v3, v4
;;!     @003e   trapnz v5, user5
;;!     @003e   v6 = load.i64 notrap aligned v0+24
;;!     @003e   v7 = iconst.i64 3
;;!     @003e   v8 = ishl v3, v7  ; v7 = 3
;;!     @003e   v9 = iadd v6, v8
;;!     @003e   store notrap aligned v2, v9
;;!     @0040   v10 = iconst.i32 3
;;!     @0042   v11 = iconst.i64 3
;;!     @0042   v12 = load.i64 notrap aligned v0+32
;;!     @0042   v13 = icmp ule v12, v11  ; v11 = 3
;;!     @0042   trapnz v13, user5
;;!     @0042   v14 = load.i64 notrap aligned v0+24
;;!     @0042   v15 = iconst.i64 3
;;!     @0042   v16 = iconst.i64 24
;;!     @0042   v17 = iadd v14, v16  ; v16 = 24
;;!     @0042   v18 = load.i64 notrap aligned v17
;;!     @0044   return v18
;;! }
;;! function u0:1(i64 vmctx, i64, i32) -> i32 fast {
;;!     sig0 = (i64 vmctx, i32, i32, i64) -> i32 system_v
;;!
;;! block0(v0: i64, v1: i64, v2: i32):
;;!     @0047   v3 = load.i64 notrap aligned v0+48
;;!     @0047   v4 = ireduce.i32 v3
;;!     @004e   v5 = iconst.i32 1
;;!     @004e   v6 = load.i64 notrap aligned readonly can_move v0+8
;;!     @004e   v7 = load.i64 notrap aligned readonly can_move v6+40
;;!     @004e   v8 = call_indirect sig0, v7(v0, v5, v2, v1)  ; v5 = 1
;;!     @0051   v9 = iadd v4, v8
;;!     @0052   return v9
;;! }
;;! function u0:2(i64 vmctx, i32, i32, i32) fast {
;;!     sig0 = (i64 vmctx, i32, i32, i32, i32, i32) system_v
;;!     sig1 = (i64 vmctx, i32, i32, i64, i32) system_v
;;!     sig2 = (i64 vmctx, i32, i32, i32, i32, i32) system_v
;;!     sig3 = (i64 vmctx, i32) system_v
;;!
;;! block0(v0: i64, v1: i32, v2: i32, v3: i32):
;;!     @005b   v4 = iconst.i32 0
;;!     @005b   v5 = iconst.i32 1
;;!     @005b   v6 = load.i64 notrap aligned readonly can_move v0+8
;;!     @005b   v7 = load.i64 notrap aligned readonly can_move v6+48
;;!     @005b   call_indirect sig0, v7(v0, v4, v5, v1, v2, v3)  ; v4 = 0, v5 = 1
;;!     @0061   v8 = iconst.i64 0
;;!     @0065   v9 = iconst.i32 0
;;!     @0065   v10 = load.i64 notrap aligned readonly can_move v0+8
;;!     @0065   v11 = load.i64 notrap aligned readonly can_move v10+56
;;!     @0065   call_indirect sig1, v11(v0, v9, v1, v8, v3)  ; v9 = 0, v8 = 0
;;!     @006e   v12 = iconst.i32 0
;;!     @006e   v13 = iconst.i32 0
;;!     @006e   v14 = load.i64 notrap aligned readonly can_move v0+8
;;!     @006e   v15 = load.i64 notrap aligned readonly can_move v14+64
;;!     @006e   call_indirect sig2, v15(v0, v12, v13, v1, v2, v3)  ; v12 = 0, v13 = 0
;;!     @0072   v16 = iconst.i32 0
;;!     @0072   v17 = load.i64 notrap aligned readonly can_move v0+8
;;!     @0072   v18 = load.i64 notrap aligned readonly can_move v17+72
;;!     @0072   call_indirect sig3, v18(v0, v16)  ; v16 = 0
;;!     @0075   return
;;! }
