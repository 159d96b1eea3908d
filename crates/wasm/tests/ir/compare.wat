;; A comparison becomes an i32 only where it is used as one.
(module
  (func (param i32 i32) (result i32)
    (if (result i32) (i32.lt_s (local.get 0) (local.get 1))
      (then (i32.const 10))
      (else (i32.eq (local.get 0) (i32.const 3)))))
  (func (param f64 f64) (result i32)
    (select (i32.const 1) (i32.const 2) (i32.eqz (f64.lt (local.get 0) (local.get 1)))))
  (func (param i64) (result i32)
    (i32.add (i64.eqz (local.get 0)) (i64.gt_u (local.get 0) (i64.const 9))))
  (func (param i32) (result i64)
    (i64.extend_i32_u (i32.eqz (local.get 0)))))

;;! function u0:0(i64 vmctx, i32, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32, v2: i32):
;;!     @0031   v3 = icmp slt v1, v2
;;!     @0032   brif v3, block1, block2
;;!
;;! block1:
;;!     @0034   v4 = iconst.i32 10
;;!     @0036   jump block3(v4)  ; v4 = 10
;;!
;;! block2:
;;!     @0039   v5 = iconst.i32 3
;;!     @003b   v6 = icmp.i32 eq v1, v5  ; v5 = 3
;;!     @003c   v7 = uextend.i32 v6
;;!     @003c   jump block3(v7)
;;!
;;! block3(v8: i32):
;;!     @003d   return v8
;;! }
;;! function u0:1(i64 vmctx, f64, f64) -> i32 fast {
;;! block0(v0: i64, v1: f64, v2: f64):
;;!     @0040   v3 = iconst.i32 1
;;!     @0042   v4 = iconst.i32 2
;;!     @0048   v5 = fcmp lt v1, v2
;;!     @0049   v6 = iconst.i8 0
;;!     @0049   v7 = fcmp uge v1, v2
;;!     @004a   v8 = select v7, v3, v4  ; v3 = 1, v4 = 2
;;!     @004b   return v8
;;! }
;;! function u0:2(i64 vmctx, i64) -> i32 fast {
;;! block0(v0: i64, v1: i64):
;;!     @0050   v2 = iconst.i64 0
;;!     @0050   v3 = icmp eq v1, v2  ; v2 = 0
;;!     @0053   v4 = iconst.i64 9
;;!     @0055   v5 = icmp ugt v1, v4  ; v4 = 9
;;!     @0056   v6 = uextend.i32 v5
;;!     @0056   v7 = uextend.i32 v3
;;!     @0056   v8 = iadd v7, v6
;;!     @0057   return v8
;;! }
;;! function u0:3(i64 vmctx, i32) -> i64 fast {
;;! block0(v0: i64, v1: i32):
;;!     @005c   v2 = iconst.i32 0
;;!     @005c   v3 = icmp eq v1, v2  ; v2 = 0
;;!     @005d   v4 = uextend.i64 v3
;;!     @005e   return v4
;;! }
