//! Making, removing, renaming and reading directories.

use crate::guest::{Entry, Guest, ROOT, filetype, oflags, refused, rights};
use nopal_wasi::{Errno, Result};
use std::collections::BTreeSet;

/// Reads a directory to its end with buffers of `len` bytes, as wasi-libc does: going on after the
/// last whole entry, and growing the buffer when it does not hold one.
fn read_all(guest: &mut Guest, fd: u32, len: u32) -> Vec<Entry> {
    let (mut len, mut cookie, mut all) = (len, 0, Vec::new());
    loop {
        let (entries, used) = guest.readdir(fd, len, cookie).unwrap();
        assert!(used <= len);
        match entries.last() {
            Some(last) => cookie = last.next,
            None if used == len => len *= 2,
            None => return all,
        }
        all.extend(entries);
    }
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn an_empty_directory_has_two_entries() {
    let mut guest = Guest::new();
    let own = guest.stat(ROOT).unwrap().ino;
    let (entries, used) = guest.readdir(ROOT, 4096, 0).unwrap();
    assert_eq!(names(&entries), [".", ".."]);
    assert_eq!(used, 24 + 1 + 24 + 2);
    for entry in &entries {
        assert_eq!((entry.ino, entry.filetype), (own, filetype::DIRECTORY));
    }
    assert_eq!(guest.readdir(ROOT, 4096, 2).unwrap(), (vec![], 0));
    assert_eq!(guest.readdir(ROOT, 4096, u64::MAX).unwrap(), (vec![], 0));
}

#[test]
fn entries_carry_kind_and_number() {
    let mut guest = Guest::new();
    guest.create("file", b"");
    guest.mkdir("dir").unwrap();
    guest.symlink("file", "link").unwrap();
    let fd = guest.open(".", oflags::DIRECTORY, rights::RDONLY).unwrap();
    let mut entries = read_all(&mut guest, fd, 4096).split_off(2);
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(names(&entries), ["dir", "file", "link"]);
    let kinds = [
        filetype::DIRECTORY,
        filetype::REGULAR_FILE,
        filetype::SYMBOLIC_LINK,
    ];
    for (entry, kind) in entries.iter().zip(kinds) {
        assert_eq!(entry.filetype, kind);
        assert_eq!(entry.ino, guest.path_stat(&entry.name, 0).unwrap().ino);
    }
}

#[test]
fn reading_in_pieces_of_any_size_meets_each_entry_once() {
    let mut guest = Guest::new();
    let expected: BTreeSet<String> = (0..200)
        .map(|i| format!("file.{}", "x".repeat(i)))
        .collect();
    for name in &expected {
        guest.create(name, b"");
    }
    for len in [1, 23, 24, 25, 60, 100, 256, 1000, 100_000] {
        let entries = read_all(&mut guest, ROOT, len);
        assert_eq!(names(&entries[..2]), [".", ".."]);
        let found: BTreeSet<String> = entries[2..].iter().map(|e| e.name.clone()).collect();
        assert_eq!(entries.len(), 202, "with a buffer of {len}");
        assert_eq!(found, expected);
        let cookies: BTreeSet<u64> = entries.iter().map(|entry| entry.next).collect();
        assert_eq!(cookies.len(), entries.len());
    }
}

#[test]
fn any_entry_can_be_returned_to() {
    let mut guest = Guest::new();
    for i in 0..10 {
        guest.create(&i.to_string(), b"");
    }
    let (entries, _) = guest.readdir(ROOT, 4096, 0).unwrap();
    for (index, entry) in entries.iter().enumerate() {
        let (rest, _) = guest.readdir(ROOT, 4096, entry.next).unwrap();
        assert_eq!(rest, entries[index + 1..]);
    }
}

#[test]
fn removing_while_reading_skips_nothing() {
    let mut guest = Guest::new();
    for i in 0..50 {
        guest.create(&format!("file{i}"), b"");
    }
    let (mut cookie, mut removed) = (0, 0);
    loop {
        let (entries, used) = guest.readdir(ROOT, 100, cookie).unwrap();
        for entry in &entries {
            cookie = entry.next;
            if !entry.name.starts_with('.') {
                guest.unlink(&entry.name).unwrap();
                removed += 1;
            }
        }
        if used < 100 {
            break;
        }
    }
    assert_eq!(removed, 50);
    assert_eq!(read_all(&mut guest, ROOT, 4096).len(), 2);
}

#[test]
fn starting_over_sees_what_has_changed() {
    let mut guest = Guest::new();
    assert_eq!(read_all(&mut guest, ROOT, 4096).len(), 2);
    guest.create("file", b"");
    assert_eq!(read_all(&mut guest, ROOT, 4096).len(), 3);
    guest.unlink("file").unwrap();
    assert_eq!(read_all(&mut guest, ROOT, 4096).len(), 2);
}

#[test]
fn only_directories_are_read() {
    let mut guest = Guest::new();
    let file = guest.open("file", oflags::CREAT, rights::ALL).unwrap();
    assert_eq!(refused(guest.readdir(file, 100, 0)), Errno::Notdir);
    assert_eq!(refused(guest.readdir(0, 100, 0)), Errno::Notdir);
    assert_eq!(refused(guest.readdir(99, 100, 0)), Errno::Badf);
    let dir = guest
        .open(".", oflags::DIRECTORY, rights::PATH_OPEN)
        .unwrap();
    assert_eq!(refused(guest.readdir(dir, 100, 0)), Errno::Notcapable);
}

#[test]
fn data_is_not_transferred_to_or_from_directories() {
    let mut guest = Guest::new();
    assert_eq!(refused(guest.read(ROOT, 1)), Errno::Isdir);
    assert_eq!(refused(guest.write(ROOT, b"x")), Errno::Isdir);
    assert_eq!(refused(guest.pread(ROOT, 1, 0)), Errno::Isdir);
    assert_eq!(refused(guest.pwrite(ROOT, b"x", 0)), Errno::Isdir);
    assert_eq!(refused(guest.seek(ROOT, 0, 0)), Errno::Notcapable);
    assert_eq!(refused(guest.seek(ROOT, 0, 1)), Errno::Notcapable);
    assert_eq!(refused(guest.tell(ROOT)), Errno::Notcapable);
    assert_eq!(
        refused(guest.ctx.fd_allocate(ROOT, 0, 1)),
        Errno::Notcapable
    );
    assert_eq!(
        refused(guest.ctx.fd_filestat_set_size(ROOT, 0)),
        Errno::Notcapable
    );
}

#[test]
fn directories_are_made_and_removed() {
    let mut guest = Guest::new();
    assert_eq!(guest.mkdir("a"), Ok(()));
    assert_eq!(guest.mkdir("a/b/"), Ok(()));
    assert_eq!(refused(guest.mkdir("a")), Errno::Exist);
    assert_eq!(refused(guest.mkdir("none/b")), Errno::Noent);
    assert_eq!(refused(guest.rmdir("a")), Errno::Notempty);
    assert_eq!(refused(guest.rmdir("none")), Errno::Noent);
    assert_eq!(guest.rmdir("a/b"), Ok(()));
    assert_eq!(refused(guest.unlink("a")), Errno::Isdir);
    assert_eq!(refused(guest.unlink("a/")), Errno::Isdir);
    assert_eq!(guest.rmdir("a/"), Ok(()));
    guest.create("file", b"");
    assert_eq!(refused(guest.rmdir("file")), Errno::Notdir);
    assert_eq!(refused(guest.rmdir("file/")), Errno::Notdir);
    assert_eq!(refused(guest.unlink("file/")), Errno::Notdir);
    assert_eq!(guest.unlink("file"), Ok(()));
    assert_eq!(refused(guest.unlink("file")), Errno::Noent);
}

#[test]
fn renaming_replaces_like_by_like() {
    let mut guest = Guest::new();
    let exists = |guest: &mut Guest, path: &str| guest.path_stat(path, 0).is_ok();
    guest.create("a", b"a");
    guest.create("b", b"b");
    assert_eq!(guest.rename("a", "b"), Ok(()));
    assert!(!exists(&mut guest, "a"));
    let fd = guest.open("b", 0, rights::RDONLY).unwrap();
    assert_eq!(guest.read(fd, 9), Ok(b"a".to_vec()));
    guest.mkdir("dir").unwrap();
    assert_eq!(refused(guest.rename("b", "dir")), Errno::Isdir);
    assert_eq!(refused(guest.rename("dir", "b")), Errno::Notdir);
    assert_eq!(guest.rename("b", "dir/b"), Ok(()));
    guest.mkdir("other").unwrap();
    assert_eq!(refused(guest.rename("other", "dir")), Errno::Notempty);
    assert_eq!(guest.rename("dir", "other"), Ok(()));
    assert_eq!(refused(guest.rename("other", "other/new")), Errno::Inval);
    assert_eq!(guest.rename("other/", "new/"), Ok(()));
    assert!(exists(&mut guest, "new/b"));
    assert_eq!(refused(guest.rename("none", "x")), Errno::Noent);
    assert_eq!(refused(guest.rename("new/b/", "x")), Errno::Notdir);
}

#[test]
fn a_removed_directory_stays_open() -> Result<()> {
    let mut guest = Guest::new();
    guest.mkdir("dir")?;
    let fd = guest.open("dir", oflags::DIRECTORY, rights::RDONLY)?;
    guest.rmdir("dir")?;
    let (entries, _) = guest.readdir(fd, 4096, 0)?;
    assert_eq!(names(&entries), [".", ".."]);
    assert_eq!(
        refused(guest.open_at(fd, "x", oflags::CREAT, 0)),
        Errno::Noent
    );
    Ok(())
}
