//! Patch sites and where their observed values are.

use crate::cache::codec::{Reader, Writer};
use crate::module_info::ModuleInfo;
use crate::place_table::{Place, PlaceTable, put, take};
use crate::{SiteKind, ValType, arch};
use nopal_codegen::{ObservedValue, PReg, RegClass, ValueLoc};
use nopal_live::{SiteFrame, SiteId};
use std::ops::Range;

/// A patch site: a place in the code where a hook can be called.
#[derive(Clone, Debug)]
pub struct Site {
    pub(crate) id: SiteId,
    pub(crate) kind: SiteKind,
    pub(crate) func: u32,
    pub(crate) wasm_offset: u32,
    pub(crate) ret_addr: usize,
    pub(crate) values: Box<[SiteValue]>,
}

/// A value that a hook can find at a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SiteValue {
    /// Its type.
    pub ty: ValType,
    /// Where it is.
    pub loc: Location,
}

/// Where a value is. The upper bits of a place wider than the value are undefined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// In the general-purpose register with this hardware number.
    Gpr(u8),
    /// In the floating-point register with this hardware number.
    Fpr(u8),
    /// In memory, this many bytes from the frame pointer.
    Slot(i32),
    /// It is this constant: the bits of the value.
    Const(u64),
}

impl Site {
    /// Its name in the engine's code space, by which hooks are attached.
    pub fn id(&self) -> SiteId {
        self.id
    }

    /// The construct it stands at.
    pub fn kind(&self) -> SiteKind {
        self.kind
    }

    /// The index in the module of the function it is in.
    pub fn func(&self) -> u32 {
        self.func
    }

    /// The position of the construct in the module, in bytes.
    pub fn wasm_offset(&self) -> u32 {
        self.wasm_offset
    }

    /// The address of the instruction after it.
    pub fn return_address(&self) -> usize {
        self.ret_addr
    }

    /// The function's parameters at an entry, its results at an exit, in order.
    pub fn values(&self) -> &[SiteValue] {
        &self.values
    }

    /// The bits of the values in the frame of a hook; narrow values have zeros above. None if the
    /// frame is that of another site.
    pub fn read<'a>(
        &'a self,
        frame: &'a SiteFrame,
    ) -> Option<impl Iterator<Item = (ValType, u64)> + 'a> {
        (frame.return_address() == self.ret_addr).then(|| {
            self.values
                .iter()
                .map(|value| (value.ty, value.bits(frame)))
        })
    }
}

impl SiteValue {
    fn bits(&self, frame: &SiteFrame) -> u64 {
        let bits = match self.loc {
            Location::Gpr(n) => frame.gpr(n),
            Location::Fpr(n) => {
                let [a, b, c, d, e, f, g, h, ..] = frame.xmm(n);
                u64::from_le_bytes([a, b, c, d, e, f, g, h])
            }
            // SAFETY: the frame is that of the site, whose map says that the value is there.
            Location::Slot(offset) => unsafe {
                match self.ty {
                    ValType::I32 | ValType::F32 => frame.slot::<u32>(offset).into(),
                    _ => frame.slot(offset),
                }
            },
            Location::Const(bits) => bits,
        };
        match self.ty {
            ValType::I32 | ValType::F32 => bits & 0xffff_ffff,
            ValType::I64 | ValType::F64 | ValType::FuncRef | ValType::ExternRef => bits,
        }
    }
}

/// The sites of some code in address order. Offsets count from its first byte.
///
/// The offset of a place is the return address of a site, its code the kind and the length, and what
/// else there is the map of its values.
#[derive(Debug, Default)]
pub(crate) struct SiteTable(PlaceTable);

/// A site without its function, which follows from its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSite<'a> {
    pub(crate) ret_offset: u32,
    pub(crate) wasm_offset: u32,
    pub(crate) len: u8,
    pub(crate) kind: SiteKind,
    /// The value map, made by [`encode`].
    map: &'a [u8],
}

/// Bits of a place's code that hold the kind; the others hold the length.
const KIND_BITS: u32 = 2;

impl<'a> RawSite<'a> {
    fn new(place: Place<'a>) -> Option<RawSite<'a>> {
        let kind = place.code & ((1 << KIND_BITS) - 1);
        Some(RawSite {
            ret_offset: place.offset,
            wasm_offset: place.wasm_offset,
            len: place.code >> KIND_BITS,
            kind: *SiteKind::ALL.get(usize::from(kind))?,
            map: place.more,
        })
    }

    /// The places of its values, which are of these types.
    pub(crate) fn values(&self, types: &[ValType]) -> Box<[SiteValue]> {
        let mut map = self.map;
        let value = |&ty| SiteValue {
            ty,
            loc: decode(&mut map),
        };
        types.iter().map(value).collect()
    }
}

impl SiteTable {
    /// Add a site. Its return address is `ret_offset`, its region `len` bytes, of which there are less
    /// than 64.
    pub(crate) fn push(
        &mut self,
        kind: SiteKind,
        ret_offset: u32,
        len: u8,
        wasm_offset: u32,
        values: &[ObservedValue],
    ) {
        debug_assert!(len < 1 << (u8::BITS - KIND_BITS));
        let mut map = Vec::new();
        encode(values, &mut map);
        self.0.push(Place {
            offset: ret_offset,
            wasm_offset,
            code: kind as u8 | len << KIND_BITS,
            more: &map,
        });
    }

    /// Append the sites of code that follows at offset `base`.
    pub(crate) fn append(&mut self, other: &SiteTable, base: u32) {
        self.0.append(&other.0, base);
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.0.write(out);
    }

