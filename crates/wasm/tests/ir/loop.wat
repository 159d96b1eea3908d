(module
  (func (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  ;; Values carried by the loop itself.
  (func (param $n i32) (result i64)
    (i64.const 1)
    (loop $again (param i64) (result i64)
      (i64.mul (i64.extend_i32_u (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (loop (br 0))))

;;! function u0:0(i64 vmctx, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32):
;;!             v2 = iconst.i32 0
;;!     @002a   jump block1(v2, v1)  ; v2 = 0
;;!
;;! block1(v3: i32, v4: i32):
;;!     @0030   v5 = iadd v3, v4
;;!     @0035   v6 = iconst.i32 1
;;!     @0037   v7 = isub v4, v6  ; v6 = 1
;;!     @003a   brif v7, block1(v5, v7), block2
;;!
;;! block2:
;;!     @003f   return v5
;;! }
;;! function u0:1(i64 vmctx, i32) -> i64 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0042   v2 = iconst.i64 1
;;!     @0044   jump block1(v2, v1)  ; v2 = 1
;;!
;;! block1(v3: i64, v4: i32):
;;!     @0048   v5 = uextend.i64 v4
;;!     @0049   v6 = imul v3, v5
;;!     @004c   v7 = iconst.i32 1
;;!     @004e   v8 = isub v4, v7  ; v7 = 1
;;!     @0051   brif v8, block1(v6, v8), block2
;;!
;;! block2:
;;!     @0054   return v6
;;! }
;;! function u0:2(i64 vmctx) fast {
;;! block0(v0: i64):
;;!     @0057   jump block1
;;!
;;! block1:
;;!     @0059   jump block1
;;! }
