;; sites: at the entry with the parameters, at loop heads, at the one exit with the results.
(module
  (func (param i32 f64) (result i32 f64)
    (loop $again
      (br_if $again (local.get 0)))
    (if (i32.eqz (local.get 0)) (then (return (i32.const 1) (f64.const 2))))
    (local.get 0)
    (local.get 1))
  (func unreachable))

;;! function u0:0(i64 vmctx, i32, f64) -> i32, f64 fast {
;;!     sig0 = () preserve_all
;;!     fn0 = colocated patchable u1:0 sig0
;;!     fn1 = colocated patchable u1:2 sig0
;;!     fn2 = colocated patchable u1:1 sig0
;;!
;;! block0(v0: i64, v1: i32, v2: f64):
;;!     @001e   call fn0(), site=30, observe=[v1, v2]
;;!     @001f   jump block1
;;!
;;! block1:
;;!     @001f   call fn1(), site=31
;;!     @0023   brif.i32 v1, block1, block2
;;!
;;! block2:
;;!     @0028   v3 = iconst.i32 0
;;!     @0028   v4 = icmp.i32 eq v1, v3  ; v3 = 0
;;!     @0029   brif v4, block3, block4
;;!
;;! block3:
;;!     @002b   v5 = iconst.i32 1
;;!     @002d   v6 = f64const 0x1.0000000000000p1
;;!     @0036   jump block5(v5, v6)  ; v5 = 1, v6 = 0x1.0000000000000p1
;;!
;;! block4:
;;!     @003c   jump block5(v1, v2)
;;!
;;! block5(v7: i32, v8: f64):
;;!     @003c   call fn2(), site=60, observe=[v7, v8]
;;!     @003c   return v7, v8
;;! }
;;! function u0:1(i64 vmctx) fast {
;;!     sig0 = () preserve_all
;;!     fn0 = colocated patchable u1:0 sig0
;;!
;;! block0(v0: i64):
;;!     @003e   call fn0(), site=62
;;!     @003f   trap user1
;;! }
