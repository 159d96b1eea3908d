//! Functions in SSA form with block parameters: build, print and verify them. The text is CLIF.
