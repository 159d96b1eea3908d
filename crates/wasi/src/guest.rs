//! Checked access to a guest's linear memory.

use crate::errno::{Errno, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest path a guest may pass, in bytes: `PATH_MAX` of Linux, without its NUL.
const MAX_PATH: u32 = 4095;

/// How many buffers of a scatter/gather list one call looks at, as `IOV_MAX` of Linux.
///
/// A longer list is not an error: the call transfers less than asked for, as it always may.
pub(crate) const MAX_BUFFERS: u32 = 1024;

/// A guest's linear memory during one call.
///
/// Addresses come from the guest and are never trusted: every access is checked against the size
/// of the memory and fails with [`Errno::Fault`] outside of it. Accesses go byte by byte in little
/// endian, so no address needs to be aligned, and buffers that overlap are no more than bytes
/// written twice.
#[derive(Debug)]
pub struct GuestMemory<'a> {
    bytes: &'a mut [u8],
}

impl<'a> GuestMemory<'a> {
    /// Wraps the bytes of a linear memory; guest address 0 is the first.
    pub fn new(bytes: &'a mut [u8]) -> GuestMemory<'a> {
        GuestMemory { bytes }
    }

    /// The `len` bytes at `address`.
    ///
    /// # Errors
    /// [`Errno::Fault`] when they are not all inside the memory.
    pub fn slice(&self, address: u32, len: u32) -> Result<&[u8]> {
        let start = address as usize;
        let end = start.checked_add(len as usize).ok_or(Errno::Fault)?;
        self.bytes.get(start..end).ok_or(Errno::Fault)
    }

    /// The `len` bytes at `address`, to be written.
    ///
    /// # Errors
    /// [`Errno::Fault`] when they are not all inside the memory.
    pub fn slice_mut(&mut self, address: u32, len: u32) -> Result<&mut [u8]> {
        let start = address as usize;
        let end = start.checked_add(len as usize).ok_or(Errno::Fault)?;
        self.bytes.get_mut(start..end).ok_or(Errno::Fault)
    }

    /// Checks that an array of `count` elements of `size` bytes lies inside the memory.
    ///
    /// Used before an operation has effects, so that a bad result address leaves none behind.
    ///
    /// # Errors
    /// [`Errno::Fault`] when it does not.
    pub fn check_array(&self, address: u32, count: u32, size: u32) -> Result<()> {
        let end = u64::from(address) + u64::from(count) * u64::from(size);
        if end <= self.bytes.len() as u64 {
            Ok(())
        } else {
            Err(Errno::Fault)
        }
    }

    /// Checks that `size` bytes at `address` lie inside the memory.
    ///
    /// # Errors
    /// [`Errno::Fault`] when they do not.
    pub fn check(&self, address: u32, size: u32) -> Result<()> {
        self.check_array(address, 1, size)
    }

    /// Reads `N` bytes.
    fn read<const N: usize>(&self, address: u32) -> Result<[u8; N]> {
        let bytes = self.slice(address, N as u32)?;
        bytes.try_into().map_err(|_| Errno::Fault)
    }

    /// Reads a byte.
    ///
    /// # Errors
    /// [`Errno::Fault`] outside of the memory.
    pub fn read_u8(&self, address: u32) -> Result<u8> {
        Ok(u8::from_le_bytes(self.read(address)?))
    }

    /// Reads 16 bits.
    ///
    /// # Errors
    /// [`Errno::Fault`] outside of the memory.
    pub fn read_u16(&self, address: u32) -> Result<u16> {
        Ok(u16::from_le_bytes(self.read(address)?))
    }

    /// Reads 32 bits.
    ///
    /// # Errors
    /// [`Errno::Fault`] outside of the memory.
    pub fn read_u32(&self, address: u32) -> Result<u32> {
        Ok(u32::from_le_bytes(self.read(address)?))
    }

    /// Reads 64 bits.
    ///
    /// # Errors
    /// [`Errno::Fault`] outside of the memory.
    pub fn read_u64(&self, address: u32) -> Result<u64> {
        Ok(u64::from_le_bytes(self.read(address)?))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// [`Errno::Fault`], and nothing is written, when they do not fit into the memory.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<()> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice_mut(address, len)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes 32 bits.
    ///
    /// # Errors
    /// [`Errno::Fault`] outside of the memory.
    pub fn write_u32(&mut self, address: u32, value: u32) -> Result<()> {
        self.write(address, &value.to_le_bytes())
    }

    /// Writes 64 bits.
    ///
    /// # Errors
    /// [`Errno::Fault`] outside of the memory.
    pub fn write_u64(&mut self, address: u32, value: u64) -> Result<()> {
        self.write(address, &value.to_le_bytes())
    }

    /// A path given as address and length. The bytes go to the host as they are: a guest can name
    /// whatever file a directory lists, valid UTF-8 or not.
    ///
    /// # Errors
    /// [`Errno::Fault`] outside of the memory, [`Errno::Nametoolong`] beyond 4095 bytes,
    /// [`Errno::Inval`] with a NUL inside, [`Errno::Noent`] when empty.
    pub fn path(&self, address: u32, len: u32) -> Result<&Path> {
        let bytes = self.slice(address, len)?;
        if len > MAX_PATH {
            return Err(Errno::Nametoolong);
        }
        if bytes.is_empty() {
            return Err(Errno::Noent);
        }
        if bytes.contains(&0) {
            return Err(Errno::Inval);
        }
        Ok(Path::new(OsStr::from_bytes(bytes)))
    }

    /// The non-empty buffers of a scatter/gather list (`iovec` or `ciovec`): at most
    /// [`MAX_BUFFERS`] of them, cut so that their lengths add up to less than 2³¹.
    ///
    /// # Errors
    /// [`Errno::Fault`] when the list, or a buffer among those looked at, is not inside the memory.
    pub(crate) fn buffers(&self, list: u32, count: u32) -> Result<Vec<Buffer>> {
        self.check_array(list, count, Buffer::SIZE)?;
        let mut room = i32::MAX as u32;
        let mut buffers = Vec::with_capacity(count.min(MAX_BUFFERS) as usize);
        for index in 0..count.min(MAX_BUFFERS) {
            let record = list + index * Buffer::SIZE;
            let address = self.read_u32(record)?;
            let len = self.read_u32(record + 4)?;
            self.check(address, len)?;
            let len = len.min(room);
            room -= len;
            if len != 0 {
                buffers.push(Buffer { address, len });
            }
        }
        Ok(buffers)
    }
}

/// One element of a scatter/gather list, known to lie inside the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) address: u32,
    pub(crate) len: u32,
}

impl Buffer {
    /// Bytes an `iovec` takes in guest memory.
    const SIZE: u32 = 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_end_at_the_end_of_memory() {
        let mut bytes = [0u8; 16];
        let mut mem = GuestMemory::new(&mut bytes);
        assert_eq!(mem.write_u64(8, 0x0102_0304_0506_0708), Ok(()));
        assert_eq!(mem.read_u64(8), Ok(0x0102_0304_0506_0708));
        assert_eq!(mem.read_u8(15), Ok(1));
        assert_eq!(mem.read_u64(9), Err(Errno::Fault));
        assert_eq!(mem.write_u64(9, 0), Err(Errno::Fault));
        assert_eq!(mem.read_u8(16), Err(Errno::Fault));
        assert_eq!(mem.slice(16, 0), Ok(&[][..]));
        assert_eq!(mem.slice(17, 0), Err(Errno::Fault));
        for address in [u32::MAX, u32::MAX - 3, u32::MAX - 7, 1 << 31] {
            assert_eq!(mem.read_u32(address), Err(Errno::Fault));
            assert_eq!(mem.write_u32(address, 1), Err(Errno::Fault));
            assert_eq!(mem.slice(address, u32::MAX), Err(Errno::Fault));
        }
        assert_eq!(mem.read_u64(8), Ok(0x0102_0304_0506_0708));
    }

