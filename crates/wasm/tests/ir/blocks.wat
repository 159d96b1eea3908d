;; Blocks are made only where branches meet.
(module
  (func (param i32) (result i32)
    (block (result i32) (block (nop) (block)) (local.get 0)))
  (func (param i32) (result i32)
    (block $a
      (block $b
        (br_if $a (local.get 0))
        (br $b))
      (return (i32.const 1)))
    (i32.const 2))
  ;; Multiple values.
  (func (param i32) (result i32 i64)
    (block $a (result i32 i64)
      (br_if $a (i32.const 1) (i64.const 2) (local.get 0))))
  ;; Code after an unconditional branch.
  (func (result i32)
    (block $a (result i32)
      (br $a (i32.const 1))
      (loop (br 0))
      (if (unreachable) (then (nop)) (else (unreachable)))
      (i32.add (i32.const 1)))))

;;! function u0:0(i64 vmctx, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0037   return v1
;;! }
;;! function u0:1(i64 vmctx, i32) -> i32 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0040   brif v1, block1, block2
;;!
;;! block2:
;;!     @0042   jump block3
;;!
;;! block3:
;;!     @0045   v2 = iconst.i32 1
;;!     @0047   jump block4(v2)  ; v2 = 1
;;!
;;! block1:
;;!     @0049   v3 = iconst.i32 2
;;!     @004b   jump block4(v3)  ; v3 = 2
;;!
;;! block4(v4: i32):
;;!     @004b   return v4
;;! }
;;! function u0:2(i64 vmctx, i32) -> i32, i64 fast {
;;! block0(v0: i64, v1: i32):
;;!     @0050   v2 = iconst.i32 1
;;!     @0052   v3 = iconst.i64 2
;;!     @0056   brif v1, block1(v2, v3), block2  ; v2 = 1, v3 = 2
;;!
;;! block2:
;;!     @0058   jump block1(v2, v3)  ; v2 = 1, v3 = 2
;;!
;;! block1(v4: i32, v5: i64):
;;!     @0059   return v4, v5
;;! }
;;! function u0:3(i64 vmctx) -> i32 fast {
;;! block0(v0: i64):
;;!     @005e   v1 = iconst.i32 1
;;!     @0060   jump block1(v1)  ; v1 = 1
;;!
;;! block1(v2: i32):
;;!     @0072   return v2
;;! }
