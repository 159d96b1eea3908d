//! Clocks: `clock_*`.

use crate::abi::flags::clock;
use crate::abi::records::timestamp;
use crate::ctx::WasiCtx;
use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

impl WasiCtx {
    /// `clock_res_get`: the resolution of a clock in nanoseconds.
    ///
    /// # Errors
    /// [`Errno::Inval`] for an unknown clock, [`Errno::Fault`].
    pub fn clock_res_get(&self, mem: &mut GuestMemory<'_>, clock: u32, result: u32) -> Result<()> {
        let resolution = nanoseconds(clock_getres(host_clock(clock)?));
        // 0 would mean that the clock cannot be set up; a guest may divide by it.
        mem.write_u64(result, resolution.max(1))
    }

    /// `clock_time_get`: the time of a clock in nanoseconds. The host's clocks are precise at any
    /// price, so the precision asked for does not matter.
    ///
    /// # Errors
    /// [`Errno::Inval`] for an unknown clock, [`Errno::Fault`].
    pub fn clock_time_get(
        &self,
        mem: &mut GuestMemory<'_>,
        clock: u32,
        _precision: u64,
        result: u32,
    ) -> Result<()> {
        mem.write_u64(result, now(clock)?)
    }
}

/// The time of a clock in nanoseconds.
///
/// # Errors
/// [`Errno::Inval`] for an unknown clock.
pub(crate) fn now(clock: u32) -> Result<u64> {
    Ok(nanoseconds(clock_gettime(host_clock(clock)?)))
}

fn host_clock(clock: u32) -> Result<ClockId> {
    match clock {
        clock::REALTIME => Ok(ClockId::Realtime),
        clock::MONOTONIC => Ok(ClockId::Monotonic),
        clock::PROCESS_CPUTIME => Ok(ClockId::ProcessCPUTime),
        clock::THREAD_CPUTIME => Ok(ClockId::ThreadCPUTime),
        _ => Err(Errno::Inval),
    }
}

fn nanoseconds(time: Timespec) -> u64 {
    timestamp(time.tv_sec, time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::WasiCtxBuilder;

    #[test]
    fn clocks_tell_time() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = [0; 17];
        let mut mem = GuestMemory::new(&mut bytes);
        for clock in 0..4 {
            ctx.clock_res_get(&mut mem, clock, 1).unwrap();
            let resolution = mem.read_u64(1).unwrap();
            assert!((1..=1_000_000_000).contains(&resolution));
            ctx.clock_time_get(&mut mem, clock, 0, 1).unwrap();
            ctx.clock_time_get(&mut mem, clock, u64::MAX, 9).unwrap();
            if clock != clock::REALTIME {
                assert!(mem.read_u64(1).unwrap() <= mem.read_u64(9).unwrap());
            }
        }
        let elapsed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        ctx.clock_time_get(&mut mem, clock::REALTIME, 0, 0).unwrap();
        assert!((mem.read_u64(0).unwrap() / 1_000_000_000).abs_diff(elapsed) < 60);
    }

    #[test]
    fn bad_clocks_and_addresses_are_refused() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = [0; 16];
        let mut mem = GuestMemory::new(&mut bytes);
        for clock in [4, u32::MAX] {
            assert_eq!(ctx.clock_res_get(&mut mem, clock, 0), Err(Errno::Inval));
            assert_eq!(ctx.clock_time_get(&mut mem, clock, 0, 0), Err(Errno::Inval));
        }
        for address in [9, u32::MAX] {
            assert_eq!(ctx.clock_res_get(&mut mem, 0, address), Err(Errno::Fault));
            assert_eq!(
                ctx.clock_time_get(&mut mem, 0, 0, address),
                Err(Errno::Fault)
            );
        }
        assert_eq!(bytes, [0; 16]);
    }
}
