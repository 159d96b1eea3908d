//! Architectures without a known mechanism. There are no items here: nothing may be built on them.

compile_error!(
    "nopal-icache knows no instruction-cache maintenance for this architecture; supported: x86, x86_64, \
     aarch64, arm, riscv32, riscv64, s390x, powerpc, powerpc64, loongarch64, mips, mips64"
);
