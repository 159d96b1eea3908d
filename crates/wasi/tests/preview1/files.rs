//! Reading, writing and attributes of open files.

use crate::guest::{Guest, ROOT, fdflags, filetype, oflags, refused, rights};
use nopal_wasi::Errno;

#[test]
fn what_is_written_is_read_back() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    assert_eq!(fd, ROOT + 1);
    assert_eq!(guest.write(fd, b"hello, world"), Ok(12));
    assert_eq!(guest.tell(fd), Ok(12));
    assert_eq!(guest.seek(fd, -5, 2), Ok(7));
    assert_eq!(guest.read(fd, 100), Ok(b"world".to_vec()));
    assert_eq!(guest.read(fd, 100), Ok(vec![]));
    assert_eq!(guest.seek(fd, 0, 0), Ok(0));
    assert_eq!(guest.read(fd, 5), Ok(b"hello".to_vec()));
    assert_eq!(guest.seek(fd, 2, 1), Ok(7));
    assert_eq!(guest.read(fd, 0), Ok(vec![]));
    assert_eq!(guest.ctx.fd_close(fd), Ok(()));
    assert_eq!(refused(guest.read(fd, 1)), Errno::Badf);
    assert_eq!(refused(guest.ctx.fd_close(fd)), Errno::Badf);
    let host = std::fs::read(guest.host.path().join("file")).unwrap();
    assert_eq!(host, b"hello, world");
}

#[test]
fn seeking_is_bounded() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    assert_eq!(guest.seek(fd, 1000, 2), Ok(1000));
    for (offset, whence) in [
        (-1001, 1),
        (-1, 0),
        (i64::MIN, 0),
        (i64::MIN, 2),
        (0, 3),
        (0, 99),
    ] {
        assert_eq!(refused(guest.seek(fd, offset, whence)), Errno::Inval);
    }
    assert_eq!(guest.tell(fd), Ok(1000));
}

#[test]
fn positions_are_left_alone_by_pread_and_pwrite() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    assert_eq!(guest.pwrite(fd, b"abcdef", 2), Ok(6));
    assert_eq!(guest.pread(fd, 3, 4), Ok(b"cde".to_vec()));
    assert_eq!(guest.pread(fd, 100, 0), Ok(b"\0\0abcdef".to_vec()));
    assert_eq!(guest.pread(fd, 1, 100), Ok(vec![]));
    assert_eq!(guest.tell(fd), Ok(0));
    assert_eq!(refused(guest.pread(fd, 4, u64::MAX)), Errno::Inval);
    assert_eq!(refused(guest.pwrite(fd, b"x", u64::MAX)), Errno::Inval);
}

#[test]
fn access_follows_the_rights_asked_for() {
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    let reader = guest.open("file", 0, rights::FD_READ).unwrap();
    let writer = guest.open("file", 0, rights::FD_WRITE).unwrap();
    assert_eq!(guest.fdstat(reader).unwrap().base, rights::FD_READ);
    assert_eq!(guest.fdstat(writer).unwrap().base, rights::FD_WRITE);
    assert_eq!(guest.read(reader, 3), Ok(b"abc".to_vec()));
    assert_eq!(refused(guest.write(reader, b"x")), Errno::Badf);
    assert_eq!(guest.write(writer, b"x"), Ok(1));
    assert_eq!(refused(guest.read(writer, 1)), Errno::Badf);
    // Neither was asked for the right to move.
    assert_eq!(refused(guest.seek(reader, 1, 0)), Errno::Notcapable);
    assert_eq!(refused(guest.tell(reader)), Errno::Notcapable);
    assert_eq!(refused(guest.pread(reader, 1, 0)), Errno::Notcapable);
    assert_eq!(refused(guest.stat(reader)), Errno::Notcapable);
    assert_eq!(refused(guest.ctx.fd_sync(reader)), Errno::Notcapable);
    assert_eq!(
        refused(guest.ctx.fd_fdstat_set_flags(reader, 0)),
        Errno::Notcapable
    );
    assert_eq!(
        refused(guest.ctx.fd_filestat_set_size(writer, 0)),
        Errno::Notcapable
    );
    // The right to seek includes the right to tell.
    let seeker = guest.open("file", 0, rights::FD_SEEK).unwrap();
    assert_eq!(guest.seek(seeker, 2, 0), Ok(2));
    assert_eq!(guest.tell(seeker), Ok(2));
}

