//! The opcode table: name, format, type rules and effects of every instruction.

/// Calls `$m!` with one row for every opcode:
/// `Variant builder_method "name" Format Control(TYPE_SET) [operands] -> [results] (effects);`.
///
/// The lists hold the [`TypeRule`](crate::TypeRule)s of the value operands and results that are
/// not in lists; those of calls, branches and returns follow from signatures and blocks.
macro_rules! for_each_opcode {
    ($m:ident) => {
        $m! {
            // Control flow.
            /// Go to a block.
            Jump jump "jump" Jump Fixed(NONE) [] -> [] (TERMINATOR | BRANCH);
            /// Go to the first block if the condition is not zero, else to the second.
            Brif brif "brif" Brif Infer(SCALAR_INT) [T] -> [] (TERMINATOR | BRANCH);
            /// Go to the block that an index selects from a table, or to the default.
            BrTable br_table "br_table" BranchTable Fixed(NONE) [I32] -> [] (TERMINATOR | BRANCH);
            /// End execution with a trap.
            Trap trap "trap" Trap Fixed(NONE) [] -> [] (TERMINATOR | TRAP);
            /// Trap if the operand is zero.
            Trapz trapz "trapz" CondTrap Infer(SCALAR_INT) [T] -> [] (TRAP);
            /// Trap if the operand is not zero.
            Trapnz trapnz "trapnz" CondTrap Infer(SCALAR_INT) [T] -> [] (TRAP);
            /// Stop for a debugger.
            Debugtrap debugtrap "debugtrap" NullAry Fixed(NONE) [] -> [] (LOAD | STORE | OTHER);
            /// Return from the function.
            Return return_ "return" MultiAry Fixed(NONE) [] -> [] (TERMINATOR);
            /// Call a known function.
            Call call "call" Call Fixed(NONE) [] -> [] (CALL);
            /// Call the function at an address.
            CallIndirect call_indirect "call_indirect" CallIndirect Infer(ADDRESS) [] -> [] (CALL);
            /// Call a known function in place of this one, whose results are those of the callee.
            ReturnCall return_call "return_call" Call Fixed(NONE) [] -> [] (TERMINATOR | CALL);
            /// Call the function at an address in place of this one.
            ReturnCallIndirect return_call_indirect "return_call_indirect" CallIndirect Infer(ADDRESS) [] -> [] (TERMINATOR | CALL);
            /// Call a known function; go to a block with its results, or to one that handles a throw.
            TryCall try_call "try_call" TryCall Fixed(NONE) [] -> [] (TERMINATOR | BRANCH | CALL);
            /// Call the function at an address, as `try_call` does.
            TryCallIndirect try_call_indirect "try_call_indirect" TryCallIndirect Infer(ADDRESS) [] -> [] (TERMINATOR | BRANCH | CALL);
            /// The address of a function.
            FuncAddr func_addr "func_addr" FuncAddr Written(ADDRESS) [] -> [T] (0);

            // Memory.
            /// Load a value from memory.
            Load load "load" Load Written(ANY) [Address] -> [T] (LOAD);
            /// Load 8 bits, zero-extended.
            Uload8 uload8 "uload8" Load Written(ABOVE_8) [Address] -> [T] (LOAD);
            /// Load 8 bits, sign-extended.
            Sload8 sload8 "sload8" Load Written(ABOVE_8) [Address] -> [T] (LOAD);
            /// Load 16 bits, zero-extended.
            Uload16 uload16 "uload16" Load Written(ABOVE_16) [Address] -> [T] (LOAD);
            /// Load 16 bits, sign-extended.
            Sload16 sload16 "sload16" Load Written(ABOVE_16) [Address] -> [T] (LOAD);
            /// Load 32 bits, zero-extended.
            Uload32 uload32 "uload32" Load Infer(ADDRESS) [T] -> [I64] (LOAD);
            /// Load 32 bits, sign-extended.
            Sload32 sload32 "sload32" Load Infer(ADDRESS) [T] -> [I64] (LOAD);
            /// Load 8 lanes of 8 bits, each zero-extended.
            Uload8x8 uload8x8 "uload8x8" Load Infer(ADDRESS) [T] -> [I16X8] (LOAD);
            /// Load 8 lanes of 8 bits, each sign-extended.
            Sload8x8 sload8x8 "sload8x8" Load Infer(ADDRESS) [T] -> [I16X8] (LOAD);
            /// Load 4 lanes of 16 bits, each zero-extended.
            Uload16x4 uload16x4 "uload16x4" Load Infer(ADDRESS) [T] -> [I32X4] (LOAD);
            /// Load 4 lanes of 16 bits, each sign-extended.
            Sload16x4 sload16x4 "sload16x4" Load Infer(ADDRESS) [T] -> [I32X4] (LOAD);
            /// Load 2 lanes of 32 bits, each zero-extended.
            Uload32x2 uload32x2 "uload32x2" Load Infer(ADDRESS) [T] -> [I64X2] (LOAD);
            /// Load 2 lanes of 32 bits, each sign-extended.
            Sload32x2 sload32x2 "sload32x2" Load Infer(ADDRESS) [T] -> [I64X2] (LOAD);
            /// Store a value to memory.
            Store store "store" Store Infer(ANY) [T Address] -> [] (STORE);
            /// Store the low 8 bits of an integer.
            Istore8 istore8 "istore8" Store Infer(ABOVE_8) [T Address] -> [] (STORE);
            /// Store the low 16 bits of an integer.
            Istore16 istore16 "istore16" Store Infer(ABOVE_16) [T Address] -> [] (STORE);
            /// Store the low 32 bits of an integer.
            Istore32 istore32 "istore32" Store Infer(ABOVE_32) [T Address] -> [] (STORE);
            /// The address of a byte in a stack slot.
            StackAddr stack_addr "stack_addr" StackAddr Written(ADDRESS) [] -> [T] (0);
            /// The address of a stack slot of dynamic size.
            DynamicStackAddr dynamic_stack_addr "dynamic_stack_addr" DynamicStackAddr Written(ADDRESS) [] -> [T] (0);

            // Atomics: all are sequentially consistent.
            /// Combine the integer in memory with another; the result is what was there before.
            AtomicRmw atomic_rmw "atomic_rmw" AtomicRmw Written(SCALAR_INT) [Address T] -> [T] (LOAD | STORE | OTHER);
            /// Store the third operand if memory holds the second; the result is what was there before.
            AtomicCas atomic_cas "atomic_cas" AtomicCas Infer(SCALAR_INT) [Address T T] -> [T] (LOAD | STORE | OTHER);
            /// Load an integer from memory.
            AtomicLoad atomic_load "atomic_load" LoadNoOffset Written(SCALAR_INT) [Address] -> [T] (LOAD | OTHER);
            /// Store an integer to memory.
            AtomicStore atomic_store "atomic_store" StoreNoOffset Infer(SCALAR_INT) [T Address] -> [] (STORE | OTHER);
            /// No memory access moves across this.
            Fence fence "fence" NullAry Fixed(NONE) [] -> [] (OTHER);

            // Constants.
            /// An integer constant.
            Iconst iconst "iconst" UnaryImm Written(INT64) [] -> [T] (0);
            /// An `f16` constant.
            F16const f16const "f16const" UnaryIeee16 Fixed(NONE) [] -> [F16] (0);
            /// An `f32` constant.
            F32const f32const "f32const" UnaryIeee32 Fixed(NONE) [] -> [F32] (0);
            /// An `f64` constant.
            F64const f64const "f64const" UnaryIeee64 Fixed(NONE) [] -> [F64] (0);
            /// An `f128` constant.
            F128const f128const "f128const" UnaryConst Fixed(NONE) [] -> [F128] (0);
            /// A vector constant.
            Vconst vconst "vconst" UnaryConst Written(FIXED_VECTOR) [] -> [T] (0);

            // Integers.
            /// Compare two integers.
            Icmp icmp "icmp" IntCompare Infer(INT) [T T] -> [Truthy] (0);
            /// Wrapping addition.
            Iadd iadd "iadd" Binary Infer(INT) [T T] -> [T] (0);
            /// Wrapping subtraction.
            Isub isub "isub" Binary Infer(INT) [T T] -> [T] (0);
            /// Wrapping multiplication.
            Imul imul "imul" Binary Infer(INT) [T T] -> [T] (0);
            /// High half of the unsigned product.
            Umulhi umulhi "umulhi" Binary Infer(INT) [T T] -> [T] (0);
            /// High half of the signed product.
            Smulhi smulhi "smulhi" Binary Infer(INT) [T T] -> [T] (0);
            /// Unsigned quotient; traps on division by zero.
            Udiv udiv "udiv" Binary Infer(SCALAR_INT) [T T] -> [T] (TRAP);
            /// Signed quotient; traps on division by zero and on overflow.
            Sdiv sdiv "sdiv" Binary Infer(SCALAR_INT) [T T] -> [T] (TRAP);
            /// Unsigned remainder; traps on division by zero.
            Urem urem "urem" Binary Infer(SCALAR_INT) [T T] -> [T] (TRAP);
            /// Signed remainder with the sign of the dividend; traps on division by zero.
            Srem srem "srem" Binary Infer(SCALAR_INT) [T T] -> [T] (TRAP);
            /// Wrapping negation.
            Ineg ineg "ineg" Unary Infer(INT) [T] -> [T] (0);
            /// Absolute value; that of the smallest number is itself.
            Iabs iabs "iabs" Unary Infer(INT) [T] -> [T] (0);
            /// Signed minimum.
            Smin smin "smin" Binary Infer(FIXED_INT) [T T] -> [T] (0);
            /// Unsigned minimum.
            Umin umin "umin" Binary Infer(FIXED_INT) [T T] -> [T] (0);
            /// Signed maximum.
            Smax smax "smax" Binary Infer(FIXED_INT) [T T] -> [T] (0);
            /// Unsigned maximum.
            Umax umax "umax" Binary Infer(FIXED_INT) [T T] -> [T] (0);
            /// Unsigned sum, and whether it overflowed.
            UaddOverflow uadd_overflow "uadd_overflow" Binary Infer(SCALAR_INT) [T T] -> [T I8] (0);
            /// Signed sum, and whether it overflowed.
            SaddOverflow sadd_overflow "sadd_overflow" Binary Infer(SCALAR_INT) [T T] -> [T I8] (0);
            /// Unsigned difference, and whether it overflowed.
            UsubOverflow usub_overflow "usub_overflow" Binary Infer(SCALAR_INT) [T T] -> [T I8] (0);
            /// Signed difference, and whether it overflowed.
            SsubOverflow ssub_overflow "ssub_overflow" Binary Infer(SCALAR_INT) [T T] -> [T I8] (0);
            /// Unsigned product, and whether it overflowed.
            UmulOverflow umul_overflow "umul_overflow" Binary Infer(INT64) [T T] -> [T I8] (0);
            /// Signed product, and whether it overflowed.
            SmulOverflow smul_overflow "smul_overflow" Binary Infer(INT64) [T T] -> [T I8] (0);
            /// Unsigned sum with a carry in, and the carry out.
            UaddOverflowCin uadd_overflow_cin "uadd_overflow_cin" Ternary Infer(SCALAR_INT) [T T I8] -> [T I8] (0);
            /// Signed sum with a carry in, and whether it overflowed.
            SaddOverflowCin sadd_overflow_cin "sadd_overflow_cin" Ternary Infer(SCALAR_INT) [T T I8] -> [T I8] (0);
            /// Unsigned difference with a borrow in, and the borrow out.
            UsubOverflowBin usub_overflow_bin "usub_overflow_bin" Ternary Infer(SCALAR_INT) [T T I8] -> [T I8] (0);
            /// Signed difference with a borrow in, and whether it overflowed.
            SsubOverflowBin ssub_overflow_bin "ssub_overflow_bin" Ternary Infer(SCALAR_INT) [T T I8] -> [T I8] (0);
            /// Unsigned sum; traps on overflow.
            UaddOverflowTrap uadd_overflow_trap "uadd_overflow_trap" IntAddTrap Infer(ABOVE_16) [T T] -> [T] (TRAP);

            // Bits.
            /// Bitwise and.
            Band band "band" Binary Infer(FIXED) [T T] -> [T] (0);
            /// Bitwise or.
            Bor bor "bor" Binary Infer(FIXED) [T T] -> [T] (0);
            /// Bitwise exclusive or.
            Bxor bxor "bxor" Binary Infer(FIXED) [T T] -> [T] (0);
            /// Bitwise complement.
            Bnot bnot "bnot" Unary Infer(FIXED) [T] -> [T] (0);
            /// Rotate left; the amount counts modulo the width.
            Rotl rotl "rotl" Binary Infer(INT) [T AnyInt] -> [T] (0);
            /// Rotate right; the amount counts modulo the width.
            Rotr rotr "rotr" Binary Infer(INT) [T AnyInt] -> [T] (0);
            /// Shift left; the amount counts modulo the width.
            Ishl ishl "ishl" Binary Infer(INT) [T AnyInt] -> [T] (0);
            /// Shift right, filling with zeros; the amount counts modulo the width.
            Ushr ushr "ushr" Binary Infer(INT) [T AnyInt] -> [T] (0);
            /// Shift right, filling with the sign; the amount counts modulo the width.
            Sshr sshr "sshr" Binary Infer(INT) [T AnyInt] -> [T] (0);
            /// The bits in reverse order.
            Bitrev bitrev "bitrev" Unary Infer(SCALAR_INT) [T] -> [T] (0);
            /// Number of leading zero bits; the width for zero.
            Clz clz "clz" Unary Infer(SCALAR_INT) [T] -> [T] (0);
            /// Number of bits below the sign bit that repeat it.
            Cls cls "cls" Unary Infer(SCALAR_INT) [T] -> [T] (0);
            /// Number of trailing zero bits; the width for zero.
            Ctz ctz "ctz" Unary Infer(SCALAR_INT) [T] -> [T] (0);
            /// The bytes in reverse order.
            Bswap bswap "bswap" Unary Infer(MULTIBYTE) [T] -> [T] (0);
            /// Number of set bits.
            Popcnt popcnt "popcnt" Unary Infer(INT) [T] -> [T] (0);

            // Floats.
            /// Compare two floats.
            Fcmp fcmp "fcmp" FloatCompare Infer(FLOAT) [T T] -> [Truthy] (0);
            /// Addition.
            Fadd fadd "fadd" Binary Infer(FLOAT) [T T] -> [T] (0);
            /// Subtraction.
            Fsub fsub "fsub" Binary Infer(FLOAT) [T T] -> [T] (0);
            /// Multiplication.
            Fmul fmul "fmul" Binary Infer(FLOAT) [T T] -> [T] (0);
            /// Division.
            Fdiv fdiv "fdiv" Binary Infer(FLOAT) [T T] -> [T] (0);
            /// The first operand with the sign of the second.
            Fcopysign fcopysign "fcopysign" Binary Infer(FLOAT) [T T] -> [T] (0);
            /// Minimum; NaN if either is, and -0 < +0.
            Fmin fmin "fmin" Binary Infer(FLOAT) [T T] -> [T] (0);
            /// Maximum; NaN if either is, and -0 < +0.
            Fmax fmax "fmax" Binary Infer(FLOAT) [T T] -> [T] (0);
            /// Square root.
            Sqrt sqrt "sqrt" Unary Infer(FLOAT) [T] -> [T] (0);
            /// Flip the sign bit.
            Fneg fneg "fneg" Unary Infer(FLOAT) [T] -> [T] (0);
            /// Clear the sign bit.
            Fabs fabs "fabs" Unary Infer(FLOAT) [T] -> [T] (0);
            /// Round towards +∞.
            Ceil ceil "ceil" Unary Infer(FLOAT) [T] -> [T] (0);
            /// Round towards -∞.
            Floor floor "floor" Unary Infer(FLOAT) [T] -> [T] (0);
            /// Round towards zero.
            Trunc trunc "trunc" Unary Infer(FLOAT) [T] -> [T] (0);
            /// Round to the nearest integer, ties to even.
            Nearest nearest "nearest" Unary Infer(FLOAT) [T] -> [T] (0);
            /// The product of the first two operands plus the third, rounded once.
            Fma fma "fma" Ternary Infer(FLOAT) [T T T] -> [T] (0);

            // Selection.
            /// The second operand if the first is not zero, else the third.
            Select select "select" Ternary Infer(FIXED) [AnyInt T T] -> [T] (0);
            /// As `select`, and never by a prediction.
            SelectSpectreGuard select_spectre_guard "select_spectre_guard" Ternary Infer(FIXED) [AnyInt T T] -> [T] (OTHER);
            /// The bits of the second operand where the first has ones, those of the third elsewhere.
            Bitselect bitselect "bitselect" Ternary Infer(FIXED) [T T T] -> [T] (0);
            /// As `bitselect`, if each lane of the first operand is all ones or all zeros.
            Blendv blendv "blendv" Ternary Infer(FIXED) [T T T] -> [T] (0);
            /// Whether any lane is not zero.
            VanyTrue vany_true "vany_true" Unary Infer(FIXED_VECTOR) [T] -> [I8] (0);
            /// Whether no lane is zero.
            VallTrue vall_true "vall_true" Unary Infer(FIXED_VECTOR) [T] -> [I8] (0);
            /// The highest bits of all lanes, that of lane 0 lowest.
            VhighBits vhigh_bits "vhigh_bits" Unary Written(INT64) [AnyVector] -> [T] (0);

            // Conversions.
            /// The same bits as another type.
            Bitcast bitcast "bitcast" Unary Written(ANY) [SameWidth] -> [T] (0);
            /// The low bits of an integer.
            Ireduce ireduce "ireduce" Unary Written(SCALAR_INT) [WiderInt] -> [T] (0);
            /// Extend with zeros.
            Uextend uextend "uextend" Unary Written(SCALAR_INT) [NarrowerInt] -> [T] (0);
            /// Extend with the sign.
            Sextend sextend "sextend" Unary Written(SCALAR_INT) [NarrowerInt] -> [T] (0);
            /// All ones if the operand is not zero, else zero.
            Bmask bmask "bmask" Unary Written(SCALAR_INT) [AnyInt] -> [T] (0);
            /// Convert to a wider float.
            Fpromote fpromote "fpromote" Unary Written(SCALAR_FLOAT) [NarrowerFloat] -> [T] (0);
            /// Convert to a narrower float, rounding to nearest.
            Fdemote fdemote "fdemote" Unary Written(SCALAR_FLOAT) [WiderFloat] -> [T] (0);
            /// Truncate to an unsigned integer; traps on NaN and out of range.
            FcvtToUint fcvt_to_uint "fcvt_to_uint" Unary Written(SCALAR_INT) [AnyFloat] -> [T] (TRAP);
            /// Truncate to a signed integer; traps on NaN and out of range.
            FcvtToSint fcvt_to_sint "fcvt_to_sint" Unary Written(SCALAR_INT) [AnyFloat] -> [T] (TRAP);
            /// Truncate to an unsigned integer, saturating; NaN is 0.
            FcvtToUintSat fcvt_to_uint_sat "fcvt_to_uint_sat" Unary Written(FIXED_INT) [AnyFloats] -> [T] (0);
            /// Truncate to a signed integer, saturating; NaN is 0.
            FcvtToSintSat fcvt_to_sint_sat "fcvt_to_sint_sat" Unary Written(FIXED_INT) [AnyFloats] -> [T] (0);
            /// Truncate to a signed integer; NaN and what is out of range is the smallest number.
            X86Cvtt2dq x86_cvtt2dq "x86_cvtt2dq" Unary Written(FIXED_INT) [AnyFloats] -> [T] (0);
            /// Convert from an unsigned integer.
            FcvtFromUint fcvt_from_uint "fcvt_from_uint" Unary Written(FIXED_FLOAT) [AnyInts] -> [T] (0);
            /// Convert from a signed integer.
            FcvtFromSint fcvt_from_sint "fcvt_from_sint" Unary Written(FIXED_FLOAT) [AnyInts] -> [T] (0);
            /// The low and the high half.
            Isplit isplit "isplit" Unary Infer(MULTIBYTE) [T] -> [Half Half] (0);
            /// An integer of a low and a high half.
            Iconcat iconcat "iconcat" Binary Infer(INT64) [T T] -> [Double] (0);

            // Vectors.
            /// A vector whose lanes are all the operand.
            Splat splat "splat" Unary Written(VECTOR) [Lane] -> [T] (0);
            /// A vector with the operand as lane 0, all others being zero.
            ScalarToVector scalar_to_vector "scalar_to_vector" Unary Written(FIXED_VECTOR) [Lane] -> [T] (0);
            /// The vector with one lane replaced.
            Insertlane insertlane "insertlane" TernaryImm8 Infer(VECTOR) [T Lane] -> [T] (0);
            /// One lane of a vector.
            Extractlane extractlane "extractlane" BinaryImm8 Infer(VECTOR) [T] -> [Lane] (0);
            /// One fixed part of a dynamic vector.
            ExtractVector extract_vector "extract_vector" BinaryImm8 Infer(DYNAMIC_VECTOR) [T] -> [FixedPart] (0);
            /// Lanes of two vectors, selected by the bytes of a mask.
            Shuffle shuffle "shuffle" Shuffle Fixed(NONE) [I8X16 I8X16] -> [I8X16] (0);
            /// Lanes of the first vector, selected by those of the second; zero if out of range.
            Swizzle swizzle "swizzle" Binary Fixed(NONE) [I8X16 I8X16] -> [I8X16] (0);
            /// As `swizzle`, by the low four bits, and zero if the highest is set.
            X86Pshufb x86_pshufb "x86_pshufb" Binary Fixed(NONE) [I8X16 I8X16] -> [I8X16] (0);
            /// Unsigned average, rounded up.
            AvgRound avg_round "avg_round" Binary Infer(INT_VECTOR) [T T] -> [T] (0);
            /// Unsigned addition, saturating.
            UaddSat uadd_sat "uadd_sat" Binary Infer(INT_VECTOR) [T T] -> [T] (0);
            /// Signed addition, saturating.
            SaddSat sadd_sat "sadd_sat" Binary Infer(INT_VECTOR) [T T] -> [T] (0);
            /// Unsigned subtraction, saturating.
            UsubSat usub_sat "usub_sat" Binary Infer(INT_VECTOR) [T T] -> [T] (0);
            /// Signed subtraction, saturating.
            SsubSat ssub_sat "ssub_sat" Binary Infer(INT_VECTOR) [T T] -> [T] (0);
            /// Product of fixed-point numbers below 1, rounded and saturating.
            SqmulRoundSat sqmul_round_sat "sqmul_round_sat" Binary Infer(Q_FORMAT) [T T] -> [T] (0);
            /// As `sqmul_round_sat`, but that of the smallest number with itself wraps.
            X86Pmulhrsw x86_pmulhrsw "x86_pmulhrsw" Binary Infer(Q_FORMAT) [T T] -> [T] (0);
            /// Sums of two products of unsigned with signed lanes, saturating.
            X86Pmaddubsw x86_pmaddubsw "x86_pmaddubsw" Binary Fixed(NONE) [I8X16 I8X16] -> [I16X8] (0);
            /// Sums of neighbouring lanes.
            IaddPairwise iadd_pairwise "iadd_pairwise" Binary Infer(WIDENABLE) [T T] -> [T] (0);
            /// Both vectors with lanes half as wide, signed, saturating.
            Snarrow snarrow "snarrow" Binary Infer(NARROWABLE) [T T] -> [Split] (0);
            /// Both vectors with lanes half as wide, from signed to unsigned, saturating.
            Unarrow unarrow "unarrow" Binary Infer(NARROWABLE) [T T] -> [Split] (0);
            /// Both vectors with lanes half as wide, unsigned, saturating.
            Uunarrow uunarrow "uunarrow" Binary Infer(NARROWABLE) [T T] -> [Split] (0);
            /// The low half of the lanes, twice as wide, sign-extended.
            SwidenLow swiden_low "swiden_low" Unary Infer(WIDENABLE) [T] -> [Merged] (0);
            /// The high half of the lanes, twice as wide, sign-extended.
            SwidenHigh swiden_high "swiden_high" Unary Infer(WIDENABLE) [T] -> [Merged] (0);
            /// The low half of the lanes, twice as wide, zero-extended.
            UwidenLow uwiden_low "uwiden_low" Unary Infer(WIDENABLE) [T] -> [Merged] (0);
            /// The high half of the lanes, twice as wide, zero-extended.
            UwidenHigh uwiden_high "uwiden_high" Unary Infer(WIDENABLE) [T] -> [Merged] (0);
            /// Two `f64` as `f32`, then two zeros.
            Fvdemote fvdemote "fvdemote" Unary Fixed(NONE) [F64X2] -> [F32X4] (0);
            /// The low two `f32` as `f64`.
            FvpromoteLow fvpromote_low "fvpromote_low" Unary Fixed(NONE) [F32X4] -> [F64X2] (0);

            // Registers, symbols, stacks and markers.
            /// The address of a symbol.
            SymbolValue symbol_value "symbol_value" UnaryGlobalValue Written(ANY) [] -> [T] (0);
            /// The address of a thread-local variable.
            TlsValue tls_value "tls_value" UnaryGlobalValue Written(ANY) [] -> [T] (0);
            /// The contents of the pinned register.
            GetPinnedReg get_pinned_reg "get_pinned_reg" NullAry Written(ADDRESS) [] -> [T] (OTHER);
            /// Set the pinned register.
            SetPinnedReg set_pinned_reg "set_pinned_reg" Unary Infer(ADDRESS) [T] -> [] (OTHER);
            /// The frame pointer of this function.
            GetFramePointer get_frame_pointer "get_frame_pointer" NullAry Written(ADDRESS) [] -> [T] (0);
            /// The stack pointer here.
            GetStackPointer get_stack_pointer "get_stack_pointer" NullAry Written(ADDRESS) [] -> [T] (0);
            /// Where this function returns to.
            GetReturnAddress get_return_address "get_return_address" NullAry Written(ADDRESS) [] -> [T] (0);
            /// The address of a handler of the `try_call` that ends a block.
            GetExceptionHandlerAddress get_exception_handler_address "get_exception_handler_address" ExceptionHandlerAddress Written(ADDRESS) [] -> [T] (0);
            /// Go on with another stack.
            StackSwitch stack_switch "stack_switch" Ternary Infer(ADDRESS) [T T T] -> [T] (LOAD | STORE | OTHER);
            /// Nothing.
            Nop nop "nop" NullAry Fixed(NONE) [] -> [] (OTHER);
            /// A place in the source that has a place in the code; nothing moves across it.
            SequencePoint sequence_point "sequence_point" NullAry Fixed(NONE) [] -> [] (OTHER);
        }
    };
}
pub(crate) use for_each_opcode;
