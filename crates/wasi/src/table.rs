//! The guest's table of descriptors.

use crate::descriptor::Descriptor;
use crate::errno::{Errno, Result};

/// Open descriptors by number.
#[derive(Default)]
pub(crate) struct Table {
    slots: Vec<Option<Descriptor>>,
}

impl Table {
    /// Gives a descriptor the lowest free number.
    ///
    /// # Errors
    /// [`Errno::Mfile`] when there is none.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> Result<u32> {
        let free = self.slots.iter().position(Option::is_none);
        let index = free.unwrap_or(self.slots.len());
        let fd = u32::try_from(index).map_err(|_| Errno::Mfile)?;
        if free.is_some() {
            self.slots[index] = Some(descriptor);
        } else {
            self.slots.push(Some(descriptor));
        }
        Ok(fd)
    }

    /// # Errors
    /// [`Errno::Badf`] when no such descriptor is open.
    pub(crate) fn get(&self, fd: u32) -> Result<&Descriptor> {
        self.slots
            .get(fd as usize)
            .and_then(Option::as_ref)
            .ok_or(Errno::Badf)
    }

    /// # Errors
    /// [`Errno::Badf`] when no such descriptor is open.
    pub(crate) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor> {
        self.slots
            .get_mut(fd as usize)
            .and_then(Option::as_mut)
            .ok_or(Errno::Badf)
    }

    /// The descriptor, which must have all of `rights`.
    ///
    /// # Errors
    /// [`Errno::Badf`] when no such descriptor is open, else those of [`Descriptor::require`].
    pub(crate) fn get_with(&self, fd: u32, rights: u64) -> Result<&Descriptor> {
        let descriptor = self.get(fd)?;
        descriptor.require(rights)?;
        Ok(descriptor)
    }

    /// As [`Table::get_with`], to be changed.
    ///
    /// # Errors
    /// As [`Table::get_with`].
    pub(crate) fn get_mut_with(&mut self, fd: u32, rights: u64) -> Result<&mut Descriptor> {
        let descriptor = self.get_mut(fd)?;
        descriptor.require(rights)?;
        Ok(descriptor)
    }

    /// Takes a descriptor out of the table.
    ///
    /// # Errors
    /// [`Errno::Badf`] when no such descriptor is open.
    pub(crate) fn remove(&mut self, fd: u32) -> Result<Descriptor> {
        self.slots
            .get_mut(fd as usize)
            .and_then(Option::take)
            .ok_or(Errno::Badf)
    }

    /// Moves `from` over `to`; returns what `to` was, unless it is the same descriptor.
    ///
    /// # Errors
    /// [`Errno::Badf`] when either is not open.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Descriptor>> {
        self.get(from)?;
        self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(Some(std::mem::replace(self.get_mut(to)?, moved)))
    }

    /// All open descriptors.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Descriptor> {
        self.slots.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Descriptor {
        Descriptor::reader(Box::new(std::io::empty()))
    }

    #[test]
    fn the_lowest_free_number_is_given_out() {
        let mut table = Table::default();
        for expected in 0..3 {
            assert_eq!(table.insert(stream()), Ok(expected));
        }
        assert!(table.remove(1).is_ok());
        assert_eq!(table.get(1).err(), Some(Errno::Badf));
        assert_eq!(table.insert(stream()), Ok(1));
        assert_eq!(table.insert(stream()), Ok(3));
    }

    #[test]
    fn descriptors_that_are_not_open_are_refused() {
        let mut table = Table::default();
        assert_eq!(table.insert(stream()), Ok(0));
        for fd in [1, 2, u32::MAX] {
            assert_eq!(table.get(fd).err(), Some(Errno::Badf));
            assert_eq!(table.get_mut(fd).err(), Some(Errno::Badf));
            assert_eq!(table.remove(fd).err(), Some(Errno::Badf));
            assert_eq!(table.renumber(0, fd).err(), Some(Errno::Badf));
            assert_eq!(table.renumber(fd, 0).err(), Some(Errno::Badf));
        }
        assert!(table.get(0).is_ok());
    }

    #[test]
    fn renumbering_moves_and_replaces() {
        let mut table = Table::default();
        table.insert(stream()).unwrap();
        table
            .insert(Descriptor::writer(Box::new(std::io::sink())))
            .unwrap();
        let from = table.get(1).unwrap().base;
        assert!(matches!(table.renumber(1, 0), Ok(Some(_))));
        assert_eq!(table.get(1).err(), Some(Errno::Badf));
        assert_eq!(table.get(0).unwrap().base, from);
        assert!(matches!(table.renumber(0, 0), Ok(None)));
        assert!(table.get(0).is_ok());
    }
}