    #[test]
    fn unaligned_accesses_are_served_byte_by_byte() {
        let mut bytes = [0u8; 16];
        let mut mem = GuestMemory::new(&mut bytes);
        mem.write_u32(3, 0xa1b2_c3d4).unwrap();
        assert_eq!(mem.read_u32(3), Ok(0xa1b2_c3d4));
        assert_eq!(mem.read_u16(5), Ok(0xa1b2));
    }

    #[test]
    fn arrays_are_checked_without_overflow() {
        let mut bytes = [0u8; 64];
        let mem = GuestMemory::new(&mut bytes);
        assert_eq!(mem.check_array(0, 8, 8), Ok(()));
        assert_eq!(mem.check_array(64, 0, 48), Ok(()));
        assert_eq!(mem.check_array(0, 9, 8), Err(Errno::Fault));
        // 2^29 elements of 8 bytes are 2^32 bytes: 0 in 32 bits.
        assert_eq!(mem.check_array(0, 1 << 29, 8), Err(Errno::Fault));
        assert_eq!(mem.check_array(u32::MAX, u32::MAX, 48), Err(Errno::Fault));
    }

    #[test]
    fn paths_are_bytes_without_nul() {
        let mut bytes = *b"dir/\xff\0abc";
        let mem = GuestMemory::new(&mut bytes);
        assert_eq!(mem.path(0, 3), Ok(Path::new("dir")));
        assert_eq!(
            mem.path(0, 5).map(|p| p.as_os_str().as_bytes()),
            Ok(&b"dir/\xff"[..])
        );
        assert_eq!(mem.path(0, 6), Err(Errno::Inval));
        assert_eq!(mem.path(0, 0), Err(Errno::Noent));
        assert_eq!(mem.path(0, 10), Err(Errno::Fault));
        assert_eq!(mem.path(u32::MAX, 1), Err(Errno::Fault));
    }

