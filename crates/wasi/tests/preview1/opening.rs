//! `path_open`: flags, rights, kinds of files.

use crate::guest::{Guest, ROOT, fdflags, filetype, oflags, refused, rights};
use nopal_wasi::{Errno, WasiCtxBuilder};
use std::os::unix::fs::PermissionsExt;

#[test]
fn files_are_created_cut_and_kept() {
    let mut guest = Guest::new();
    assert_eq!(refused(guest.open("file", 0, rights::ALL)), Errno::Noent);
    let exclusive = oflags::CREAT | oflags::EXCL;
    let fd = guest.open("file", exclusive, rights::ALL).unwrap();
    assert_eq!(guest.write(fd, b"abc"), Ok(3));
    assert_eq!(
        refused(guest.open("file", exclusive, rights::ALL)),
        Errno::Exist
    );
    let fd = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    assert_eq!(guest.stat(fd).unwrap().size, 3);
    let fd = guest.open("file", oflags::TRUNC, rights::ALL).unwrap();
    assert_eq!(guest.stat(fd).unwrap().size, 0);
    assert_eq!(
        refused(guest.open("none", oflags::TRUNC, rights::ALL)),
        Errno::Noent
    );
}

#[test]
fn creating_and_cutting_need_no_right_to_write() {
    let mut guest = Guest::new();
    let fd = guest.open("file", oflags::CREAT, 0).unwrap();
    assert_eq!(refused(guest.write(fd, b"x")), Errno::Badf);
    guest.create("file", b"abc");
    let fd = guest
        .open("file", oflags::CREAT | oflags::TRUNC, rights::RDONLY)
        .unwrap();
    assert_eq!(guest.stat(fd).unwrap().size, 0);
    assert_eq!(refused(guest.write(fd, b"x")), Errno::Badf);
}

#[test]
fn directories_are_told_from_files() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    guest.create("file", b"");
    for path in ["dir", "dir/", "dir/.", ".", "dir///"] {
        let fd = guest.open(path, 0, rights::RDONLY).unwrap();
        assert_eq!(guest.fdstat(fd).unwrap().filetype, filetype::DIRECTORY);
        let fd = guest.open(path, oflags::DIRECTORY, rights::ALL).unwrap();
        assert_eq!(guest.fdstat(fd).unwrap().filetype, filetype::DIRECTORY);
    }
    assert_eq!(
        refused(guest.open("file", oflags::DIRECTORY, rights::RDONLY)),
        Errno::Notdir
    );
    for path in ["file/", "file/.", "file/x"] {
        assert_eq!(refused(guest.open(path, 0, rights::RDONLY)), Errno::Notdir);
    }
    assert_eq!(refused(guest.open("dir", 0, rights::ALL)), Errno::Isdir);
    assert_eq!(
        refused(guest.open("dir", oflags::CREAT, rights::RDONLY)),
        Errno::Isdir
    );
    for contradiction in [oflags::CREAT, oflags::TRUNC] {
        let outcome = guest.open("dir", oflags::DIRECTORY | contradiction, rights::RDONLY);
        assert_eq!(refused(outcome), Errno::Inval);
    }
}

#[test]
fn unknown_flags_are_refused() {
    let mut guest = Guest::new();
    let all = (rights::ALL, rights::ALL);
    for (lookup, oflags, fdflags) in [(2, 0, 0), (0, 16, 0), (0, 0, 32), (0, u32::MAX, 0)] {
        let outcome = guest.open_full(ROOT, lookup, ".", oflags, all, fdflags);
        assert_eq!(refused(outcome), Errno::Inval);
    }
}

#[test]
fn only_directories_can_be_opened_through() {
    let mut guest = Guest::new();
    guest.create("file", b"");
    let fd = guest.open("file", 0, rights::ALL).unwrap();
    assert_eq!(
        refused(guest.open_at(fd, "x", 0, rights::RDONLY)),
        Errno::Notdir
    );
    assert_eq!(
        refused(guest.open_at(0, "x", 0, rights::RDONLY)),
        Errno::Notdir
    );
    assert_eq!(
        refused(guest.open_at(99, "x", 0, rights::RDONLY)),
        Errno::Badf
    );
}

#[test]
fn rights_are_cut_to_the_kind_of_file_and_inherited() {
    let mut guest = Guest::new();
    guest.mkdir("dir").unwrap();
    guest.create("dir/file", b"");
    let root = guest.fdstat(ROOT).unwrap();
    assert_eq!(
        root.base & (rights::FD_READ | rights::FD_SEEK | rights::FD_WRITE),
        0
    );
    assert_eq!(root.inheriting & rights::FD_WRITE, rights::FD_WRITE);

    let base = rights::PATH_OPEN | rights::FD_SEEK | rights::FD_READDIR;
    let inheriting = rights::FD_READ | rights::FD_TELL;
    let dir = guest
        .open_full(ROOT, 0, "dir", oflags::DIRECTORY, (base, inheriting), 0)
        .unwrap();
    let stat = guest.fdstat(dir).unwrap();
    assert_eq!(stat.base, rights::PATH_OPEN | rights::FD_READDIR);
    assert_eq!(stat.inheriting, inheriting);

    let wanted = rights::FD_READ | rights::FD_SEEK | rights::FD_TELL | rights::FD_READDIR;
    let file = guest.open_at(dir, "file", 0, wanted).unwrap();
    assert_eq!(
        guest.fdstat(file).unwrap().base,
        rights::FD_READ | rights::FD_TELL
    );
    let write = guest.open_at(dir, "file", 0, rights::FD_WRITE);
    assert_eq!(refused(write), Errno::Notcapable);
    let create = guest.open_at(dir, "new", oflags::CREAT, rights::FD_READ);
    assert_eq!(refused(create), Errno::Notcapable);
    let cut = guest.open_at(dir, "file", oflags::TRUNC, rights::FD_READ);
    assert_eq!(refused(cut), Errno::Notcapable);
}

