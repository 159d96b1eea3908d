(module
  (memory 1)
  ;; Lengths that are known and small; others are calls.
  (func (param i32 i32)
    (memory.copy (local.get 0) (local.get 1) (i32.const 19))
    (memory.copy (local.get 0) (i32.const 8) (i32.const 3))
    (memory.copy (local.get 0) (local.get 1) (i32.const 65)))
  (func (param i32 i32)
    (memory.fill (local.get 0) (local.get 1) (i32.const 16))
    (memory.fill (local.get 0) (i32.const 7) (i32.const 6))
    (memory.fill (local.get 0) (local.get 1) (i32.const 0))))

;;! function u0:0(i64 vmctx, i32, i32) fast {
;;!     sig0 = (i64 vmctx, i64, i64, i32, i32, i32) system_v
;;!
;;! block0(v0: i64, v1: i32, v2: i32):
;;!     @001e   v3 = load.i64 notrap aligned readonly can_move v0+24
;;!     @0023   v4 = iconst.i32 19
;;!     @0025   v5 = uextend.i64 v2
;;!     @0025   v6 = iadd v3, v5
;;!     @0025   v7 = uextend.i64 v1
;;!     @0025   v8 = iadd v3, v7
;;!     @0025   v9 = load.i64 little v6
;;!     @0025   v10 = load.i64 little v6+8
;;!     @0025   v11 = load.i64 little v6+11
;;!     @0025   store little v11, v8+11
;;!     @0025   store little v10, v8+8
;;!     @0025   store little v9, v8
;;!     @002b   v12 = iconst.i32 8
;;!     @002d   v13 = iconst.i32 3
;;!     @002f   v14 = uextend.i64 v1
;;!     @002f   v15 = iadd v3, v14
;;!     @002f   v16 = uload16.i32 little v3+8
;;!     @002f   v17 = uload8.i32 little v3+10
;;!     @002f   istore8 little v17, v15+2
;;!     @002f   istore16 little v16, v15
;;!     @0037   v18 = iconst.i32 65
;;!     @003a   v19 = iconst.i64 24
;;!     @003a   v20 = iadd v0, v19  ; v19 = 24
;;!     @003a   v21 = load.i64 notrap aligned readonly can_move v0+8
;;!     @003a   v22 = load.i64 notrap aligned readonly can_move v21+8
;;!     @003a   call_indirect sig0, v22(v0, v20, v20, v1, v2, v18)  ; v18 = 65
;;!     @003e   return
;;! }
;;! function u0:1(i64 vmctx, i32, i32) fast {
;;!     sig0 = (i64 vmctx, i64, i32, i32, i32) system_v
;;!
;;! block0(v0: i64, v1: i32, v2: i32):
;;!     @0040   v3 = load.i64 notrap aligned readonly can_move v0+24
;;!     @0045   v4 = iconst.i32 16
;;!     @0047   v5 = iconst.i32 255
;;!     @0047   v6 = band v2, v5  ; v5 = 255
;;!     @0047   v7 = uextend.i64 v6
;;!     @0047   v8 = iconst.i64 0x0101_0101_0101_0101
;;!     @0047   v9 = imul v7, v8  ; v8 = 0x0101_0101_0101_0101
;;!     @0047   v10 = uextend.i64 v1
;;!     @0047   v11 = iadd v3, v10
;;!     @0047   store little v9, v11+8
;;!     @0047   store little v9, v11
;;!     @004c   v12 = iconst.i32 7
;;!     @004e   v13 = iconst.i32 6
;;!     @0050   v14 = iconst.i32 0x0707_0707
;;!     @0050   v15 = uextend.i64 v1
;;!     @0050   v16 = iadd v3, v15
;;!     @0050   store little v14, v16+2  ; v14 = 0x0707_0707
;;!     @0050   store little v14, v16  ; v14 = 0x0707_0707
;;!     @0057   v17 = iconst.i32 0
;;!     @0059   v18 = iconst.i64 24
;;!     @0059   v19 = iadd v0, v18  ; v18 = 24
;;!     @0059   v20 = load.i64 notrap aligned readonly can_move v0+8
;;!     @0059   v21 = load.i64 notrap aligned readonly can_move v20+16
;;!     @0059   call_indirect sig0, v21(v0, v19, v1, v2, v17)  ; v17 = 0
;;!     @005c   return
;;! }