    #[test]
    fn overlong_paths_are_refused() {
        let mut bytes = vec![b'a'; 5000];
        let mem = GuestMemory::new(&mut bytes);
        assert!(mem.path(0, 4095).is_ok());
        assert_eq!(mem.path(0, 4096), Err(Errno::Nametoolong));
    }

    fn put_list(mem: &mut GuestMemory<'_>, at: u32, list: &[(u32, u32)]) {
        for (i, &(address, len)) in list.iter().enumerate() {
            mem.write_u32(at + 8 * i as u32, address).unwrap();
            mem.write_u32(at + 8 * i as u32 + 4, len).unwrap();
        }
    }

    #[test]
    fn lists_of_buffers_are_checked() {
        let mut bytes = [0u8; 64];
        let mut mem = GuestMemory::new(&mut bytes);
        put_list(&mut mem, 1, &[(40, 4), (64, 0), (42, 22)]);
        let found = mem.buffers(1, 3).unwrap();
        let (a, b) = (
            Buffer {
                address: 40,
                len: 4,
            },
            Buffer {
                address: 42,
                len: 22,
            },
        );
        assert_eq!(found, [a, b]);

        put_list(&mut mem, 1, &[(40, 4), (42, 23)]);
        assert_eq!(mem.buffers(1, 2), Err(Errno::Fault));
        put_list(&mut mem, 1, &[(u32::MAX, 2)]);
        assert_eq!(mem.buffers(1, 1), Err(Errno::Fault));
        assert_eq!(mem.buffers(60, 1), Err(Errno::Fault));
        assert_eq!(mem.buffers(0, u32::MAX), Err(Errno::Fault));
        assert_eq!(mem.buffers(u32::MAX, 0), Err(Errno::Fault));
        assert_eq!(mem.buffers(64, 0), Ok(vec![]));
    }

    #[test]
    fn long_lists_are_cut() {
        let mut bytes = vec![0u8; 8 * 3000];
        let mut mem = GuestMemory::new(&mut bytes);
        let list: Vec<_> = (0..3000).map(|_| (0, 8)).collect();
        put_list(&mut mem, 0, &list);
        assert_eq!(mem.buffers(0, 3000).unwrap().len(), MAX_BUFFERS as usize);
    }
}
