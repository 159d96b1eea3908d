(module
  (func (param i32 i32) (result i32)
    (i32.sub (i32.rotl (local.get 0) (local.get 1)) (i32.div_s (local.get 0) (local.get 1))))
  (func (param i64) (result i64)
    (i64.add (i64.extend8_s (local.get 0)) (i64.extend_i32_s (i32.wrap_i64 (local.get 0)))))
  (func (param f32 f64) (result f64)
    (f64.min (f64.promote_f32 (f32.nearest (local.get 0))) (f64.copysign (local.get 1) (f64.const -1.5))))
  (func (param f64) (result i64)
    (i64.add
      (i64.trunc_f64_u (local.get 0))
      (i64.trunc_sat_f64_s (local.get 0))))
  (func (param f32) (result i32)
    (i32.reinterpret_f32 (f32.convert_i32_u (i32.popcnt (i32.reinterpret_f32 (local.get 0)))))))

;;! function u0:0(i64 vmctx, i32, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32, v2: i32):
;;!     @0037   v3 = rotl v1, v2
;;!     @003c   v4 = sdiv v1, v2
;;!     @003d   v5 = isub v3, v4
;;!     @003e   return v5
;;! }
;;! function u0:1(i64 vmctx, i64) -> i64 fast {
;;! block0(v0: i64, v1: i64):
;;!     @0043   v2 = ireduce.i8 v1
;;!     @0043   v3 = sextend.i64 v2
;;!     @0046   v4 = ireduce.i32 v1
;;!     @0047   v5 = sextend.i64 v4
;;!     @0048   v6 = iadd v3, v5
;;!     @0049   return v6
;;! }
;;! function u0:2(i64 vmctx, f32, f64) -> f64 fast {
;;! block0(v0: i64, v1: f32, v2: f64):
;;!     @004e   v3 = nearest v1
;;!     @004f   v4 = fpromote.f64 v3
;;!     @0052   v5 = f64const -0x1.8000000000000p0
;;!     @005b   v6 = fcopysign v2, v5  ; v5 = -0x1.8000000000000p0
;;!     @005c   v7 = fmin v4, v6
;;!     @005d   return v7
;;! }
;;! function u0:3(i64 vmctx, f64) -> i64 fast {
;;! block0(v0: i64, v1: f64):
;;!     @0062   v2 = fcvt_to_uint.i64 v1
;;!     @0065   v3 = fcvt_to_sint_sat.i64 v1
;;!     @0067   v4 = iadd v2, v3
;;!     @0068   return v4
;;! }
;;! function u0:4(i64 vmctx, f32) -> i32 fast {
;;! block0(v0: i64, v1: f32):
;;!     @006d   v2 = bitcast.i32 v1
;;!     @006e   v3 = popcnt v2
;;!     @006f   v4 = fcvt_from_uint.f32 v3
;;!     @0070   v5 = bitcast.i32 v4
;;!     @0071   return v5
;;! }
