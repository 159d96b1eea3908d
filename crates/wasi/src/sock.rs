//! Sockets: `sock_*`.
//!
//! Preview 1 cannot make a socket; a guest could only use one it was given, and this crate gives
//! none. Each call still tells a descriptor that is not open from one that is not a socket.

use crate::abi::records::Filetype;
use crate::ctx::WasiCtx;
use crate::errno::{Errno, Result};

impl WasiCtx {
    /// `sock_accept`.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notsock`], [`Errno::Notsup`] for a socket.
    pub fn sock_accept(&self, fd: u32) -> Result<()> {
        self.refuse_socket(fd)
    }

    /// `sock_recv`.
    ///
    /// # Errors
    /// As [`sock_accept`](Self::sock_accept).
    pub fn sock_recv(&self, fd: u32) -> Result<()> {
        self.refuse_socket(fd)
    }

    /// `sock_send`.
    ///
    /// # Errors
    /// As [`sock_accept`](Self::sock_accept).
    pub fn sock_send(&self, fd: u32) -> Result<()> {
        self.refuse_socket(fd)
    }

    /// `sock_shutdown`.
    ///
    /// # Errors
    /// As [`sock_accept`](Self::sock_accept).
    pub fn sock_shutdown(&self, fd: u32) -> Result<()> {
        self.refuse_socket(fd)
    }

    fn refuse_socket(&self, fd: u32) -> Result<()> {
        match self.table.get(fd)?.filetype() {
            Filetype::SocketStream => Err(Errno::Notsup),
            _ => Err(Errno::Notsock),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::WasiCtxBuilder;
    use crate::descriptor::{Descriptor, Direction};
    use std::os::unix::net::UnixStream;

    #[test]
    fn no_descriptor_is_good_for_a_socket_call() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let (end, _other) = UnixStream::pair().unwrap();
        let socket = Descriptor::standard(end.into(), Direction::In).unwrap();
        let socket = ctx.table.insert(socket).unwrap();
        for (fd, expected) in [
            (0, Errno::Notsock),
            (socket, Errno::Notsup),
            (9, Errno::Badf),
            (u32::MAX, Errno::Badf),
        ] {
            assert_eq!(ctx.sock_accept(fd), Err(expected));
            assert_eq!(ctx.sock_recv(fd), Err(expected));
            assert_eq!(ctx.sock_send(fd), Err(expected));
            assert_eq!(ctx.sock_shutdown(fd), Err(expected));
        }
    }
}