#[test]
fn the_right_to_cut_is_that_of_the_directory() {
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    let all = guest.fdstat(ROOT).unwrap();
    let dir = guest.open(".", oflags::DIRECTORY, all.base).unwrap();
    let inheriting = all.inheriting & !rights::FD_FILESTAT_SET_SIZE;
    assert_eq!(
        guest.ctx.fd_fdstat_set_rights(dir, all.base, inheriting),
        Ok(())
    );
    assert!(guest.open_at(dir, "file", oflags::TRUNC, 0).is_ok());
    let base = all.base & !rights::PATH_FILESTAT_SET_SIZE;
    assert_eq!(
        guest.ctx.fd_fdstat_set_rights(dir, base, inheriting),
        Ok(())
    );
    let outcome = guest.open_at(dir, "file", oflags::TRUNC, 0);
    assert_eq!(refused(outcome), Errno::Notcapable);
    let base = base & !rights::PATH_CREATE_FILE;
    assert_eq!(
        guest.ctx.fd_fdstat_set_rights(dir, base, inheriting),
        Ok(())
    );
    let outcome = guest.open_at(dir, "new", oflags::CREAT, 0);
    assert_eq!(refused(outcome), Errno::Notcapable);
}

#[test]
fn nonblocking_is_accepted_for_directories() {
    let mut guest = Guest::new();
    let flags = fdflags::NONBLOCK;
    let fd = guest.open_full(ROOT, 0, ".", 0, (0, 0), flags).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().flags, flags);
}

#[test]
fn a_read_only_directory_cannot_be_changed() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), b"abc").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir_read_only(host.path(), "ro").unwrap();
    let mut guest = Guest::with(builder);
    let read = guest.open("file", 0, rights::RDONLY).unwrap();
    assert_eq!(guest.read(read, 9), Ok(b"abc".to_vec()));
    for (path, oflags, base) in [
        ("file", 0, rights::FD_WRITE),
        ("file", oflags::TRUNC, 0),
        ("new", oflags::CREAT, 0),
        ("new", oflags::CREAT, rights::FD_WRITE),
    ] {
        assert_eq!(refused(guest.open(path, oflags, base)), Errno::Notcapable);
    }
    assert_eq!(refused(guest.mkdir("dir")), Errno::Notcapable);
    assert_eq!(refused(guest.rmdir("dir")), Errno::Notcapable);
    assert_eq!(refused(guest.unlink("file")), Errno::Notcapable);
    assert_eq!(refused(guest.rename("file", "other")), Errno::Notcapable);
    assert_eq!(refused(guest.link("file", 0, "other")), Errno::Notcapable);
    assert_eq!(refused(guest.symlink("file", "other")), Errno::Notcapable);
    assert_eq!(
        refused(guest.set_times("file", 0, (0, 0), 2)),
        Errno::Notcapable
    );
    let times = guest.ctx.fd_filestat_set_times(read, 0, 0, 2);
    assert_eq!(refused(times), Errno::Notcapable);
    // Nor below, through a directory opened in it.
    let dir = guest
        .open(".", oflags::DIRECTORY, rights::ALL & !rights::FD_WRITE)
        .unwrap();
    let outcome = guest.open_at(dir, "new", oflags::CREAT, 0);
    assert_eq!(refused(outcome), Errno::Notcapable);
    assert_eq!(std::fs::read_dir(host.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_cannot_be_written_opens_with_create() {
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    let host = guest.host.path().join("file");
    std::fs::set_permissions(&host, std::fs::Permissions::from_mode(0o444)).unwrap();
    let fd = guest.open("file", oflags::CREAT, rights::RDONLY).unwrap();
    assert_eq!(guest.read(fd, 9), Ok(b"abc".to_vec()));
}

#[test]
fn preopened_directories_are_found_from_three_on() {
    let host = tempfile::tempdir().unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(host.path(), "some/dir").unwrap();
    let mut guest = Guest::with(builder);
    let mut names = Vec::new();
    for fd in 3.. {
        let mut bytes = [0xff; 32];
        let mut mem = nopal_wasi::GuestMemory::new(&mut bytes);
        match guest.ctx.fd_prestat_get(&mut mem, fd, 1) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!((fd, error), (5, Errno::Badf));
                break;
            }
        }
        assert_eq!(mem.read_u32(1), Ok(0));
        let len = mem.read_u32(5).unwrap();
        let short = guest.ctx.fd_prestat_dir_name(&mut mem, fd, 12, len - 1);
        assert_eq!(refused(short), Errno::Nametoolong);
        guest
            .ctx
            .fd_prestat_dir_name(&mut mem, fd, 12, len + 1)
            .unwrap();
        assert_eq!(mem.read_u8(12 + len), Ok(0xff));
        names.push(mem.slice(12, len).unwrap().to_vec());
    }
    assert_eq!(names, [b"some/dir".to_vec(), b"/".to_vec()]);
    let mut bytes = [0; 16];
    let mut mem = nopal_wasi::GuestMemory::new(&mut bytes);
    for fd in [0, 2, u32::MAX] {
        assert_eq!(
            refused(guest.ctx.fd_prestat_get(&mut mem, fd, 0)),
            Errno::Badf
        );
        assert_eq!(
            refused(guest.ctx.fd_prestat_dir_name(&mut mem, fd, 0, 9)),
            Errno::Badf
        );
    }
    assert_eq!(guest.ctx.fd_close(3), Ok(()));
    assert_eq!(
        refused(guest.ctx.fd_prestat_get(&mut mem, 3, 0)),
        Errno::Badf
    );
}
