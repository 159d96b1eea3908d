(module
  (memory 1)
  (data $d "abc")
  (func (param i32) (result i64)
    (i64.add
      (i64.load32_s offset=8 (local.get 0))
      (i64.extend_i32_u (i32.load16_u (local.get 0)))))
  (func (param i32 f32)
    (i32.store8 offset=1 (local.get 0) (local.get 0))
    (f32.store (local.get 0) (local.get 1)))
  ;; Constant addresses and large offsets.
  (func (param i32) (result i32)
    (i32.add
      (i32.load offset=16 (i32.const 1024))
      (i32.add
        (i32.load offset=0x80000000 (local.get 0))
        (i32.load offset=0xffffffff (i32.const -1)))))
  (func (param i32) (result i32)
    (i32.add (memory.size) (memory.grow (local.get 0))))
  (func (param i32 i32 i32)
    (memory.copy (local.get 0) (local.get 1) (local.get 2))
    (memory.fill (local.get 0) (local.get 1) (local.get 2))
    (memory.init $d (local.get 0) (local.get 1) (local.get 2))
    (data.drop $d)))

;;! function u0:0(i64 vmctx, i32) -> i64 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0034   v2 = load.i64 notrap aligned readonly can_move v0+24
;;!     @0037   v3 = uextend.i64 v1
;;!     @0037   v4 = iadd v2, v3
;;!     @0037   v5 = sload32 little v4+8
;;!     @003c   v6 = uextend.i64 v1
;;!     @003c   v7 = iadd v2, v6
;;!     @003c   v8 = uload16.i32 little v7
;;!     @003f   v9 = uextend.i64 v8
;;!     @0040   v10 = iadd v5, v9
;;!     @0041   return v10
;;! }
;;! function u0:1(i64 vmctx, i32, f32) fast {
;;! block0(v0: i64, v1: i32, v2: f32):
;;!     @0043   v3 = load.i64 notrap aligned readonly can_move v0+24
;;!     @0048   v4 = uextend.i64 v1
;;!     @0048   v5 = iadd v3, v4
;;!     @0048   istore8 little v1, v5+1
;;!     @004f   v6 = uextend.i64 v1
;;!     @004f   v7 = iadd v3, v6
;;!     @004f   store little v2, v7
;;!     @0052   return
;;! }
;;! function u0:2(i64 vmctx, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0054   v2 = load.i64 notrap aligned readonly can_move v0+24
;;!     @0055   v3 = iconst.i32 1024
;;!     @0058   v4 = load.i32 little v2+1040
;;!     @005d   v5 = uextend.i64 v1
;;!     @005d   v6 = iconst.i64 0x8000_0000
;;!     @005d   v7 = iadd v5, v6  ; v6 = 0x8000_0000
;;!     @005d   v8 = iadd v2, v7
;;!     @005d   v9 = load.i32 little v8
;;!     @0064   v10 = iconst.i32 -1
;;!     @0066   v11 = iconst.i64 0xffff_ffff
;;!     @0066   v12 = iconst.i64 0xffff_ffff
;;!     @0066   v13 = iconst.i64 0x0001_ffff_fffe
;;!     @0066   v14 = iadd v2, v13  ; v13 = 0x0001_ffff_fffe
;;!     @0066   v15 = load.i32 little v14
;;!     @006d   v16 = iadd v9, v15
;;!     @006e   v17 = iadd v4, v16
;;!     @006f   return v17
;;! }
;;! function u0:3(i64 vmctx, i32) -> i32 fast {
;;!     sig0 = (i64 vmctx, i32, i32) -> i32 system_v
;;!
;;! block0(v0: i64, v1: i32):
;;!     @0071   v2 = load.i64 notrap aligned readonly can_move v0+24
;;!     @0072   v3 = load.i64 notrap aligned v0+32
;;!     @0072   v4 = iconst.i64 16
;;!     @0072   v5 = ushr v3, v4  ; v4 = 16
;;!     @0072   v6 = ireduce.i32 v5
;;!     @0076   v7 = iconst.i32 0
;;!     @0076   v8 = load.i64 notrap aligned readonly can_move v0+8
;;!     @0076   v9 = load.i64 notrap aligned readonly can_move v8
;;!     @0076   v10 = call_indirect sig0, v9(v0, v7, v1)  ; v7 = 0
;;!     @0078   v11 = iadd v6, v10
;;!     @0079   return v11
;;! }
;;! function u0:4(i64 vmctx, i32, i32, i32) fast {
;;!     sig0 = (i64 vmctx, i64, i64, i32, i32, i32) system_v
;;!     sig1 = (i64 vmctx, i64, i32, i32, i32) system_v
;;!     sig2 = (i64 vmctx, i32, i32, i32, i32, i32) system_v
;;!     sig3 = (i64 vmctx, i32) system_v
;;!
;;! block0(v0: i64, v1: i32, v2: i32, v3: i32):
;;!     @007b   v4 = load.i64 notrap aligned readonly can_move v0+24
;;!     @0082   v5 = iconst.i64 24
;;!     @0082   v6 = iadd v0, v5  ; v5 = 24
;;!     @0082   v7 = load.i64 notrap aligned readonly can_move v0+8
;;!     @0082   v8 = load.i64 notrap aligned readonly can_move v7+8
;;!     @0082   call_indirect sig0, v8(v0, v6, v6, v1, v2, v3)
;;!     @008c   v9 = iconst.i64 24
;;!     @008c   v10 = iadd v0, v9  ; v9 = 24
;;!     @008c   v11 = load.i64 notrap aligned readonly can_move v0+8
;;!     @008c   v12 = load.i64 notrap aligned readonly can_move v11+16
;;!     @008c   call_indirect sig1, v12(v0, v10, v1, v2, v3)
;;!     @0095   v13 = iconst.i32 0
;;!     @0095   v14 = iconst.i32 0
;;!     @0095   v15 = load.i64 notrap aligned readonly can_move v0+8
;;!     @0095   v16 = load.i64 notrap aligned readonly can_move v15+24
;;!     @0095   call_indirect sig2, v16(v0, v13, v14, v1, v2, v3)  ; v13 = 0, v14 = 0
;;!     @0099   v17 = iconst.i32 0
;;!     @0099   v18 = load.i64 notrap aligned readonly can_move v0+8
;;!     @0099   v19 = load.i64 notrap aligned readonly can_move v18+32
;;!     @0099   call_indirect sig3, v19(v0, v17)  ; v17 = 0
;;!     @009c   return
;;! }
