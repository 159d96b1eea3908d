(module
  (func (param i32) (result i32)
    (block $c
      (block $b
        (block $a
          (br_table $a $b $a $c (local.get 0)))
        (return (i32.const 10)))
      (return (i32.const 20)))
    (i32.const 30))
  (func (param i32) (result i32)
    (block $a (result i32)
      (block $b (result i32)
        (br_table $a $b $b (i32.const 5) (local.get 0)))
      (i32.add (i32.const 1)))))

;;! function u0:0(i64 vmctx, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0022   br_table v1, block1, [block2, block3, block2]
;;!
;;! block2:
;;!     @0029   v2 = iconst.i32 10
;;!     @002b   jump block4(v2)  ; v2 = 10
;;!
;;! block3:
;;!     @002d   v3 = iconst.i32 20
;;!     @002f   jump block4(v3)  ; v3 = 20
;;!
;;! block1:
;;!     @0031   v4 = iconst.i32 30
;;!     @0033   jump block4(v4)  ; v4 = 30
;;!
;;! block4(v5: i32):
;;!     @0033   return v5
;;! }
;;! function u0:1(i64 vmctx, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32):
;;!     @003a   v2 = iconst.i32 5
;;!     @003e   br_table v1, block1(v2), [block2(v2), block1(v2)]  ; v2 = 5
;;!
;;! block1(v3: i32):
;;!     @0044   v4 = iconst.i32 1
;;!     @0046   v5 = iadd v3, v4  ; v4 = 1
;;!     @0047   jump block2(v5)
;;!
;;! block2(v6: i32):
;;!     @0048   return v6
;;! }
