//! Operating systems without a known mechanism. There are no items here: nothing may be built on
//! them.

compile_error!(
    "nopal-icache knows no way to reach all threads on this operating system; supported: linux, android, \
     macos, ios, windows, freebsd, dragonfly, netbsd, openbsd, none (one core)"
);
