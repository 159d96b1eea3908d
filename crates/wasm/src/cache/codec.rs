//! The form that code and tables have in a file: numbers in little-endian order, sequences preceded
//! by their length. Reading trusts nothing: it checks bounds, never allocates more than what is left of
//! the input accounts for, and ends with `None` at the first thing that cannot be.

/// Takes a file apart.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// The next `len` bytes.
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    /// A sequence of bytes.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    /// A sequence of records of `N` bytes.
    pub(crate) fn records<const N: usize>(&mut self) -> Option<&'a [[u8; N]]> {
        let len = (self.u32()? as usize).checked_mul(N)?;
        let (records, rest) = self.take(len)?.as_chunks();
        rest.is_empty().then_some(records)
    }

    /// A sequence of numbers.
    pub(crate) fn u32s(&mut self) -> Option<Vec<u32>> {
        let records = self.records()?;
        Some(records.iter().map(|&r| u32::from_le_bytes(r)).collect())
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Puts a file together.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// A writer that appends to `bytes`.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Writer(bytes)
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    /// The length of a sequence. All are of code or tables of code, of which there is less than 4 GiB.
    fn len(&mut self, len: usize) {
        self.u32(u32::try_from(len).expect("a table of code that has less than 4 GiB"));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn records<const N: usize>(
        &mut self,
        records: impl ExactSizeIterator<Item = [u8; N]>,
    ) {
        self.len(records.len());
        self.0.reserve(records.len() * N);
        records.for_each(|record| self.0.extend_from_slice(&record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut writer = Writer::new(Vec::new());
        writer.u32(7);
        writer.bytes(b"abc");
        writer.records([1, u32::MAX].map(u32::to_le_bytes).into_iter());
        writer.records([[1, 2], [3, 4], [5, 6]].into_iter());
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u32(), Some(7));
        assert_eq!(reader.bytes(), Some(&b"abc"[..]));
        assert_eq!(reader.u32s(), Some(vec![1, u32::MAX]));
        assert_eq!(reader.records(), Some(&[[1, 2], [3, 4], [5, 6]][..]));
        assert!(reader.is_empty());
        assert_eq!(reader.u32(), None);
    }

    #[test]
    fn lengths_beyond_the_input_are_refused() {
        let huge = u32::MAX.to_le_bytes();
        assert_eq!(Reader::new(&huge).bytes(), None);
        assert_eq!(Reader::new(&huge).u32s(), None);
        assert_eq!(Reader::new(&huge).records::<19>(), None);
        assert_eq!(Reader::new(&huge[..3]).u32(), None);
    }
}
