//! What the tables of a function hold.

use crate::{
    AliasRegion, Block, BlockCall, DynamicType, GlobalValue, Inst, MemFlags, PackedOption, SigRef,
    SiteAttr, StackSlot, Type, Value, ValueList,
};
use core::fmt;

/// A position in the source of the function, e.g. a Wasm code offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SourceLoc(u32);

impl SourceLoc {
    /// No position.
    pub const NONE: SourceLoc = SourceLoc(u32::MAX);

    /// The position `n`.
    #[inline]
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The number of the position; `u32::MAX` for none.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether this is no position.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }
}

/// The name of a function or symbol, resolved by whoever links the code.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ExternalName {
    /// A name made of two numbers, `u0:5`.
    User {
        /// What kind of thing it is, to the front end.
        namespace: u32,
        /// Which one.
        index: u32,
    },
    /// A name made of letters, `%memcpy`.
    Named(Box<str>),
}

impl fmt::Display for ExternalName {
    /// A name that is not made of letters, digits and `_` is written between quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternalName::User { namespace, index } => write!(f, "u{namespace}:{index}"),
            ExternalName::Named(name)
                if name.bytes().all(|c| c == b'_' || c.is_ascii_alphanumeric()) =>
            {
                write!(f, "%{name}")
            }
            ExternalName::Named(name) => {
                f.write_str("%\"")?;
                for c in name.chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{c}")?;
                }
                f.write_str("\"")
            }
        }
    }
}

/// A function that can be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtFunc {
    /// What it is called.
    pub name: ExternalName,
    /// Its signature.
    pub signature: SigRef,
    /// Whether it is close enough for a near call.
    pub colocated: bool,
    /// Whether calls to it are patch sites. Such a callee is colocated and returns nothing.
    pub patchable: bool,
}

/// Bytes in the frame whose address can be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackSlotData {
    /// Size in bytes.
    pub size: u32,
    /// log2 of the alignment.
    pub align_shift: u8,
}

/// A value that is known before the code runs, or found in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GlobalValueData {
    /// The pointer to the instance's context.
    VMContext,
    /// What is in memory at another global value plus an offset.
    Load {
        /// The address.
        base: GlobalValue,
        /// What is added to it.
        offset: i32,
        /// The type of what is there.
        ty: Type,
        /// At least `notrap aligned`.
        flags: MemFlags,
        /// The part of memory it is in.
        region: Option<AliasRegion>,
    },
    /// Another global value plus a constant.
    IaddImm {
        /// The other one.
        base: GlobalValue,
        /// The constant.
        offset: i64,
        /// The type of both.
        ty: Type,
    },
    /// The address of a symbol, plus an offset.
    Symbol {
        /// Its name.
        name: ExternalName,
        /// What is added to its address.
        offset: i64,
        /// Whether it is close enough to be addressed relative to the code.
        colocated: bool,
        /// Whether each thread has its own.
        tls: bool,
    },
    /// How many times larger than a fixed vector the dynamic vector of it is.
    DynScaleTargetConst {
        /// The fixed vector.
        vector: Type,
    },
}

/// A vector type whose size depends on the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DynamicTypeData {
    /// The fixed vector of which it is a multiple.
    pub base: Type,
    /// Which multiple.
    pub scale: GlobalValue,
}

/// The bytes of a constant, the lowest first.
pub type ConstantData = Box<[u8]>;

/// A part of memory that accesses to other parts do not touch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AliasRegionData {
    /// The front end's number for it; each region has another one.
    pub user_id: u32,
    /// What it is, for readers.
    pub description: Box<str>,
}

/// The target of an edge and the arguments for the parameters of that block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockCallData {
    /// The block.
    pub block: Block,
    /// One argument per parameter.
    pub args: ValueList,
}

/// The edges of a `br_table`. Indices that lead to the same block with the same arguments may share
/// an edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JumpTableData {
    /// Where an index outside the table leads.
    pub default: BlockCall,
    /// Where index 0, 1, … lead.
    pub table: Vec<BlockCall>,
}

/// One entry of the handlers of a `try_call`, looked at from first to last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExceptionItem {
    /// Where to go if what is thrown has this tag.
    Tag(u32, BlockCall),
    /// Where to go whatever is thrown.
    Default(BlockCall),
    /// The value that says where tags are looked up from here on.
    Context(Value),
}

/// The edges of a `try_call`.
///
/// The results of the instruction, `ret0`, `ret1`, … and then `exn0`, `exn1`, … in the text
/// format, are used by its own edges only: the former, of the types that the signature returns, on
/// the normal one; the latter, of the types of
/// [`CallConv::exception_payload`](crate::CallConv::exception_payload), on the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExceptionTableData {
    /// The signature of the callee.
    pub sig: SigRef,
    /// Where a return leads.
    pub normal: BlockCall,
    /// The handlers.
    pub items: Vec<ExceptionItem>,
    /// The attributes of a patchable call.
    pub attrs: PackedOption<SiteAttr>,
}

impl ExceptionTableData {
    /// The edges to handlers, in order.
    pub fn handlers(&self) -> impl Iterator<Item = BlockCall> + '_ {
        self.items.iter().filter_map(|item| match *item {
            ExceptionItem::Tag(_, edge) | ExceptionItem::Default(edge) => Some(edge),
            ExceptionItem::Context(_) => None,
        })
    }

    /// All edges: the normal one, then those to handlers.
    pub fn edges(&self) -> impl Iterator<Item = BlockCall> + '_ {
        core::iter::once(self.normal).chain(self.handlers())
    }

    /// The context values, in order.
    pub fn contexts(&self) -> impl Iterator<Item = Value> + '_ {
        self.items.iter().filter_map(|item| match *item {
            ExceptionItem::Context(v) => Some(v),
            _ => None,
        })
    }
}

/// The trailing attributes of a patchable call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SiteAttrData {
    /// `site=K`: a number that means something to the front end.
    pub site: u32,
    /// `observe=[…]`: values that a hook must be able to find.
    pub observe: ValueList,
}

/// A mark on a call or a `sequence_point` that means something to the front end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DebugTag {
    /// A number.
    User(u32),
    /// A stack slot.
    Slot(StackSlot),
}

impl fmt::Display for DebugTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DebugTag::User(n) => n.fmt(f),
            DebugTag::Slot(slot) => slot.fmt(f),
        }
    }
}

/// Where a call finds a live reference: one entry of its `stack_map`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackMapEntry {
    /// The type of the reference.
    pub ty: Type,
    /// The slot it is in.
    pub slot: StackSlot,
    /// Where in the slot.
    pub offset: u32,
}

/// A basic block: a contiguous range of instructions that ends with a terminator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockData {
    /// Its parameters.
    pub params: ValueList,
    /// Number of its first instruction.
    pub first: u32,
    /// One past the number of its last instruction.
    pub end: u32,
    /// Whether it is expected to be executed rarely.
    pub cold: bool,
}

/// A dynamic stack slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DynamicStackSlotData {
    /// The type of what it holds.
    pub ty: DynamicType,
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueDef {
    /// Result number `.1` of an instruction.
    Result(Inst, u32),
    /// Parameter number `.1` of a block.
    Param(Block, u32),
    /// Another value under a second name.
    Alias(Value),
    /// Nowhere: the number is not in use.
    None,
}
