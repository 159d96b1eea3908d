//! A compiler from CLIF to machine code in two walks, with patchable call sites.
