//! Running out of descriptors of the host. Alone in its process, whose limit it lowers.

use nopal_wasi::{Errno, GuestMemory, WasiCtxBuilder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn descriptors_run_out_without_harm() {
    let host = tempfile::tempdir().unwrap();
    let mut ctx = WasiCtxBuilder::new()
        .preopened_dir(host.path(), ".")
        .unwrap()
        .build()
        .unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(64),
            maximum,
        },
    )
    .unwrap();

    let mut bytes = *b"file\0\0\0\0";
    let mut mem = GuestMemory::new(&mut bytes);
    let mut open = |ctx: &mut nopal_wasi::WasiCtx| {
        ctx.path_open(&mut mem, 3, 0, 0, 4, 1, u64::MAX, 0, 0, 4)?;
        mem.read_u32(4)
    };
    let mut opened = Vec::new();
    let error = loop {
        match open(&mut ctx) {
            Ok(fd) => opened.push(fd),
            Err(error) => break error,
        }
        assert!(opened.len() < 64);
    };
    assert_eq!(error, Errno::Mfile);
    assert!(opened.len() > 10);
    for &fd in &opened {
        assert_eq!(ctx.fd_close(fd), Ok(()));
    }
    assert_eq!(open(&mut ctx), Ok(opened[0]));
}
