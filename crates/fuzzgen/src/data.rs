//! The memory a module works on: addresses of functions, integers, and cells that only hold floats.

use crate::{Rng, ops};
use nopal_ir::Type;

/// Bytes of data a module works on.
pub const SIZE: usize = 4096;
/// Where in the data the addresses of the module's functions are.
pub const TABLE: usize = 0;
/// Where integers are: any access within [`INTS_LEN`] bytes.
pub const INTS: usize = 512;
/// Bytes of integers.
pub const INTS_LEN: usize = 1024;
/// Where cells of 4 bytes are that only hold `f32`.
pub const F32S: usize = 2048;
/// Where cells of 8 bytes are that only hold `f64`.
pub const F64S: usize = 2560;
/// Number of cells of each float type.
pub const CELLS: usize = 64;

/// Random data for a module whose functions are at `addresses`.
pub fn random(rng: &mut Rng, addresses: &[u64]) -> Vec<u8> {
    let mut data = vec![0; SIZE];
    for (i, a) in addresses.iter().enumerate() {
        data[TABLE + 8 * i..TABLE + 8 * i + 8].copy_from_slice(&a.to_le_bytes());
    }
    for at in (INTS..INTS + INTS_LEN + 16).step_by(8) {
        data[at..at + 8].copy_from_slice(&rng.int(64).to_le_bytes());
    }
    for i in 0..CELLS {
        let at = F32S + 4 * i;
        data[at..at + 4].copy_from_slice(&rng.f32_bits().to_le_bytes());
        let at = F64S + 8 * i;
        data[at..at + 8].copy_from_slice(&rng.f64_bits().to_le_bytes());
    }
    data
}

/// How two results of the same program differ where they are determined: which NaN a cell holds is
/// not.
pub fn difference(want: &[u8], got: &[u8]) -> Option<String> {
    let cell = |data: &[u8], at: usize, size: usize| {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&data[at..at + size]);
        u64::from_le_bytes(bytes)
    };
    let mut at = 0;
    while at < SIZE {
        let (ty, size) = if (F32S..F32S + 4 * CELLS).contains(&at) {
            (Type::F32, 4)
        } else if (F64S..F64S + 8 * CELLS).contains(&at) {
            (Type::F64, 8)
        } else {
            (Type::I64, 8)
        };
        let (w, g) = (cell(want, at, size), cell(got, at, size));
        if !ops::same(ty, w, g) {
            return Some(format!("the {ty} at {at:#x} is {g:#x}, not {w:#x}"));
        }
        at += size;
    }
    None
}