#[test]
fn rights_can_be_given_up_but_not_taken_back() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    let before = guest.fdstat(fd).unwrap();
    assert_eq!(
        guest
            .ctx
            .fd_fdstat_set_rights(fd, before.base, before.inheriting),
        Ok(())
    );
    let less = before.base & !rights::FD_WRITE;
    assert_eq!(guest.ctx.fd_fdstat_set_rights(fd, less, 0), Ok(()));
    assert_eq!(refused(guest.write(fd, b"x")), Errno::Badf);
    assert_eq!(guest.read(fd, 1), Ok(vec![]));
    let back = guest.ctx.fd_fdstat_set_rights(fd, before.base, 0);
    assert_eq!(refused(back), Errno::Notcapable);
    assert_eq!(guest.fdstat(fd).unwrap().base, less);
    assert_eq!(
        refused(guest.ctx.fd_fdstat_set_rights(fd, less, 1)),
        Errno::Notcapable
    );
    assert_eq!(
        refused(guest.ctx.fd_fdstat_set_rights(99, 0, 0)),
        Errno::Badf
    );
}

#[test]
fn append_mode_is_switched_on_and_off() {
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    let all = (rights::ALL, 0);
    let fd = guest
        .open_full(ROOT, 0, "file", 0, all, fdflags::APPEND)
        .unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().flags, fdflags::APPEND);
    assert_eq!(guest.write(fd, b"def"), Ok(3));
    assert_eq!(guest.seek(fd, 0, 0), Ok(0));
    assert_eq!(guest.write(fd, b"ghi"), Ok(3));
    assert_eq!(guest.pread(fd, 100, 0), Ok(b"abcdefghi".to_vec()));
    assert_eq!(guest.ctx.fd_fdstat_set_flags(fd, 0), Ok(()));
    assert_eq!(guest.seek(fd, 0, 0), Ok(0));
    assert_eq!(guest.write(fd, b"X"), Ok(1));
    assert_eq!(
        guest
            .ctx
            .fd_fdstat_set_flags(fd, fdflags::APPEND | fdflags::NONBLOCK),
        Ok(())
    );
    assert_eq!(
        guest.fdstat(fd).unwrap().flags,
        fdflags::APPEND | fdflags::NONBLOCK
    );
    assert_eq!(guest.write(fd, b"!"), Ok(1));
    assert_eq!(guest.pread(fd, 100, 0), Ok(b"Xbcdefghi!".to_vec()));
}

#[test]
fn appending_to_a_file_being_cut_is_possible() {
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    let flags = oflags::CREAT | oflags::TRUNC;
    let all = (rights::ALL, 0);
    let fd = guest
        .open_full(ROOT, 0, "file", flags, all, fdflags::APPEND)
        .unwrap();
    assert_eq!(guest.stat(fd).unwrap().size, 0);
    assert_eq!(guest.write(fd, b"x"), Ok(1));
    assert_eq!(guest.pread(fd, 9, 0), Ok(b"x".to_vec()));
}

#[test]
fn synchronized_writing_is_fixed_when_opening() {
    let mut guest = Guest::new();
    let all = (rights::ALL, 0);
    let sync = fdflags::SYNC | fdflags::DSYNC;
    let fd = guest
        .open_full(ROOT, 0, "file", oflags::CREAT, all, sync)
        .unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().flags, sync);
    assert_eq!(guest.write(fd, b"x"), Ok(1));
    assert_eq!(guest.ctx.fd_fdstat_set_flags(fd, fdflags::APPEND), Ok(()));
    assert_eq!(guest.fdstat(fd).unwrap().flags, sync | fdflags::APPEND);

    let fd = guest.open("file", 0, rights::ALL).unwrap();
    assert_eq!(
        refused(guest.ctx.fd_fdstat_set_flags(fd, fdflags::SYNC)),
        Errno::Notsup
    );
    assert_eq!(refused(guest.ctx.fd_fdstat_set_flags(fd, 32)), Errno::Inval);
    assert_eq!(
        refused(guest.ctx.fd_fdstat_set_flags(fd, u32::MAX)),
        Errno::Inval
    );
    assert_eq!(guest.fdstat(fd).unwrap().flags, 0);
}

#[test]
fn sizes_are_set_and_allocated() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    assert_eq!(guest.ctx.fd_filestat_set_size(fd, 100), Ok(()));
    assert_eq!(guest.stat(fd).unwrap().size, 100);
    assert_eq!(guest.ctx.fd_allocate(fd, 10, 10), Ok(()));
    assert_eq!(guest.stat(fd).unwrap().size, 100);
    assert_eq!(guest.ctx.fd_allocate(fd, 90, 20), Ok(()));
    assert_eq!(guest.stat(fd).unwrap().size, 110);
    assert_eq!(guest.ctx.fd_filestat_set_size(fd, 5), Ok(()));
    assert_eq!(guest.pread(fd, 100, 0), Ok(vec![0; 5]));
    assert_eq!(
        refused(guest.ctx.fd_filestat_set_size(fd, u64::MAX)),
        Errno::Inval
    );
    assert_eq!(refused(guest.ctx.fd_allocate(fd, 0, 0)), Errno::Inval);
    assert_eq!(
        refused(guest.ctx.fd_allocate(fd, u64::MAX, 1)),
        Errno::Inval
    );
    assert_eq!(guest.stat(fd).unwrap().size, 5);
}

