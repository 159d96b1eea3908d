//! Standard streams provided by the embedder.

use crate::guest::{Guest, fdflags, filetype, refused};
use nopal_wasi::{Capture, Errno, WasiCtxBuilder};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

#[test]
fn input_comes_from_the_reader() {
    let mut builder = WasiCtxBuilder::new();
    builder.stdin(Box::new(&b"one two"[..]));
    let mut guest = Guest::with(builder);
    // Two buffers of two bytes: a stream is asked once, so that nothing waits for more.
    assert_eq!(guest.read(0, 4), Ok(b"on".to_vec()));
    assert_eq!(guest.read(0, 40), Ok(b"e two".to_vec()));
    assert_eq!(guest.read(0, 4), Ok(vec![]));
    assert_eq!(refused(guest.write(0, b"x")), Errno::Badf);
}

#[test]
fn output_goes_to_the_writers() {
    let (out, err) = (Capture::new(), Capture::new());
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(Box::new(out.clone()))
        .stderr(Box::new(err.clone()));
    let mut guest = Guest::with(builder);
    assert_eq!(guest.write(1, b"to out"), Ok(6));
    assert_eq!(guest.write(2, b"to err"), Ok(6));
    assert_eq!(guest.write(1, b""), Ok(0));
    assert_eq!(
        (out.contents(), err.contents()),
        (b"to out".to_vec(), b"to err".to_vec())
    );
    assert_eq!(refused(guest.read(1, 1)), Errno::Badf);
}

#[test]
fn without_streams_input_is_empty_and_output_vanishes() {
    let mut guest = Guest::new();
    assert_eq!(guest.read(0, 10), Ok(vec![]));
    assert_eq!(guest.write(1, b"x"), Ok(1));
    assert_eq!(guest.write(2, b"x"), Ok(1));
}

#[test]
fn streams_have_no_position_and_no_size() {
    let mut guest = Guest::new();
    for fd in 0..3 {
        let stat = guest.fdstat(fd).unwrap();
        assert_eq!((stat.filetype, stat.flags), (filetype::UNKNOWN, 0));
        assert_eq!(guest.stat(fd).unwrap().size, 0);
        for whence in 0..3 {
            assert_eq!(refused(guest.seek(fd, 0, whence)), Errno::Spipe);
        }
        assert_eq!(refused(guest.tell(fd)), Errno::Spipe);
        assert_eq!(
            refused(guest.ctx.fd_filestat_set_size(fd, 0)),
            Errno::Notcapable
        );
        assert_eq!(refused(guest.ctx.fd_allocate(fd, 0, 1)), Errno::Notcapable);
        assert_eq!(guest.ctx.fd_fdstat_set_flags(fd, 0), Ok(()));
        let nonblocking = guest.ctx.fd_fdstat_set_flags(fd, fdflags::NONBLOCK);
        assert_eq!(refused(nonblocking), Errno::Notsup);
    }
    assert_eq!(refused(guest.pread(0, 1, 0)), Errno::Spipe);
    assert_eq!(refused(guest.pwrite(1, b"x", 0)), Errno::Spipe);
}

/// What happened to a [`Probe`], in order.
type Log = Arc<Mutex<Vec<String>>>;

/// A writer that takes few bytes at a time and fails in the end.
struct Probe {
    log: Log,
    room: usize,
}

impl Write for Probe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        let taken = bytes.len().min(3).min(self.room);
        self.room -= taken;
        let text = String::from_utf8_lossy(&bytes[..taken]).into_owned();
        self.log.lock().unwrap().push(text);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.lock().unwrap().push("flush".into());
        Ok(())
    }
}

#[test]
fn every_write_is_completed_and_flushed() {
    let log = Log::default();
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(Box::new(Probe {
        log: log.clone(),
        room: 8,
    }));
    let mut guest = Guest::with(builder);
    assert_eq!(guest.write(1, b"abcdef"), Ok(6));
    assert_eq!(*log.lock().unwrap(), ["abc", "def", "flush"]);
    // What did get out counts; the error comes with the next write.
    assert_eq!(guest.write(1, b"ghijkl"), Ok(2));
    assert_eq!(refused(guest.write(1, b"m")), Errno::Pipe);
    log.lock().unwrap().clear();
    guest.ctx.proc_exit(0);
    assert_eq!(*log.lock().unwrap(), ["flush"]);
    assert_eq!(guest.ctx.fd_close(1), Ok(()));
    assert_eq!(*log.lock().unwrap(), ["flush", "flush"]);
}

/// A reader and writer that does everything wrong it can.
struct Broken;

impl Read for Broken {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        Ok(target.len() + 1000)
    }
}

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len() + 1000)
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::Error::other("never"))
    }
}

#[test]
fn broken_streams_break_nothing_else() {
    let mut builder = WasiCtxBuilder::new();
    builder.stdin(Box::new(Broken)).stdout(Box::new(Broken));
    let mut guest = Guest::with(builder);
    assert_eq!(guest.read(0, 4).map(|bytes| bytes.len()), Ok(2));
    assert_eq!(refused(guest.write(1, b"abc")), Errno::Io);
    assert_eq!(refused(guest.ctx.flush()), Errno::Io);
    assert_eq!(refused(guest.ctx.fd_close(1)), Errno::Io);
    assert_eq!(refused(guest.ctx.fd_close(1)), Errno::Badf);
}

#[test]
fn interrupted_and_blocked_streams_are_told_apart() {
    struct Moody(Vec<io::ErrorKind>);
    impl Read for Moody {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            match self.0.pop() {
                Some(kind) => Err(kind.into()),
                None => {
                    target[0] = b'!';
                    Ok(1)
                }
            }
        }
    }
    let kinds = vec![io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
    let mut builder = WasiCtxBuilder::new();
    builder.stdin(Box::new(Moody(kinds)));
    let mut guest = Guest::with(builder);
    assert_eq!(refused(guest.read(0, 4)), Errno::Again);
    assert_eq!(guest.read(0, 4), Ok(b"!".to_vec()));
}
