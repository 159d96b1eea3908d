//! Hard and symbolic links.

use crate::guest::{Guest, ROOT, filetype, oflags, refused, rights};
use nopal_wasi::Errno;

const FOLLOW: u32 = 1;

#[test]
fn hard_links_are_the_same_file() {
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    assert_eq!(guest.link("file", 0, "link"), Ok(()));
    let (file, link) = (
        guest.path_stat("file", 0).unwrap(),
        guest.path_stat("link", 0).unwrap(),
    );
    assert_eq!(file, link);
    assert_eq!(file.nlink, 2);
    assert_eq!(refused(guest.link("file", 0, "link")), Errno::Exist);
    assert_eq!(refused(guest.link("file", 0, "file")), Errno::Exist);
    assert_eq!(refused(guest.link("file", 0, "new/")), Errno::Noent);
    assert_eq!(refused(guest.link("none", 0, "new")), Errno::Noent);
    guest.mkdir("dir").unwrap();
    assert_eq!(refused(guest.link("dir", 0, "new")), Errno::Perm);
    assert_eq!(refused(guest.link("file", 0, "dir")), Errno::Exist);
}

#[test]
fn hard_links_do_not_follow() {
    let mut guest = Guest::new();
    guest.symlink("none", "symlink").unwrap();
    assert_eq!(refused(guest.link("symlink", FOLLOW, "link")), Errno::Inval);
    assert_eq!(refused(guest.link("symlink", 2, "link")), Errno::Inval);
    assert_eq!(guest.link("symlink", 0, "link"), Ok(()));
    assert_eq!(
        guest.path_stat("link", 0).unwrap().filetype,
        filetype::SYMBOLIC_LINK
    );
}

#[test]
fn symbolic_links_are_followed_when_asked_to() {
    let mut guest = Guest::new();
    guest.create("file", b"abc");
    guest.symlink("file", "link").unwrap();
    let link = guest.path_stat("link", 0).unwrap();
    assert_eq!((link.filetype, link.size), (filetype::SYMBOLIC_LINK, 4));
    assert_eq!(guest.path_stat("link", FOLLOW), guest.path_stat("file", 0));
    assert_eq!(refused(guest.path_stat("link", 2)), Errno::Inval);

    let fd = guest.open("link", 0, rights::RDONLY).unwrap();
    assert_eq!(guest.read(fd, 9), Ok(b"abc".to_vec()));
    let all = (rights::RDONLY, 0);
    assert_eq!(
        refused(guest.open_full(ROOT, 0, "link", 0, all, 0)),
        Errno::Loop
    );
    let create = guest.open_full(ROOT, 0, "link", oflags::CREAT, all, 0);
    assert_eq!(refused(create), Errno::Loop);
    let dir = guest.open_full(ROOT, 0, "link", oflags::DIRECTORY, all, 0);
    assert!([Errno::Loop, Errno::Notdir].contains(&refused(dir)));
    assert_eq!(
        refused(guest.open("link", oflags::DIRECTORY, rights::RDONLY)),
        Errno::Notdir
    );
}

#[test]
fn times_of_a_link_are_not_those_of_its_target() {
    let mut guest = Guest::new();
    guest.create("file", b"");
    guest.symlink("file", "link").unwrap();
    let (atim_and_mtim, flags) = ((1_000, 2_000), 1 | 4);
    let before = guest.path_stat("file", 0).unwrap();
    assert_eq!(guest.set_times("link", 0, atim_and_mtim, flags), Ok(()));
    let link = guest.path_stat("link", 0).unwrap();
    assert_eq!((link.atim, link.mtim), (1_000, 2_000));
    assert_eq!(guest.path_stat("file", 0).unwrap(), before);
    assert_eq!(
        guest.set_times("link", FOLLOW, (3_000, u64::MAX), 1),
        Ok(())
    );
    let file = guest.path_stat("file", 0).unwrap();
    assert_eq!((file.atim, file.mtim), (3_000, before.mtim));
    assert_eq!(guest.set_times("file", 0, (0, 0), 2 | 8), Ok(()));
    assert!(guest.path_stat("file", 0).unwrap().atim > 1_600_000_000_000_000_000);
    for contradiction in [1 | 2, 4 | 8, 16] {
        let outcome = guest.set_times("file", 0, (0, 0), contradiction);
        assert_eq!(refused(outcome), Errno::Inval);
    }
    assert_eq!(refused(guest.set_times("none", 0, (0, 0), 2)), Errno::Noent);
}

#[test]
fn contents_are_cut_to_the_buffer() {
    let mut guest = Guest::new();
    guest.symlink("target", "link").unwrap();
    assert_eq!(guest.readlink("link", 100), Ok(b"target".to_vec()));
    assert_eq!(guest.readlink("link", 6), Ok(b"target".to_vec()));
    assert_eq!(guest.readlink("link", 4), Ok(b"targ".to_vec()));
    assert_eq!(guest.readlink("link", 0), Ok(vec![]));
    guest.create("file", b"");
    assert_eq!(refused(guest.readlink("file", 9)), Errno::Inval);
    assert_eq!(refused(guest.readlink("none", 9)), Errno::Noent);
}

#[test]
fn links_that_lead_nowhere_or_in_circles_are_told() {
    let mut guest = Guest::new();
    guest.symlink("none", "dangling").unwrap();
    guest.symlink("loop", "loop").unwrap();
    assert_eq!(
        refused(guest.open("dangling", 0, rights::RDONLY)),
        Errno::Noent
    );
    assert_eq!(refused(guest.open("loop", 0, rights::RDONLY)), Errno::Loop);
    assert_eq!(refused(guest.path_stat("loop", FOLLOW)), Errno::Loop);
    assert_eq!(refused(guest.symlink("x", "dangling")), Errno::Exist);
    assert_eq!(refused(guest.symlink("x", "new/")), Errno::Noent);
    guest.mkdir("dir").unwrap();
    assert_eq!(refused(guest.symlink("x", "dir")), Errno::Exist);
    assert_eq!(refused(guest.symlink("x", "dir/")), Errno::Exist);
    // Removing a link leaves its target alone.
    guest.symlink("dir", "to_dir").unwrap();
    assert_eq!(guest.unlink("to_dir"), Ok(()));
    assert!(guest.path_stat("dir", 0).is_ok());
}
