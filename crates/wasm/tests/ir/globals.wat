(module
  (global $mutable (mut i32) (i32.const 1))
  (global $float f32 (f32.const 2))
  (global $number i32 (i32.const -3))
  (global $func funcref (ref.func $f))
  (func $f (result f32)
    (global.set $mutable (i32.add (global.get $mutable) (global.get $number)))
    (global.get $float))
  (func (result i32)
    (ref.is_null (global.get $func))))

;;! function u0:0(i64 vmctx) -> f32 fast {
;;! block0(v0: i64):
;;!     @0037   v1 = load.i32 notrap aligned v0+32
;;!     @0039   v2 = iconst.i32 -3
;;!     @003b   v3 = iadd v1, v2  ; v2 = -3
;;!     @003c   store notrap aligned v3, v0+32
;;!     @003e   v4 = f32const 0x1.000000p1
;;!     @0040   return v4  ; v4 = 0x1.000000p1
;;! }
;;! function u0:1(i64 vmctx) -> i32 fast {
;;! block0(v0: i64):
;;!     @0043   v1 = load.i64 notrap aligned readonly can_move v0+80
;;!     @0045   v2 = iconst.i64 0
;;!     @0045   v3 = icmp eq v1, v2  ; v2 = 0
;;!     @0046   v4 = uextend.i32 v3
;;!     @0046   return v4
;;! }
