//! Pooled lists of values.

use crate::Value;

/// A list of values kept in a [`ListPool`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ValueList(u32);

/// Backing store of all value lists of a function.
///
/// A list is its length followed by its values. Room is handed out in powers of two, so that
/// [`ListPool::push`] moves a list only when it doubles; the room of a moved list is not reused.
#[derive(Clone, Debug)]
pub struct ListPool {
    /// Entry 0 is the length of the empty list.
    data: Vec<u32>,
}

impl Default for ListPool {
    fn default() -> Self {
        Self { data: vec![0] }
    }
}

fn room(len: usize) -> usize {
    (len + 1).next_power_of_two().max(2)
}

impl ListPool {
    /// Forget every list, keeping the memory.
    pub fn clear(&mut self) {
        self.data.truncate(1);
    }

    /// A new list holding `values`.
    pub fn list(&mut self, values: &[Value]) -> ValueList {
        if values.is_empty() {
            return ValueList(0);
        }
        let start = self.data.len();
        self.data.push(values.len() as u32);
        self.data.extend(values.iter().map(|v| v.as_u32()));
        self.data.resize(start + room(values.len()), 0);
        ValueList(start as u32)
    }

    /// A new list holding `first`, then `rest`.
    pub fn list_with_first(&mut self, first: Value, rest: &[Value]) -> ValueList {
        let start = self.data.len();
        self.data.extend([rest.len() as u32 + 1, first.as_u32()]);
        self.data.extend(rest.iter().map(|v| v.as_u32()));
        self.data.resize(start + room(rest.len() + 1), 0);
        ValueList(start as u32)
    }

    /// Number of values in a list.
    #[inline]
    pub fn len(&self, list: ValueList) -> usize {
        self.data[list.0 as usize] as usize
    }

    /// Whether a list is empty.
    #[inline]
    pub fn is_empty(&self, list: ValueList) -> bool {
        list.0 == 0
    }

    /// Value number `i` of a list.
    #[inline]
    pub fn get(&self, list: ValueList, i: usize) -> Value {
        debug_assert!(i < self.len(list));
        Value::from_u32(self.data[list.0 as usize + 1 + i])
    }

    /// The values of a list.
    #[inline]
    pub fn iter(
        &self,
        list: ValueList,
    ) -> impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + Clone + '_ {
        let start = list.0 as usize + 1;
        let len = self.len(list);
        self.data[start..start + len]
            .iter()
            .map(|&n| Value::from_u32(n))
    }

    /// Replace value number `i` of a list.
    pub fn set(&mut self, list: ValueList, i: usize, value: Value) {
        assert!(i < self.len(list), "list index out of range");
        self.data[list.0 as usize + 1 + i] = value.as_u32();
    }

    /// The values of a list, if it is one of this pool at all.
    pub fn get_list(
        &self,
        list: ValueList,
    ) -> Option<impl DoubleEndedIterator<Item = Value> + ExactSizeIterator + Clone + '_> {
        let start = list.0 as usize + 1;
        let len = *self.data.get(list.0 as usize)? as usize;
        let values = self.data.get(start..start.checked_add(len)?)?;
        Some(values.iter().map(|&n| Value::from_u32(n)))
    }

    /// Calls `f` with every value of a list, to be changed in place.
    pub(crate) fn for_each_mut(&mut self, list: ValueList, mut f: impl FnMut(&mut Value)) {
        let start = list.0 as usize + 1;
        let len = self.len(list);
        for n in &mut self.data[start..start + len] {
            let mut v = Value::from_u32(*n);
            f(&mut v);
            *n = v.as_u32();
        }
    }

    /// Remove value number `i` of a list, keeping the order of the others.
    pub fn remove(&mut self, list: &mut ValueList, i: usize) {
        let len = self.len(*list);
        assert!(i < len, "list index out of range");
        let at = list.0 as usize + 1;
        self.data.copy_within(at + i + 1..at + len, at + i);
        self.data[list.0 as usize] = len as u32 - 1;
        if len == 1 {
            *list = ValueList(0);
        }
    }

    /// Keep the values of a list whose number `keep` wants.
    pub(crate) fn retain(&mut self, list: &mut ValueList, mut keep: impl FnMut(usize) -> bool) {
        let at = list.0 as usize + 1;
        let mut kept = 0;
        for i in 0..self.len(*list) {
            if keep(i) {
                self.data[at + kept] = self.data[at + i];
                kept += 1;
            }
        }
        if kept == 0 {
            *list = ValueList(0);
        } else {
            self.data[list.0 as usize] = kept as u32;
        }
    }

    /// Append `value` to a list.
    pub fn push(&mut self, list: &mut ValueList, value: Value) {
        let len = self.len(*list);
        let old = list.0 as usize;
        if old == 0 || room(len + 1) > room(len) {
            let start = self.data.len();
            self.data.push(len as u32);
            self.data.extend_from_within(old + 1..old + 1 + len);
            self.data.resize(start + room(len + 1), 0);
            *list = ValueList(start as u32);
        }
        let at = list.0 as usize;
        self.data[at] = len as u32 + 1;
        self.data[at + 1 + len] = value.as_u32();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(n: u32) -> Value {
        Value::from_u32(n)
    }

    #[test]
    fn lists_grow_and_shrink() {
        let mut pool = ListPool::default();
        let fixed = pool.list(&[v(9), v(8)]);
        let mut grown = ValueList::default();
        for n in 0..100 {
            pool.push(&mut grown, v(n));
        }
        assert_eq!(
            pool.iter(grown).map(Value::as_u32).collect::<Vec<_>>(),
            (0..100).collect::<Vec<_>>()
        );
        assert_eq!(pool.iter(fixed).collect::<Vec<_>>(), [v(9), v(8)]);
        for _ in 0..99 {
            pool.remove(&mut grown, 0);
        }
        assert_eq!(pool.iter(grown).collect::<Vec<_>>(), [v(99)]);
        pool.remove(&mut grown, 0);
        assert!(pool.is_empty(grown) && pool.is_empty(ValueList::default()));
    }
}