#[test]
fn advice_is_passed_on() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    for advice in 0..6 {
        assert_eq!(guest.ctx.fd_advise(fd, 0, 10, advice), Ok(()));
    }
    assert_eq!(guest.ctx.fd_advise(fd, 5, 0, 0), Ok(()));
    assert_eq!(refused(guest.ctx.fd_advise(fd, 0, 0, 6)), Errno::Inval);
    assert_eq!(refused(guest.ctx.fd_advise(0, 0, 0, 0)), Errno::Notcapable);
    assert_eq!(refused(guest.ctx.fd_advise(77, 0, 0, 0)), Errno::Badf);
}

#[test]
fn data_is_synchronized() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    for fd in [fd, ROOT, 1] {
        assert_eq!(guest.ctx.fd_sync(fd), Ok(()));
        assert_eq!(guest.ctx.fd_datasync(fd), Ok(()));
    }
    assert_eq!(refused(guest.ctx.fd_sync(9)), Errno::Badf);
    assert_eq!(refused(guest.ctx.fd_datasync(9)), Errno::Badf);
}

#[test]
fn attributes_are_those_of_the_host() {
    use std::os::unix::fs::MetadataExt;
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    let host = std::fs::metadata(guest.host.path().join("file")).unwrap();
    let fd = guest.open("file", 0, rights::ALL).unwrap();
    let stat = guest.stat(fd).unwrap();
    assert_eq!(stat, guest.path_stat("file", 0).unwrap());
    assert_eq!((stat.dev, stat.ino), (host.dev(), host.ino()));
    assert_eq!((stat.nlink, stat.size), (1, 3));
    assert_eq!(stat.filetype, filetype::REGULAR_FILE);
    assert_eq!(
        stat.mtim,
        host.mtime() as u64 * 1_000_000_000 + host.mtime_nsec() as u64
    );
    assert_eq!(
        stat.ctim,
        host.ctime() as u64 * 1_000_000_000 + host.ctime_nsec() as u64
    );
    assert_eq!(guest.stat(ROOT).unwrap().filetype, filetype::DIRECTORY);
}

#[test]
fn times_are_set_kept_or_now() {
    let mut guest = Guest::new();
    guest.create("file", b"");
    let fd = guest.open("file", 0, rights::ALL).unwrap();
    for target in [fd, ROOT] {
        assert_eq!(
            guest
                .ctx
                .fd_filestat_set_times(target, 1_000_000_007, 5, 1 | 4),
            Ok(())
        );
        let stat = guest.stat(target).unwrap();
        assert_eq!((stat.atim, stat.mtim), (1_000_000_007, 5));
        assert_eq!(guest.ctx.fd_filestat_set_times(target, 9, 9, 1), Ok(()));
        let stat = guest.stat(target).unwrap();
        assert_eq!((stat.atim, stat.mtim), (9, 5));
        assert_eq!(guest.ctx.fd_filestat_set_times(target, 0, 0, 8), Ok(()));
        let stat = guest.stat(target).unwrap();
        assert_eq!(stat.atim, 9);
        assert!(stat.mtim > 1_600_000_000_000_000_000);
        for contradiction in [1 | 2, 4 | 8, 16, u32::MAX] {
            let outcome = guest.ctx.fd_filestat_set_times(target, 0, 0, contradiction);
            assert_eq!(refused(outcome), Errno::Inval);
        }
        assert_eq!(guest.stat(target).unwrap().mtim, stat.mtim);
    }
    assert_eq!(
        refused(guest.ctx.fd_filestat_set_times(0, 0, 0, 2)),
        Errno::Notsup
    );
}

#[test]
fn renumbering_replaces_an_open_descriptor() {
    let mut guest = Guest::new();
    guest.create("a", b"a");
    guest.create("b", b"b");
    let a = guest.open("a", 0, rights::ALL).unwrap();
    let b = guest.open("b", 0, rights::ALL).unwrap();
    assert_eq!(guest.ctx.fd_renumber(a, b), Ok(()));
    assert_eq!(refused(guest.ctx.fd_close(a)), Errno::Badf);
    assert_eq!(guest.read(b, 9), Ok(b"a".to_vec()));
    assert_eq!(refused(guest.ctx.fd_renumber(b, a)), Errno::Badf);
    assert_eq!(refused(guest.ctx.fd_renumber(b, u32::MAX)), Errno::Badf);
    assert_eq!(guest.ctx.fd_renumber(b, b), Ok(()));
    // The number is free for the next file.
    assert_eq!(guest.open("a", 0, rights::ALL), Ok(a));
}
