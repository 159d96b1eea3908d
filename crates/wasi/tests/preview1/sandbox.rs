//! No way leads out of a preopened directory.

use crate::guest::{Guest, ROOT, oflags, refused, rights};
use nopal_wasi::Errno;
use std::os::unix::fs::symlink;

/// A guest whose root is `inside` of a host directory with a secret next to it.
fn enclosed() -> (Guest, tempfile::TempDir) {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    std::fs::create_dir(outside.path().join("inside")).unwrap();
    std::fs::create_dir(outside.path().join("empty")).unwrap();
    let inside = outside.path().join("inside");
    std::fs::create_dir(inside.join("dir")).unwrap();
    std::fs::write(inside.join("file"), b"").unwrap();
    symlink("../secret", inside.join("up")).unwrap();
    symlink("..", inside.join("updir")).unwrap();
    symlink(outside.path().join("secret"), inside.join("absolute")).unwrap();
    symlink(outside.path(), inside.join("absdir")).unwrap();
    symlink("/", inside.join("hostroot")).unwrap();
    symlink("dir/../../secret", inside.join("winding")).unwrap();
    symlink("../inside/file", inside.join("out_and_in")).unwrap();
    let mut builder = nopal_wasi::WasiCtxBuilder::new();
    builder.preopened_dir(&inside, "/").unwrap();
    (Guest::with(builder), outside)
}

/// Paths to the secret, or to what holds it.
fn escapes(outside: &tempfile::TempDir) -> Vec<String> {
    let host = outside.path().display();
    let mut paths: Vec<String> = [
        "../secret",
        "dir/../../secret",
        "dir/./..//.././secret",
        "/secret",
        "/etc/passwd",
        "//etc/passwd",
        "up",
        "updir/secret",
        "absolute",
        "absdir/secret",
        "hostroot/etc/passwd",
        "winding",
        "out_and_in",
        "dir/../updir/secret",
    ]
    .map(String::from)
    .into();
    paths.push(format!("{host}/secret"));
    paths.push(format!("{}/secret", "../".repeat(40)));
    paths
}

#[test]
fn files_outside_cannot_be_opened_or_looked_at() {
    let (mut guest, outside) = enclosed();
    for path in escapes(&outside) {
        for (oflags, base) in [
            (0, rights::RDONLY),
            (0, rights::ALL),
            (0, 0),
            (oflags::TRUNC, rights::ALL),
            (oflags::CREAT, rights::ALL),
        ] {
            let error = refused(guest.open(&path, oflags, base));
            assert_eq!(error, Errno::Perm, "opening {path}");
        }
        assert_eq!(
            refused(guest.path_stat(&path, 1)),
            Errno::Perm,
            "looking at {path}"
        );
        let times = guest.set_times(&path, 1, (0, 0), 1 | 4);
        assert_eq!(refused(times), Errno::Perm, "setting times of {path}");
    }
    for path in ["..", "updir", "absdir", "hostroot", "dir/../..", "/"] {
        let outcome = guest.open(path, oflags::DIRECTORY, rights::RDONLY);
        assert_eq!(refused(outcome), Errno::Perm, "opening {path}");
    }
    assert_eq!(
        std::fs::read(outside.path().join("secret")).unwrap(),
        b"secret"
    );
    // The directory itself can be reached in odd ways all the same.
    assert!(
        guest
            .open("dir/../././/dir/..//file", 0, rights::RDONLY)
            .is_ok()
    );
}

#[test]
fn nothing_is_made_or_removed_outside() {
    let (mut guest, outside) = enclosed();
    let host = outside.path().display().to_string();
    for out in ["..", "updir", "absdir", host.as_str(), "dir/../.."] {
        let new = format!("{out}/new");
        let secret = format!("{out}/secret");
        let empty = format!("{out}/empty");
        let create = guest.open(&new, oflags::CREAT, rights::ALL);
        assert_eq!(refused(create), Errno::Perm);
        assert_eq!(refused(guest.mkdir(&new)), Errno::Perm);
        assert_eq!(refused(guest.rmdir(&empty)), Errno::Perm);
        assert_eq!(refused(guest.unlink(&secret)), Errno::Perm);
        assert_eq!(refused(guest.rename(&secret, "stolen")), Errno::Perm);
        assert_eq!(refused(guest.rename("file", &new)), Errno::Perm);
        assert_eq!(refused(guest.rename("file", &secret)), Errno::Perm);
        assert_eq!(refused(guest.link(&secret, 0, "stolen")), Errno::Perm);
        assert_eq!(refused(guest.link("file", 0, &new)), Errno::Perm);
        assert_eq!(refused(guest.symlink("file", &new)), Errno::Perm);
        assert_eq!(refused(guest.path_stat(&secret, 0)), Errno::Perm);
        assert_eq!(
            refused(guest.readlink(&format!("{out}/inside/up"), 99)),
            Errno::Perm
        );
    }
    let mut left: Vec<_> = std::fs::read_dir(outside.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["empty", "inside", "secret"]);
    assert!(guest.path_stat("file", 0).is_ok());
}

#[test]
fn absolute_links_are_neither_made_nor_read() {
    let (mut guest, _outside) = enclosed();
    assert_eq!(refused(guest.symlink("/etc/passwd", "new")), Errno::Perm);
    assert_eq!(refused(guest.readlink("absolute", 99)), Errno::Perm);
    // A link that leads out can be made, but not followed.
    assert_eq!(guest.symlink("../../secret", "dir/new"), Ok(()));
    assert_eq!(
        refused(guest.open("dir/new", 0, rights::RDONLY)),
        Errno::Perm
    );
    assert_eq!(guest.readlink("dir/new", 99), Ok(b"../../secret".to_vec()));
}

#[test]
fn a_directory_opened_below_is_a_root_of_its_own() {
    let (mut guest, _outside) = enclosed();
    let dir = guest
        .open("dir", oflags::DIRECTORY, rights::RDONLY)
        .unwrap();
    for path in ["../file", "..", "/file", "../dir"] {
        assert_eq!(
            refused(guest.open_at(dir, path, 0, rights::RDONLY)),
            Errno::Perm
        );
    }
    // Moving it does not widen it.
    guest.mkdir("deep").unwrap();
    guest.mkdir("deep/er").unwrap();
    guest.rename("dir", "deep/er/dir").unwrap();
    assert_eq!(
        refused(guest.open_at(dir, "../..", 0, rights::RDONLY)),
        Errno::Perm
    );
}

#[test]
fn the_parent_of_the_root_is_not_told() {
    use std::os::unix::fs::MetadataExt;
    let (mut guest, outside) = enclosed();
    let parent = std::fs::metadata(outside.path()).unwrap().ino();
    let (entries, _) = guest.readdir(ROOT, 4096, 0).unwrap();
    assert!(entries.iter().any(|entry| entry.name == ".."));
    assert!(entries.iter().all(|entry| entry.ino != parent));
}
