//! How a code space is set up.

use crate::memory::Region;
use crate::os::PerCpu;
use crate::{Error, Result, isa};

const WANTED_RESERVE: usize = 1 << 30;
const MIN_RESERVE: usize = 16 << 20;

/// How sites are changed under running threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// One atomic store changes a site between its two forms, both of which are valid at any time;
    /// the rest of the site, if it has one, is only rewritten while it is off, with broadcasts between.
    ///
    /// Within AMD's rules for cross-modifying code (APM vol. 2 §7.6.1) and those of AArch64 (Arm ARM
    /// B2.2.5), RISC-V (Ziccif) and s390x (Principles of Operation, SA22-7832, chapter 5, "Instruction
    /// Fetching"); on Intel processors it is measured, not promised.
    Direct,
    /// Sites under change hold a breakpoint instruction, with a broadcast after each step; a thread
    /// that meets it goes on after the site (SIGTRAP, on s390x SIGILL, must not be blocked in threads that
    /// run generated code).
    ///
    /// The order Linux uses for its own text on x86-64 (`smp_text_poke_batch_finish`), within what Intel
    /// documents (SDM vol. 3A §10.1.3). AArch64, RISC-V and s390x do not need it.
    Strict,
}

/// Which vector registers call hooks save and restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorState {
    /// All of them at full width, as far as the processor has them.
    Full,
    /// The low 128 bits of the first sixteen on x86-64 (`xmm0` to `xmm15`), of all on AArch64 (`q0` to
    /// `q31`), and the floating-point registers on RISC-V (`f0` to `f31`) and s390x (`%f0` to `%f15`): for
    /// generated code that keeps nothing in any other part.
    Xmm,
}

/// Where count hooks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counters {
    /// A word for each CPU and site, incremented by plain instructions in restartable sequences
    /// (`rseq(2)`). Needs Linux 4.18 and a C library that registers threads for them, as glibc does
    /// from version 2.35 on.
    PerCpu,
    /// One word for each site, incremented by locked instructions, whose address can be had
    /// ([`CountHook::counter_address`](crate::CountHook::counter_address)).
    Shared,
}

/// How code is written that may not be written where it is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryMode {
    /// Its pages are mapped twice: for execution, and for writing somewhere else.
    Dual,
    /// Its pages are mapped once, and lose the permission to execute while they are written. Threads
    /// that run into them fault, wait in the SIGSEGV handler and go on: SIGSEGV must not be blocked
    /// in threads that run generated code, which need room for a signal frame, and handlers that
    /// others install for SIGSEGV later must pass on what they do not know. A commit costs two
    /// changes of protection and one more broadcast; protocols do not matter.
    Single,
}

/// The settings of a [`CodeSpace`](crate::CodeSpace).
#[derive(Clone, Debug)]
pub struct SpaceConfig {
    reserve: usize,
    protocol: Option<Protocol>,
    vector_state: VectorState,
    counters: Option<Counters>,
    memory_mode: Option<MemoryMode>,
    hide_writable: bool,
}

impl Default for SpaceConfig {
    fn default() -> Self {
        SpaceConfig::new()
    }
}

impl SpaceConfig {
    /// 1 GiB of address space, or as much as near calls reach; the processor's protocol, full vector
    /// state.
    pub fn new() -> SpaceConfig {
        SpaceConfig {
            reserve: WANTED_RESERVE.min(isa::MAX_RESERVE),
            protocol: None,
            vector_state: VectorState::Full,
            counters: None,
            memory_mode: None,
            hide_writable: false,
        }
    }

    /// Bytes of address space to reserve: from 16 MiB to as much as near calls reach, which is
    /// 2 GiB − 1 MiB on x86-64, RISC-V and s390x, and 146 MiB on AArch64. Seven eighths of it hold code and stubs, the rest
    /// counters. Memory is only committed as it is used.
    pub fn reserve(&mut self, bytes: usize) -> &mut Self {
        self.reserve = bytes;
        self
    }

    /// How sites are changed; by default what the processor's vendor documents: [`Protocol::Direct`]
    /// on AArch64, RISC-V, s390x and AMD's x86-64, [`Protocol::Strict`] elsewhere.
    pub fn protocol(&mut self, protocol: Protocol) -> &mut Self {
        self.protocol = Some(protocol);
        self
    }

    /// Which vector registers call hooks preserve.
    pub fn vector_state(&mut self, state: VectorState) -> &mut Self {
        self.vector_state = state;
        self
    }

    /// Where count hooks count; by default [`Counters::PerCpu`] if that is possible, else
    /// [`Counters::Shared`]. Counts are exact with both.
    pub fn counters(&mut self, counters: Counters) -> &mut Self {
        self.counters = Some(counters);
        self
    }

    /// How code is written; by default [`MemoryMode::Dual`] if the system allows it, else
    /// [`MemoryMode::Single`].
    pub fn memory_mode(&mut self, mode: MemoryMode) -> &mut Self {
        self.memory_mode = Some(mode);
        self
    }

    /// Whether the second mapping of [`MemoryMode::Dual`] only exists while something is written, so
    /// that a stray or malicious store finds it at no other time. It costs four system calls each
    /// time.
    pub fn hide_writable(&mut self, hide: bool) -> &mut Self {
        self.hide_writable = hide;
        self
    }

    /// Reserves what the settings ask for.
    pub(crate) fn region(&self) -> Result<Region> {
        Region::new(
            self.checked_reserve()?,
            self.memory_mode,
            self.hide_writable,
        )
    }

    /// How count stubs count per CPU, if they do.
    pub(crate) fn chosen_counters(&self) -> Result<Option<PerCpu>> {
        match (self.counters, PerCpu::get()) {
            (Some(Counters::Shared), _) => Ok(None),
            (Some(Counters::PerCpu), None) => Err(Error::Unsupported(
                "counters per CPU without restartable sequences; use Counters::Shared",
            )),
            (_, per_cpu) => Ok(per_cpu),
        }
    }

    pub(crate) fn chosen_protocol(&self) -> Protocol {
        self.protocol.unwrap_or_else(isa::default_protocol)
    }

    pub(crate) fn chosen_vector_state(&self) -> VectorState {
        self.vector_state
    }

    fn checked_reserve(&self) -> Result<usize> {
        if self.reserve < MIN_RESERVE {
            return Err(Error::Config("less than 16 MiB reserved"));
        }
        if self.reserve > isa::MAX_RESERVE {
            return Err(Error::Config(
                "more reserved than near calls of this architecture reach",
            ));
        }
        Ok(self.reserve)
    }
}
