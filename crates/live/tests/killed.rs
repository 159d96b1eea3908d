//! A process that is killed in the middle of a commit leaves nothing behind that matters: its code
//! is in memory that goes with it, and the next process starts from nothing.

#[path = "suite/common.rs"]
mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use common::{PROTOCOLS, call, loop_over, space, this_program};
use nopal_live::SpaceConfig;

fn configure(_: &mut SpaceConfig) {}

const CHILD: &str = "NOPAL_KILLED_TEST_CHILD";

/// Checks that patching works here, and goes on patching until killed.
fn child() -> ! {
    let spaces = PROTOCOLS.map(space);
    let codes = spaces.each_ref().map(|space| loop_over(50).publish(space));
    let hooks = spaces.each_ref().map(|space| space.count_hook().unwrap());
    for ((space, code), hook) in spaces.iter().zip(&codes).zip(&hooks) {
        space
            .patch()
            .enable_all(code.sites(), hook)
            .commit()
            .unwrap();
        call(code, 3);
        assert!(hook.counts().iter().all(|&(_, count)| count == 3));
        space.patch().disable_all(code.sites()).commit().unwrap();
    }
    println!("ready");
    std::thread::scope(|scope| {
        for code in &codes {
            scope.spawn(|| {
                loop {
                    call(code, 100);
                }
            });
        }
        loop {
            for ((space, code), hook) in spaces.iter().zip(&codes).zip(&hooks) {
                space
                    .patch()
                    .enable_all(code.sites(), hook)
                    .commit()
                    .unwrap();
                space.patch().disable_all(code.sites()).commit().unwrap();
            }
        }
    })
}

/// Names that the system keeps when a process is gone, and where memory could have one.
fn names() -> Vec<String> {
    let folders = ["/dev/shm", "/dev/hugepages", "/dev/mqueue"];
    let entries = folders
        .iter()
        .filter_map(|path| std::fs::read_dir(path).ok());
    let names = entries
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.contains("nopal")).collect();
    names.sort();
    names
}

#[test]
fn killed_at_random() {
    if std::env::var_os(CHILD).is_some() {
        child();
    }
    let before = names();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..15 {
        let mut command = this_program("killed_at_random");
        let child = command.env(CHILD, "1").stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = output.lines().map_while(Result::ok);
        assert!(
            lines.any(|line| line.ends_with("ready")),
            "the child does not get ready"
        );
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(Duration::from_micros(random >> 54));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
    assert_eq!(names(), before);
}
