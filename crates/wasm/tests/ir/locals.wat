;; Locals are zero at first.
(module
  (func (param i32) (result f64) (local $x f64) (local $y f64) (local $r externref)
    (if (ref.is_null (local.get $r))
      (then (local.set $x (f64.const 1)) (drop (local.tee $y (local.get $x)))))
    (f64.add (local.get $x) (local.get $y))))

;;! function u0:0(i64 vmctx, i32) -> f64 fast {
;;! block0(v0: i64, v1: i32):
;;!             v2 = iconst.i64 0
;;!             v3 = f64const 0.0
;;!     @001f   v4 = iconst.i64 0
;;!     @001f   v5 = icmp eq v2, v4  ; v2 = 0, v4 = 0
;;!     @0020   brif v5, block1, block2(v3, v3)  ; v3 = 0.0
;;!
;;! block1:
;;!     @0022   v6 = f64const 0x1.0000000000000p0
;;!     @0032   jump block2(v6, v6)  ; v6 = 0x1.0000000000000p0
;;!
;;! block2(v7: f64, v8: f64):
;;!     @0037   v9 = fadd v7, v8
;;!     @0038   return v9
;;! }
