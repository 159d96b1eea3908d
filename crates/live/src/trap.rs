//! Threads that meet a site under change, or code that cannot be executed for the moment.
//!
//! The former execute a breakpoint instruction, and the kernel delivers SIGTRAP to them (SIGILL on s390x). The
//! handler finds the site by the address alone: every site of published code is in its space's
//! index, whether or not a commit is under way, so that it does not matter when the signal arrives.
//! The thread goes on after the site, as if it had been off; emulating the call instead would break
//! shadow stacks. At a branch around a site it goes on where that leads, or to the site.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::index::SiteIndex;
use crate::isa;
use crate::memory::Gate;

/// The live spaces: a list that signal handlers walk without locks.
struct Node {
    index: Arc<SiteIndex>,
    gate: Arc<Gate>,
    next: AtomicPtr<Node>,
}

static FIRST: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());
/// Handlers walking the list.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Held while the list is changed.
static WRITER: Mutex<()> = Mutex::new(());

/// Keeps a space in the list.
pub(crate) struct Registration(*mut Node);

// SAFETY: the node is only freed by the registration's drop; what it holds is Send and Sync.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

impl Registration {
    pub(crate) fn new(index: Arc<SiteIndex>, gate: Arc<Gate>) -> Registration {
        let _writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
        let node = Box::into_raw(Box::new(Node {
            index,
            gate,
            next: AtomicPtr::new(FIRST.load(Ordering::Relaxed)),
        }));
        FIRST.store(node, Ordering::SeqCst);
        Registration(node)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
        let mut link = &FIRST;
        loop {
            let node = link.load(Ordering::SeqCst);
            // SAFETY: nodes in the list are only freed under the lock, after being unlinked.
            let Some(current) = (unsafe { node.as_ref() }) else {
                return;
            };
            if ptr::eq(node, self.0) {
                link.store(current.next.load(Ordering::SeqCst), Ordering::SeqCst);
                break;
            }
            link = &current.next;
        }
        // A handler that came before the unlinking may be at the node; one that comes after it is
        // counted but cannot reach it. Handlers are short and block on nothing.
        while READERS.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        // SAFETY: made by `Box::into_raw`, unlinked, and no handler is in the list.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Where a thread goes on whose breakpoint left it at `pc`, if that was a site of ours or a branch around one.
/// `flags` are those of the processor, if it has some. Async-signal-safe.
pub(crate) fn resume_address(pc: usize, flags: u64) -> Option<usize> {
    let site_end = isa::site_end_after_trap(pc);
    let branch = isa::branch_after_trap(pc);
    find(|node| {
        if node.index.site_ending_at(site_end).is_some() {
            return Some(site_end);
        }
        // SAFETY: the thread is at the address, so that nobody removes the code.
        let route = unsafe { node.index.branch_at(branch) }?;
        Some(node.index.address(route.resume(flags)))
    })
}

/// Waits until the code at an address that could not be fetched can be executed; false if it is not
/// ours. Async-signal-safe.
pub(crate) fn wait_for_code(address: usize) -> bool {
    // Waiting may take long, so the list has to be left before.
    let gate = find(|node| node.index.offset(address).map(|_| &raw const *node.gate));
    // SAFETY: the gate's space lives as long as this thread is in its code.
    gate.is_some_and(|gate| unsafe { &*gate }.pass(address))
}

/// The first answer that a node of the list gives.
fn find<T>(ask: impl Fn(&Node) -> Option<T>) -> Option<T> {
    READERS.fetch_add(1, Ordering::SeqCst);
    let mut node = FIRST.load(Ordering::SeqCst);
    let mut answer = None;
    // SAFETY: a node reached while READERS counts this handler is not freed.
    while let Some(current) = unsafe { node.as_ref() } {
        answer = ask(current);
        if answer.is_some() {
            break;
        }
        node = current.next.load(Ordering::SeqCst);
    }
    READERS.fetch_sub(1, Ordering::SeqCst);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Head, sample};
    use crate::{CodeSpace, SiteDesc, SpaceConfig, os};

    #[test]
    fn only_sites_of_live_spaces_are_resumed() {
        // An address range no real space can have.
        let base = 0x1000;
        let index = Arc::new(SiteIndex::new(base, 1 << 20).unwrap());
        index.cover(1 << 20).unwrap();
        let site = SiteDesc {
            ret_offset: isa::SITE_LEN as u32 + 7,
            len: isa::SITE_LEN as u8,
        };
        index.insert(0, 64, 0, &[site], 0);
        let end = base + site.ret_offset as usize;
        let pc = (base..end).find(|&pc| isa::site_end_after_trap(pc) == end);
        let pc = pc.expect("a trap at the site leaves the thread inside it");

        assert_eq!(resume_address(pc, 0), None);
        let gate = |base| Arc::new(Gate::new(base));
        let registration = Registration::new(Arc::clone(&index), gate(base));
        let elsewhere = Arc::new(SiteIndex::new(1 << 30, 1 << 20).unwrap());
        let other = Registration::new(elsewhere, gate(1 << 30));
        assert_eq!(resume_address(pc, 0), Some(end));
        assert_eq!(resume_address(pc + 1, 0), None);
        assert_eq!(resume_address(0, 0), None);
        drop(registration);
        assert_eq!(resume_address(pc, 0), None);
        drop(other);
    }

    #[test]
    fn a_thread_that_meets_a_trap_goes_on_after_the_site() {
        os::signal::TRAP.install().unwrap();
        let space = CodeSpace::new(SpaceConfig::new().reserve(16 << 20)).unwrap();
        let bytes = [&sample::START[..], &isa::OFF_FORM, &sample::END].concat();
        let site = SiteDesc {
            ret_offset: (sample::START.len() + isa::SITE_LEN) as u32,
            len: isa::SITE_LEN as u8,
        };
        let allocation = space.allocate(bytes.len(), 64).unwrap();
        let code = allocation.publish(&bytes, &[site]).unwrap();
        // SAFETY: the code is a function of this type.
        let function: extern "C" fn() = unsafe { std::mem::transmute(code.base()) };
        let address = code.base() + sample::START.len();
        let start = address - space.base();
        for (head, is_off) in [(Head::Trap, false), (Head::Off, true)] {
            let writing = space
                .region()
                .write(|| start..start + isa::SITE_LEN)
                .unwrap();
            // SAFETY: the site is open for writing, and nobody executes it.
            unsafe {
                isa::write_head(writing.view().add(start), isa::Link::default(), head, 0);
                nopal_icache::clear_cache(address as *const _, isa::SITE_LEN).unwrap();
            }
            writing.finish().unwrap();
            nopal_icache::sync_core_mt().unwrap();
            // SAFETY: the bytes of the site.
            let now = unsafe { (address as *const [u8; isa::SITE_LEN]).read() };
            assert_eq!(now == isa::OFF_FORM, is_off);
            function();
        }
    }
}
