//! Arguments and environment: `args_*` and `environ_*`.

use crate::ctx::WasiCtx;
use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;

impl WasiCtx {
    /// `args_sizes_get`: the number of arguments, and the bytes they take with their NULs.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Overflow`] when they do not fit into 32 bits.
    pub fn args_sizes_get(&self, mem: &mut GuestMemory<'_>, count: u32, size: u32) -> Result<()> {
        write_sizes(&self.args, mem, count, size)
    }

    /// `args_get`: the arguments, NUL-terminated one after the other in `buffer`, and their
    /// addresses in the array `pointers`.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Overflow`] when they do not fit into 32 bits.
    pub fn args_get(&self, mem: &mut GuestMemory<'_>, pointers: u32, buffer: u32) -> Result<()> {
        write_strings(&self.args, mem, pointers, buffer)
    }

    /// `environ_sizes_get`: the number of variables, and the bytes they take with their NULs.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Overflow`] when they do not fit into 32 bits.
    pub fn environ_sizes_get(
        &self,
        mem: &mut GuestMemory<'_>,
        count: u32,
        size: u32,
    ) -> Result<()> {
        write_sizes(&self.env, mem, count, size)
    }

    /// `environ_get`: the variables as `NAME=VALUE`, laid out as in [`args_get`](Self::args_get).
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Overflow`] when they do not fit into 32 bits.
    pub fn environ_get(&self, mem: &mut GuestMemory<'_>, pointers: u32, buffer: u32) -> Result<()> {
        write_strings(&self.env, mem, pointers, buffer)
    }
}

/// The number of strings and the bytes they take.
fn sizes(strings: &[Vec<u8>]) -> Result<(u32, u32)> {
    let size: usize = strings.iter().map(|text| text.len() + 1).sum();
    let count = u32::try_from(strings.len()).map_err(|_| Errno::Overflow)?;
    let size = u32::try_from(size).map_err(|_| Errno::Overflow)?;
    Ok((count, size))
}

fn write_sizes(
    strings: &[Vec<u8>],
    mem: &mut GuestMemory<'_>,
    count_at: u32,
    size_at: u32,
) -> Result<()> {
    let (count, size) = sizes(strings)?;
    mem.check(count_at, 4)?;
    mem.check(size_at, 4)?;
    mem.write_u32(count_at, count)?;
    mem.write_u32(size_at, size)
}

fn write_strings(
    strings: &[Vec<u8>],
    mem: &mut GuestMemory<'_>,
    pointers: u32,
    buffer: u32,
) -> Result<()> {
    let (count, size) = sizes(strings)?;
    mem.check_array(pointers, count, 4)?;
    mem.check(buffer, size)?;
    let (mut pointer, mut address) = (pointers, buffer);
    for text in strings {
        mem.write_u32(pointer, address)?;
        mem.write(address, text)?;
        let end = address + text.len() as u32;
        mem.write(end, &[0])?;
        pointer = pointer.wrapping_add(4);
        address = end.wrapping_add(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::WasiCtxBuilder;

    fn ctx() -> WasiCtx {
        WasiCtxBuilder::new()
            .args(["prog", "", "x y"])
            .env("K", "v=w")
            .build()
            .unwrap()
    }

    #[test]
    fn strings_are_laid_out_with_their_addresses() {
        let mut bytes = [0xffu8; 64];
        let mut mem = GuestMemory::new(&mut bytes);
        ctx().args_sizes_get(&mut mem, 1, 5).unwrap();
        assert_eq!((mem.read_u32(1), mem.read_u32(5)), (Ok(3), Ok(10)));
        ctx().args_get(&mut mem, 9, 30).unwrap();
        assert_eq!(mem.slice(30, 11), Ok(&b"prog\0\0x y\0\xff"[..]));
        let pointers: Vec<_> = (0..3).map(|i| mem.read_u32(9 + 4 * i).unwrap()).collect();
        assert_eq!(pointers, [30, 35, 36]);

        ctx().environ_sizes_get(&mut mem, 0, 4).unwrap();
        assert_eq!((mem.read_u32(0), mem.read_u32(4)), (Ok(1), Ok(6)));
        ctx().environ_get(&mut mem, 0, 4).unwrap();
        assert_eq!(mem.slice(4, 6), Ok(&b"K=v=w\0"[..]));
    }

    #[test]
    fn strings_that_do_not_fit_are_not_written() {
        let mut bytes = [0xffu8; 32];
        let mut mem = GuestMemory::new(&mut bytes);
        assert_eq!(ctx().args_get(&mut mem, 0, 23), Err(Errno::Fault));
        assert_eq!(ctx().args_get(&mut mem, 21, 0), Err(Errno::Fault));
        assert_eq!(
            ctx().args_get(&mut mem, u32::MAX, u32::MAX),
            Err(Errno::Fault)
        );
        assert_eq!(ctx().args_sizes_get(&mut mem, 0, 29), Err(Errno::Fault));
        assert_eq!(ctx().environ_get(&mut mem, 0, 27), Err(Errno::Fault));
        assert_eq!(
            ctx().environ_sizes_get(&mut mem, u32::MAX, 0),
            Err(Errno::Fault)
        );
        assert_eq!(bytes, [0xff; 32]);
        // Up to the last byte, and the addresses over the strings, is fine.
        let mut mem = GuestMemory::new(&mut bytes);
        assert_eq!(ctx().args_get(&mut mem, 0, 22), Ok(()));
        assert_eq!(ctx().args_get(&mut mem, 0, 0), Ok(()));
    }

    #[test]
    fn nothing_is_nothing() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = [0xffu8; 8];
        let mut mem = GuestMemory::new(&mut bytes);
        assert_eq!(ctx.environ_get(&mut mem, 8, 8), Ok(()));
        ctx.environ_sizes_get(&mut mem, 0, 4).unwrap();
        assert_eq!(bytes, [0; 8]);
    }
}
