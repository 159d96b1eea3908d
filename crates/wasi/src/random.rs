//! Randomness: `random_get`.

use crate::ctx::WasiCtx;
use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;
use rustix::rand::{GetRandomFlags, getrandom};

impl WasiCtx {
    /// `random_get`: fills a buffer from the host's cryptographic random number generator.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Io`] when the host has no such generator.
    pub fn random_get(&self, mem: &mut GuestMemory<'_>, buffer: u32, len: u32) -> Result<()> {
        let mut rest = mem.slice_mut(buffer, len)?;
        while !rest.is_empty() {
            match getrandom(&mut *rest, GetRandomFlags::empty()) {
                Ok(0) => return Err(Errno::Io),
                Ok(filled) => rest = &mut rest[filled..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::WasiCtxBuilder;

    #[test]
    fn exactly_the_buffer_is_filled() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = vec![0; 100_002];
        let mut mem = GuestMemory::new(&mut bytes);
        ctx.random_get(&mut mem, 1, 100_000).unwrap();
        assert_eq!((bytes[0], bytes[100_001]), (0, 0));
        // 100,000 random bytes hold every value; the chance that one is missing is below 1e-160.
        for value in 0..=255 {
            assert!(bytes[1..100_001].contains(&value));
        }
    }

    #[test]
    fn buffers_outside_of_memory_are_refused() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = [0; 16];
        let mut mem = GuestMemory::new(&mut bytes);
        assert_eq!(ctx.random_get(&mut mem, 16, 0), Ok(()));
        assert_eq!(ctx.random_get(&mut mem, 8, 9), Err(Errno::Fault));
        assert_eq!(
            ctx.random_get(&mut mem, u32::MAX, u32::MAX),
            Err(Errno::Fault)
        );
        assert_eq!(bytes, [0; 16]);
    }
}
