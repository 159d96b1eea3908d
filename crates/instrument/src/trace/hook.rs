//! The hook: what happens on the guest's thread.

use super::buffer::{Queue, ThreadBuffer, lock};
use super::sites::TracedSites;
use nopal_live::{SiteFrame, SiteId};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Instant;

/// What the hook and the writer share.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Unlike that of any other recorder of the process.
    id: u64,
    start: Instant,
    /// Whether values are recorded.
    pub(super) values: bool,
    pub(super) sites: TracedSites,
    /// How often the hooks were switched on: exits are matched to entries of the same window only.
    pub(super) windows: Arc<AtomicU32>,
    pub(super) queue: Queue,
    /// Nothing more is to be recorded.
    pub(super) stopped: AtomicBool,
    threads: Mutex<Vec<(ThreadId, Arc<ThreadBuffer>)>>,
}

thread_local! {
    /// The buffer of this thread in the recorder it met last.
    static CURRENT: RefCell<Option<(u64, Arc<ThreadBuffer>)>> = const { RefCell::new(None) };
}

impl Recorder {
    pub(super) fn new(sites: TracedSites, values: bool, start: Instant) -> Recorder {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Recorder {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            start,
            values,
            sites,
            windows: Arc::default(),
            queue: Queue::default(),
            stopped: AtomicBool::new(false),
            threads: Mutex::default(),
        }
    }

    /// Nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Record that the guest of this thread is at a site.
    ///
    /// A record is: the time; the site, and the window above it; the frame pointer; the values.
    pub(super) fn record(&self, id: SiteId, frame: &SiteFrame) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        let Some(traced) = self.sites.get(id) else {
            return;
        };
        let window = self.windows.load(Ordering::Relaxed);
        let place = u64::from(id.index()) | u64::from(window) << 32;
        let values = self.values.then(|| traced.site.read(frame)).flatten();
        let bits = values.into_iter().flatten().map(|(_, bits)| bits);
        self.with_buffer(|buffer| {
            let head = [self.now(), place, frame.fp() as u64];
            buffer.append(&self.queue, head, bits);
        });
    }

    fn with_buffer(&self, f: impl FnOnce(&ThreadBuffer)) {
        // The thread-local is gone at the very end of a thread, when no guest runs any more.
        let _ = CURRENT.try_with(|current| {
            let mut current = current.borrow_mut();
            let (_, buffer) = match &mut *current {
                Some(known) if known.0 == self.id => known,
                other => other.insert((self.id, self.buffer_of_this_thread())),
            };
            f(buffer);
        });
    }

    #[cold]
    fn buffer_of_this_thread(&self) -> Arc<ThreadBuffer> {
        let this = thread::current().id();
        let mut threads = lock(&self.threads);
        if let Some((_, buffer)) = threads.iter().find(|(thread, _)| *thread == this) {
            return Arc::clone(buffer);
        }
        let buffer = Arc::new(ThreadBuffer::for_this_thread(threads.len() as u32 + 1));
        threads.push((this, Arc::clone(&buffer)));
        buffer
    }

    /// The buffers of all threads met so far; that of thread `n` is at `n - 1`.
    pub(super) fn buffers(&self) -> Vec<Arc<ThreadBuffer>> {
        let threads = lock(&self.threads);
        threads
            .iter()
            .map(|(_, buffer)| Arc::clone(buffer))
            .collect()
    }
}
