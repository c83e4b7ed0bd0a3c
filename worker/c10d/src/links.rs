//! The TCP connections between the ranks of a Gloo group, found by what construction added to this process.
//!
//! Gloo can't abort a collective. Shutting down the sockets under it can: every rank that waits on one of them leaves
//! its collective with "connection closed by peer". The connections are held as duplicates, so that the numbers of the
//! descriptors are not reused under our hands while a handle exists.

use std::collections::BTreeSet;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, RawFd};

/// The two ends of each connection of this process at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot(BTreeSet<(SocketAddr, SocketAddr)>);

impl Snapshot {
    /// Notes every TCP connection that is open now.
    ///
    /// # Errors
    ///
    /// When the list of this process's descriptors can't be read.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Snapshot(connections()?.into_iter().map(|(ends, _)| ends).collect()))
    }

    /// The connections opened since, but for those to the store.
    ///
    /// Connections that other threads open in the meantime are among them.
    ///
    /// # Errors
    ///
    /// When the list of this process's descriptors can't be read.
    pub(crate) fn opened_since(&self, store_port: u16) -> io::Result<Links> {
        let is_link = |&(local, peer): &(SocketAddr, SocketAddr)| {
            local.port() != store_port && peer.port() != store_port && !self.0.contains(&(local, peer))
        };
        Ok(Links(connections()?.into_iter().filter(|(ends, _)| is_link(ends)).map(|(_, stream)| stream).collect()))
    }

    /// The connections to one address opened since.
    ///
    /// # Errors
    ///
    /// When the list of this process's descriptors can't be read.
    pub(crate) fn opened_to(&self, address: SocketAddr) -> io::Result<Links> {
        let is_link = |ends: &(SocketAddr, SocketAddr)| same(ends.1, address) && !self.0.contains(ends);
        Ok(Links(connections()?.into_iter().filter(|(ends, _)| is_link(ends)).map(|(_, stream)| stream).collect()))
    }
}

/// Duplicates of the sockets that connect this rank to its peers.
#[derive(Debug)]
pub(crate) struct Links(Vec<TcpStream>);

impl Links {
    /// Shuts every connection in both directions, for all who hold it.
    pub(crate) fn cut(&self) {
        for link in &self.0 {
            // The peer may have closed it already, which is as good.
            drop(link.shutdown(Shutdown::Both));
        }
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn connections() -> io::Result<Vec<((SocketAddr, SocketAddr), TcpStream)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(descriptor) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if let Some(stream) = duplicate(descriptor)
            && let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr())
        {
            found.push(((local, peer), stream));
        }
    }
    Ok(found)
}

/// Whether two addresses are one; libtorch reaches IPv4 through sockets of IPv6.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}

/// A duplicate of any descriptor; only a connected internet socket will answer for both of its addresses.
fn duplicate(descriptor: RawFd) -> Option<TcpStream> {
    // SAFETY: the descriptor was open when it was listed and is borrowed for this one duplication. Should another
    // thread close it in between, duplication fails, or yields a valid duplicate of its successor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    borrowed.try_clone_to_owned().ok().map(TcpStream::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn only_connections_opened_since_are_links_and_cutting_them_wakes_a_reader() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let store = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = TcpStream::connect(address).unwrap();
        let mut before_accepted = listener.accept().unwrap().0;

        let snapshot = Snapshot::take().unwrap();
        let _to_the_store = TcpStream::connect(store.local_addr().unwrap()).unwrap();
        let _link = TcpStream::connect(address).unwrap();
        let mut accepted = listener.accept().unwrap().0;
        let links = snapshot.opened_since(store.local_addr().unwrap().port()).unwrap();
        assert_eq!(links.len(), 2, "both ends of one connection");

        let reader = std::thread::spawn(move || accepted.read(&mut [0; 1]));
        links.cut();
        assert_eq!(reader.join().unwrap().unwrap(), 0);

        drop(before);
        assert_eq!(before_accepted.read(&mut [0; 1]).unwrap(), 0);
    }
}
