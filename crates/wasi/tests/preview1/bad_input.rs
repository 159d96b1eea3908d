//! Numbers and addresses no compiler would produce.

use crate::guest::{Guest, ROOT, refused, rights};
use nopal_wasi::{Errno, GuestMemory, Result, WasiCtx};

type Call = fn(&mut WasiCtx, &mut GuestMemory<'_>, u32) -> Result<()>;

/// Every function that takes an address, called with it in one place.
const CALLS: [(&str, Call); 30] = [
    ("args_get pointers", |ctx, mem, at| ctx.args_get(mem, at, 0)),
    ("args_get buffer", |ctx, mem, at| ctx.args_get(mem, 0, at)),
    ("args_sizes_get", |ctx, mem, at| {
        ctx.args_sizes_get(mem, 0, at)
    }),
    ("environ_get", |ctx, mem, at| ctx.environ_get(mem, at, 0)),
    ("environ_sizes_get", |ctx, mem, at| {
        ctx.environ_sizes_get(mem, at, 0)
    }),
    ("clock_res_get", |ctx, mem, at| {
        ctx.clock_res_get(mem, 0, at)
    }),
    ("clock_time_get", |ctx, mem, at| {
        ctx.clock_time_get(mem, 0, 0, at)
    }),
    ("fd_fdstat_get", |ctx, mem, at| {
        ctx.fd_fdstat_get(mem, 1, at)
    }),
    ("fd_filestat_get", |ctx, mem, at| {
        ctx.fd_filestat_get(mem, 4, at)
    }),
    ("fd_pread list", |ctx, mem, at| {
        ctx.fd_pread(mem, 4, at, 1, 0, 0)
    }),
    ("fd_pread result", |ctx, mem, at| {
        ctx.fd_pread(mem, 4, 0, 0, 0, at)
    }),
    ("fd_pwrite list", |ctx, mem, at| {
        ctx.fd_pwrite(mem, 4, at, 1, 0, 0)
    }),
    ("fd_pwrite result", |ctx, mem, at| {
        ctx.fd_pwrite(mem, 4, 0, 0, 0, at)
    }),
    ("fd_prestat_get", |ctx, mem, at| {
        ctx.fd_prestat_get(mem, ROOT, at)
    }),
    ("fd_prestat_dir_name", |ctx, mem, at| {
        ctx.fd_prestat_dir_name(mem, ROOT, at.saturating_add(3), 1)
    }),
    ("fd_read list", |ctx, mem, at| ctx.fd_read(mem, 4, at, 1, 0)),
    ("fd_read result", |ctx, mem, at| {
        ctx.fd_read(mem, 4, 0, 0, at)
    }),
    ("fd_readdir buffer", |ctx, mem, at| {
        ctx.fd_readdir(mem, ROOT, at, 9, 0, 0)
    }),
    ("fd_readdir result", |ctx, mem, at| {
        ctx.fd_readdir(mem, ROOT, 0, 9, 0, at)
    }),
    ("fd_seek", |ctx, mem, at| ctx.fd_seek(mem, 4, 0, 0, at)),
    ("fd_tell", |ctx, mem, at| ctx.fd_tell(mem, 4, at)),
    ("fd_write list", |ctx, mem, at| {
        ctx.fd_write(mem, 4, at, 1, 0)
    }),
    ("fd_write result", |ctx, mem, at| {
        ctx.fd_write(mem, 4, 0, 0, at)
    }),
    ("path_filestat_get path", |ctx, mem, at| {
        ctx.path_filestat_get(mem, ROOT, 0, at, 4, 0)
    }),
    ("path_filestat_get result", |ctx, mem, at| {
        ctx.path_filestat_get(mem, ROOT, 0, 96, 4, at)
    }),
    ("path_open path", |ctx, mem, at| {
        ctx.path_open(mem, ROOT, 0, at, 4, 0, 0, 0, 0, 0)
    }),
    ("path_open result", |ctx, mem, at| {
        ctx.path_open(mem, ROOT, 0, 100, 3, 1, 0, 0, 0, at)
    }),
    ("path_readlink buffer", |ctx, mem, at| {
        ctx.path_readlink(mem, ROOT, 103, 4, at, 9, 0)
    }),
    ("path_readlink result", |ctx, mem, at| {
        ctx.path_readlink(mem, ROOT, 103, 4, 0, 9, at)
    }),
    ("random_get", |ctx, mem, at| ctx.random_get(mem, at, 9)),
];

/// A guest with an argument, a variable, `file` open as 4, and `link`.
fn guest() -> Guest {
    let mut builder = nopal_wasi::WasiCtxBuilder::new();
    let mut guest = Guest::with({
        builder.arg("arg").env("K", "v");
        builder
    });
    guest.create("file", b"abcdefgh");
    guest.symlink("file", "link").unwrap();
    assert_eq!(guest.open("file", 0, rights::ALL), Ok(4));
    guest
}

#[test]
fn addresses_outside_of_memory_fault() {
    let mut guest = guest();
    let mut bytes = vec![0; 107];
    bytes[96..].copy_from_slice(b"filenewlink");
    let before = bytes.clone();
    let near_the_end = [104, 105, 106, 107, 108];
    let far = [
        1 << 31,
        u32::MAX - 47,
        u32::MAX - 8,
        u32::MAX - 7,
        u32::MAX - 3,
        u32::MAX,
    ];
    for (name, call) in CALLS {
        for at in near_the_end.into_iter().chain(far) {
            let mut mem = GuestMemory::new(&mut bytes);
            let outcome = call(&mut guest.ctx, &mut mem, at);
            assert_eq!(outcome, Err(Errno::Fault), "{name} at {at}");
            // A result that cannot be stored has no other effect in memory either.
            if !name.contains("sizes") {
                assert_eq!(bytes, before, "{name} at {at}");
            }
        }
    }
    // Nor on the file system, nor on positions.
    assert!(!guest.host.path().join("new").exists());
    assert_eq!(guest.tell(4), Ok(0));
    assert_eq!(guest.stat(4).unwrap().size, 8);
}

#[test]
fn every_call_works_at_the_end_of_memory_and_unaligned() {
    for (name, call) in CALLS {
        let mut guest = guest();
        let mut bytes = vec![0; 171];
        bytes[96..107].copy_from_slice(b"filenewlink");
        // The path has to be where the call looks for it.
        let at = if name.ends_with("path") { 96 } else { 107 };
        let mut mem = GuestMemory::new(&mut bytes);
        assert_eq!(call(&mut guest.ctx, &mut mem, at), Ok(()), "{name}");
    }
}

#[test]
fn memory_may_be_empty() {
    let mut guest = guest();
    for (name, call) in CALLS {
        let mut mem = GuestMemory::new(&mut []);
        assert_eq!(
            call(&mut guest.ctx, &mut mem, 0),
            Err(Errno::Fault),
            "{name}"
        );
    }
}

#[test]
fn paths_are_checked_by_every_function() {
    let mut guest = guest();
    let mut bytes = vec![b'a'; 8192];
    bytes[8] = 0;
    let mut mem = GuestMemory::new(&mut bytes);
    let ctx = &mut guest.ctx;
    for (at, len, expected) in [
        (8000, 193, Errno::Fault),
        (u32::MAX, 1, Errno::Fault),
        (1, u32::MAX, Errno::Fault),
        (0, 5000, Errno::Nametoolong),
        (0, 9, Errno::Inval),
        (0, 0, Errno::Noent),
    ] {
        let outcomes = [
            ctx.path_create_directory(&mem, ROOT, at, len),
            ctx.path_filestat_get(&mut mem, ROOT, 0, at, len, 16),
            ctx.path_filestat_set_times(&mem, ROOT, 0, at, len, 0, 0, 2),
            ctx.path_link(&mem, ROOT, 0, at, len, ROOT, 16, 1),
            ctx.path_link(&mem, ROOT, 0, 16, 1, ROOT, at, len),
            ctx.path_open(&mut mem, ROOT, 0, at, len, 0, 0, 0, 0, 16),
            ctx.path_readlink(&mut mem, ROOT, at, len, 16, 4, 32),
            ctx.path_remove_directory(&mem, ROOT, at, len),
            ctx.path_rename(&mem, ROOT, at, len, ROOT, 16, 1),
            ctx.path_rename(&mem, ROOT, 16, 1, ROOT, at, len),
            ctx.path_symlink(&mem, at, len, ROOT, 16, 1),
            ctx.path_symlink(&mem, 16, 1, ROOT, at, len),
            ctx.path_unlink_file(&mem, ROOT, at, len),
        ];
        assert_eq!(outcomes, [Err(expected); 13], "{len} bytes at {at}");
    }
}

#[test]
fn descriptors_are_checked_by_every_function() {
    let mut guest = guest();
    let mut bytes = vec![b'a'; 256];
    let mut mem = GuestMemory::new(&mut bytes);
    let ctx = &mut guest.ctx;
    for fd in [5, 1 << 31, u32::MAX] {
        let outcomes = [
            ctx.fd_advise(fd, 0, 0, 0),
            ctx.fd_allocate(fd, 0, 1),
            ctx.fd_close(fd),
            ctx.fd_datasync(fd),
            ctx.fd_fdstat_get(&mut mem, fd, 0),
            ctx.fd_fdstat_set_flags(fd, 0),
            ctx.fd_fdstat_set_rights(fd, 0, 0),
            ctx.fd_filestat_get(&mut mem, fd, 0),
            ctx.fd_filestat_set_size(fd, 0),
            ctx.fd_filestat_set_times(fd, 0, 0, 0),
            ctx.fd_pread(&mut mem, fd, 0, 0, 0, 0),
            ctx.fd_prestat_get(&mut mem, fd, 0),
            ctx.fd_prestat_dir_name(&mut mem, fd, 0, 9),
            ctx.fd_pwrite(&mut mem, fd, 0, 0, 0, 0),
            ctx.fd_read(&mut mem, fd, 0, 0, 0),
            ctx.fd_readdir(&mut mem, fd, 0, 0, 0, 0),
            ctx.fd_renumber(fd, 0),
            ctx.fd_renumber(0, fd),
            ctx.fd_seek(&mut mem, fd, 0, 0, 0),
            ctx.fd_sync(fd),
            ctx.fd_tell(&mut mem, fd, 0),
            ctx.fd_write(&mut mem, fd, 0, 0, 0),
            ctx.path_create_directory(&mem, fd, 0, 1),
            ctx.path_filestat_get(&mut mem, fd, 0, 0, 1, 0),
            ctx.path_filestat_set_times(&mem, fd, 0, 0, 1, 0, 0, 0),
            ctx.path_link(&mem, fd, 0, 0, 1, ROOT, 0, 1),
            ctx.path_link(&mem, ROOT, 0, 0, 1, fd, 0, 1),
            ctx.path_open(&mut mem, fd, 0, 0, 1, 0, 0, 0, 0, 0),
            ctx.path_readlink(&mut mem, fd, 0, 1, 0, 1, 0),
            ctx.path_remove_directory(&mem, fd, 0, 1),
            ctx.path_rename(&mem, fd, 0, 1, ROOT, 0, 1),
            ctx.path_rename(&mem, ROOT, 0, 1, fd, 0, 1),
            ctx.path_symlink(&mem, 0, 1, fd, 0, 1),
            ctx.path_unlink_file(&mem, fd, 0, 1),
        ];
        assert_eq!(outcomes, [Err(Errno::Badf); 34], "descriptor {fd}");
    }
}

#[test]
fn overlapping_buffers_are_read_in_order() {
    let mut guest = guest();
    let mut bytes = [0u8; 64];
    let mut mem = GuestMemory::new(&mut bytes);
    // The list reads over itself, the result over the data.
    for (at, word) in [(0, 16), (4, 4), (8, 18), (12, 4)] {
        mem.write_u32(at, word).unwrap();
    }
    guest.ctx.fd_read(&mut mem, 4, 0, 2, 20).unwrap();
    assert_eq!(mem.slice(16, 4), Ok(&b"abef"[..]));
    assert_eq!(mem.read_u32(20), Ok(8));

    // Writing the same bytes twice is writing them twice.
    for (at, word) in [(0, 16), (4, 4), (8, 16), (12, 4)] {
        mem.write_u32(at, word).unwrap();
    }
    guest.ctx.fd_write(&mut mem, 4, 0, 2, 0).unwrap();
    assert_eq!(mem.read_u32(0), Ok(8));
    assert_eq!(guest.pread(4, 99, 8), Ok(b"abefabef".to_vec()));
}

#[test]
fn long_lists_transfer_what_they_can() {
    let mut guest = guest();
    let mut bytes = vec![0u8; 1 << 16];
    let mut mem = GuestMemory::new(&mut bytes);
    for index in 0..4000 {
        mem.write_u32(8 * index, 40_000).unwrap();
        mem.write_u32(8 * index + 4, 1).unwrap();
    }
    guest.ctx.fd_write(&mut mem, 4, 0, 4000, 40_100).unwrap();
    assert_eq!(mem.read_u32(40_100), Ok(1024));
    let outcome = guest.ctx.fd_write(&mut mem, 4, 0, u32::MAX, 40_100);
    assert_eq!(refused(outcome), Errno::Fault);
    assert_eq!(guest.stat(4).unwrap().size, 1024);
}

#[test]
fn lists_longer_than_memory_can_hold_transfer_no_more_than_fits_the_result() {
    // 1,024 times the whole of 16 MiB is more than a 32-bit count can tell.
    let mut guest = guest();
    let len = 16 << 20;
    let mut bytes = vec![0u8; len];
    let mut mem = GuestMemory::new(&mut bytes);
    for index in 0..1024 {
        mem.write_u32(8 * index, 0).unwrap();
        mem.write_u32(8 * index + 4, len as u32).unwrap();
    }
    guest.ctx.fd_write(&mut mem, 1, 0, 1024, 8192).unwrap();
    assert_eq!(mem.read_u32(8192), Ok(i32::MAX as u32));
}
