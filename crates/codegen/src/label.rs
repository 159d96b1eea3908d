//! Labels: positions in a function's code that branches refer to.

/// A position in the code, bound when it is reached by the encoder.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Label(u32);

impl Label {
    pub(crate) fn new(index: usize) -> Label {
        Label(index as u32)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
