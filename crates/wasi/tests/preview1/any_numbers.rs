//! Calls with any numbers whatsoever: errors and results, never a panic, and nothing outside.

use crate::guest::Guest;
use nopal_wasi::{GuestMemory, WasiCtx, WasiCtxBuilder};

/// A small generator of numbers, so that a failure repeats itself.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// A number of the kind that is worth trying: small, near a power of two, or anything.
    fn word(&mut self) -> u32 {
        match self.below(8) {
            0..=3 => self.below(16) as u32,
            4 => self.below(4200) as u32,
            5 => (1u32 << self.below(32)).wrapping_sub(self.below(3) as u32),
            6 => u32::MAX - self.below(70) as u32,
            _ => self.next() as u32,
        }
    }

    fn long(&mut self) -> u64 {
        match self.below(3) {
            0 => u64::MAX - self.below(5),
            1 => self.below(64),
            _ => self.next(),
        }
    }
}

/// Calls one of the functions. Waiting is left out, because a random wait can be a long one.
fn call(ctx: &mut WasiCtx, mem: &mut GuestMemory<'_>, n: &mut Numbers) -> bool {
    let [a, b, c, d, e, f, g] = [(); 7].map(|()| n.word());
    let (x, y) = (n.long(), n.long());
    let outcome = match n.below(43) {
        0 => ctx.args_get(mem, a, b),
        1 => ctx.args_sizes_get(mem, a, b),
        2 => ctx.environ_get(mem, a, b),
        3 => ctx.environ_sizes_get(mem, a, b),
        4 => ctx.clock_res_get(mem, a, b),
        5 => ctx.clock_time_get(mem, a, x, b),
        6 => ctx.fd_advise(a, x, y, b),
        // Disk space is really allocated.
        7 => ctx.fd_allocate(a, x % 4096, y % 4096),
        8 if a > 2 => ctx.fd_close(a),
        9 => ctx.fd_datasync(a),
        10 => ctx.fd_fdstat_get(mem, a, b),
        11 => ctx.fd_fdstat_set_flags(a, b),
        12 if a > 6 => ctx.fd_fdstat_set_rights(a, x, y),
        13 => ctx.fd_filestat_get(mem, a, b),
        14 => ctx.fd_filestat_set_size(a, x),
        15 => ctx.fd_filestat_set_times(a, x, y, b),
        16 => ctx.fd_pread(mem, a, b, c, x, d),
        17 => ctx.fd_prestat_get(mem, a, b),
        18 => ctx.fd_prestat_dir_name(mem, a, b, c),
        19 => ctx.fd_pwrite(mem, a, b, c, x % (1 << 40), d),
        20 => ctx.fd_read(mem, a, b, c, d),
        21 => ctx.fd_readdir(mem, a, b, c, x, d),
        22 if a > 6 => ctx.fd_renumber(a, b),
        23 => ctx.fd_seek(mem, a, x as i64, b, c),
        24 => ctx.fd_sync(a),
        25 => ctx.fd_tell(mem, a, b),
        26 => ctx.fd_write(mem, a, b, c, d),
        27 => ctx.path_create_directory(mem, a, b, c % 8),
        28 => ctx.path_filestat_get(mem, a, b, c, d, e),
        29 => ctx.path_filestat_set_times(mem, a, b, c, d, x, y, e),
        30 => ctx.path_link(mem, a, b, c, d, e, f, g),
        31..=33 => ctx.path_open(mem, a % 8, b, c, d % 8, e % 16, x, y, f % 32, g),
        34 => ctx.path_readlink(mem, a, b, c, d, e, f),
        35 => ctx.path_remove_directory(mem, a, b, c),
        36 => ctx.path_rename(mem, a, b, c, d, e, f),
        37 => ctx.path_symlink(mem, a, b, c, d, e),
        38 => ctx.path_unlink_file(mem, a, b, c),
        39 => ctx.proc_raise(a),
        40 => ctx.sched_yield(),
        41 => ctx.random_get(mem, a, b),
        42 => ctx.sock_accept(a),
        _ => Ok(()),
    };
    outcome.is_ok()
}

#[test]
fn no_call_panics_or_leaves_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    let inside = outside.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(outside.path().join("b"), b"untouched").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.arg("a").env("b", "c");
    for _ in 0..4 {
        builder.preopened_dir(&inside, "dir").unwrap();
    }
    let mut ctx = Guest::with(builder).ctx;

    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut bytes = vec![0; 4096];
    let mut successes = 0;
    for round in 0..60_000 {
        if round % 16 == 0 {
            // Names, and records with small numbers in them.
            let alphabet = *b"ab..//\0\x01\x08\0\0\0";
            bytes.fill_with(|| alphabet[numbers.below(12) as usize]);
        }
        let mut mem = GuestMemory::new(&mut bytes);
        successes += u32::from(call(&mut ctx, &mut mem, &mut numbers));
    }
    assert!(successes > 3_000, "only {successes} calls had an effect");
    let left: Vec<_> = std::fs::read_dir(outside.path()).unwrap().collect();
    assert_eq!(left.len(), 2);
    assert_eq!(
        std::fs::read(outside.path().join("b")).unwrap(),
        b"untouched"
    );
}