    /// The sites of functions of a module: their indices, and where they are in code of `len` bytes.
    pub(crate) fn read<'f>(
        input: &mut Reader<'_>,
        len: u32,
        mut funcs: impl Iterator<Item = (u32, &'f Range<u32>)>,
        info: &ModuleInfo,
    ) -> Option<SiteTable> {
        let table = SiteTable(PlaceTable::read(input, len)?);
        let mut func = funcs.next();
        for place in table.0.iter() {
            let site = RawSite::new(place)?;
            let start = site.ret_offset.checked_sub(site.len.into())?;
            while func.as_ref()?.1.end < site.ret_offset {
                func = funcs.next();
            }
            let (index, range) = func.as_ref()?;
            let types = info.observed_types(*index, site.kind);
            if start < range.start || site.len == 0 || !is_map(site.map, types.len()) {
                return None;
            }
        }
        Some(table)
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }

    /// The sites, in address order.
    pub(crate) fn sites(&self) -> impl Iterator<Item = RawSite<'_>> {
        self.0.iter().filter_map(RawSite::new)
    }

    /// The position in the module of the site that ends at `ret_offset`.
    pub(crate) fn wasm_offset_at(&self, ret_offset: u32) -> Option<u32> {
        Some(self.0.find(ret_offset)?.wasm_offset)
    }
}

// A value map is for each value a number whose low two bits are the kind of place and whose others say
// which. Numbers are LEB128.
const REG: u64 = 0;
const SLOT: u64 = 1;
const CONST: u64 = 2;
const FULL_CONST: u64 = 3;

fn encode(values: &[ObservedValue], out: &mut Vec<u8>) {
    for value in values {
        match value.loc {
            ValueLoc::Reg(reg) => put((reg.index() as u64) << 2 | REG, out),
            ValueLoc::Frame(offset) => {
                let zigzag = (offset << 1 ^ offset >> 31) as u32;
                put(u64::from(zigzag) << 2 | SLOT, out);
            }
            ValueLoc::Const(bits) if bits >> 62 == 0 => put(bits << 2 | CONST, out),
            ValueLoc::Const(bits) => {
                put(FULL_CONST, out);
                put(bits, out);
            }
        }
    }
}

fn decode(map: &mut &[u8]) -> Location {
    let word = take(map);
    match word & 3 {
        REG => {
            let reg = PReg::from_index((word >> 2) as usize);
            match reg.class() {
                RegClass::Int => Location::Gpr(reg.hw()),
                RegClass::Float => Location::Fpr(reg.hw()),
            }
        }
        SLOT => {
            let zigzag = (word >> 2) as u32;
            Location::Slot((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
        }
        CONST => Location::Const(word >> 2),
        _ => Location::Const(take(map)),
    }
}

/// Whether a map of `count` values that can be read by `decode` begins here.
fn is_map(mut map: &[u8], count: usize) -> bool {
    fn is_place(map: &mut &[u8]) -> bool {
        let Some(word) = take_checked(map) else {
            return false;
        };
        match word & 3 {
            REG => {
                word >> 2 < PREGS && PReg::from_index((word >> 2) as usize).hw() < arch::REGISTERS
            }
            SLOT => word >> 2 <= u32::MAX.into(),
            CONST => true,
            _ => take_checked(map).is_some(),
        }
    }
    (0..count).all(|_| is_place(&mut map)) && map.is_empty()
}

/// How many registers can be named.
const PREGS: u64 = 64;

/// The number that `take` finds; none if there is none, or none of 64 bits.
fn take_checked(bytes: &mut &[u8]) -> Option<u64> {
    let len = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    // The tenth byte has one bit to give.
    let fits = len < 10 || (len == 10 && bytes[9] <= 1);
    fits.then(|| take(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nopal_ir::Type;

    #[test]
    fn value_maps_survive_encoding() {
        let locs = [
            ValueLoc::Reg(PReg::int(13)),
            ValueLoc::Reg(PReg::float(31)),
            ValueLoc::Frame(0),
            ValueLoc::Frame(-8),
            ValueLoc::Frame(i32::MIN),
            ValueLoc::Frame(i32::MAX),
            ValueLoc::Const(0),
            ValueLoc::Const((1 << 62) - 1),
            ValueLoc::Const(1 << 62),
            ValueLoc::Const(u64::MAX),
        ];
        let values = locs.map(|loc| ObservedValue { ty: Type::I64, loc });
        let expected = [
            Location::Gpr(13),
            Location::Fpr(31),
            Location::Slot(0),
            Location::Slot(-8),
            Location::Slot(i32::MIN),
            Location::Slot(i32::MAX),
            Location::Const(0),
            Location::Const((1 << 62) - 1),
            Location::Const(1 << 62),
            Location::Const(u64::MAX),
        ];
        let types = [ValType::I64; 10];
        let mut first = SiteTable::default();
        first.push(SiteKind::Entry, 10, 5, 100, &values[..2]);
        let mut second = SiteTable::default();
        second.push(SiteKind::Exit, 20, 5, 200, &values);
        first.append(&second, 64);
        let sites: Vec<RawSite<'_>> = first.sites().collect();
        let [a, b] = sites[..] else {
            panic!("two sites")
        };
        assert_eq!((a.ret_offset, b.ret_offset, b.wasm_offset), (10, 84, 200));
        assert_eq!(
            (a.kind, b.kind, b.len),
            (SiteKind::Entry, SiteKind::Exit, 5)
        );
        let places = |site: RawSite<'_>, types| -> Vec<Location> {
            let values = site.values(types);
            values.iter().map(|value| value.loc).collect()
        };
        assert_eq!(places(a, &types[..2]), expected[..2]);
        assert_eq!(places(b, &types), expected);
        assert_eq!(first.wasm_offset_at(84), Some(200));
        assert_eq!(first.wasm_offset_at(83), None);
    }
}
