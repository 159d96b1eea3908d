(module
  (global $g (mut i32) (i32.const 0))
  (func (param i32)
    (if (local.get 0) (then (global.set $g (i32.const 1)))))
  (func (param i32)
    (if (local.get 0)
      (then (global.set $g (i32.const 1)))
      (else (global.set $g (i32.const 2)))))
  ;; A branch to the end of an `if` without `else`.
  (func (param i32 i32)
    (if $end (local.get 0)
      (then (br_if $end (local.get 1)) (global.set $g (i32.const 1)))))
  ;; Parameters.
  (func (param i32 i32) (result i32)
    (local.get 0)
    (if (param i32) (result i32) (local.get 1)
      (then (i32.const 1) (i32.add))))
  (func (param i32 i32) (result i32)
    (i32.eqz (local.get 0))
    (if (param i32) (result i32) (local.get 1)
      (then (drop) (i32.const 7))
      (else (i32.const 1) (i32.add)))))

;;! function u0:0(i64 vmctx, i32) fast {
;;! block0(v0: i64, v1: i32):
;;!     @0036   brif v1, block1, block2
;;!
;;! block1:
;;!     @0038   v2 = iconst.i32 1
;;!     @003a   store notrap aligned v2, v0+32  ; v2 = 1
;;!     @003c   jump block2
;;!
;;! block2:
;;!     @003d   return
;;! }
;;! function u0:1(i64 vmctx, i32) fast {
;;! block0(v0: i64, v1: i32):
;;!     @0042   brif v1, block1, block2
;;!
;;! block1:
;;!     @0044   v2 = iconst.i32 1
;;!     @0046   store notrap aligned v2, v0+32  ; v2 = 1
;;!     @0048   jump block3
;;!
;;! block2:
;;!     @0049   v3 = iconst.i32 2
;;!     @004b   store notrap aligned v3, v0+32  ; v3 = 2
;;!     @004d   jump block3
;;!
;;! block3:
;;!     @004e   return
;;! }
;;! function u0:2(i64 vmctx, i32, i32) fast {
;;! block0(v0: i64, v1: i32, v2: i32):
;;!     @0053   brif v1, block1, block2
;;!
;;! block1:
;;!     @0057   brif.i32 v2, block3, block4
;;!
;;! block4:
;;!     @0059   v3 = iconst.i32 1
;;!     @005b   store notrap aligned v3, v0+32  ; v3 = 1
;;!     @005d   jump block2
;;!
;;! block2:
;;!     @005d   jump block3
;;!
;;! block3:
;;!     @005e   return
;;! }
;;! function u0:3(i64 vmctx, i32, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32, v2: i32):
;;!     @0065   brif v2, block1, block2(v1)
;;!
;;! block1:
;;!     @0067   v3 = iconst.i32 1
;;!     @0069   v4 = iadd.i32 v1, v3  ; v3 = 1
;;!     @006a   jump block2(v4)
;;!
;;! block2(v5: i32):
;;!     @006b   return v5
;;! }
;;! function u0:4(i64 vmctx, i32, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32, v2: i32):
;;!     @0070   v3 = iconst.i32 0
;;!     @0070   v4 = icmp eq v1, v3  ; v3 = 0
;;!     @0073   v5 = uextend.i32 v4
;;!     @0073   brif v2, block1, block2(v5)
;;!
;;! block1:
;;!     @0076   v6 = iconst.i32 7
;;!     @0078   jump block3(v6)  ; v6 = 7
;;!
;;! block2(v7: i32):
;;!     @0079   v8 = iconst.i32 1
;;!     @007b   v9 = iadd v7, v8  ; v8 = 1
;;!     @007c   jump block3(v9)
;;!
;;! block3(v10: i32):
;;!     @007d   return v10
;;! }
