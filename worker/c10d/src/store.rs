//! The key-value store through which the ranks of a group find each other.

use crate::AbortHandle;
use crate::ffi;
use crate::links::Snapshot;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::ptr::{self, NonNull};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long the server's own first connection to itself may take.
const SELF_CONNECT: Duration = Duration::from_secs(30);
/// How long libtorch waits for a key where it is not told: for what ranks of NCCL tell each other.
const KEY: Duration = Duration::from_secs(30);
/// How often a connection is looked for that is to be cut, once time is up.
const CUT: Duration = Duration::from_millis(50);

/// Why a store could not be reached or used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address could not be listened on.
    #[error("cannot listen on `{address}`: choose a free port on an address of this machine")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The listening socket was bound, but libtorch could not serve it.
    #[error("cannot serve a store on `{address}`: {reason}")]
    Serve {
        /// The address that was bound.
        address: SocketAddr,
        /// What libtorch said.
        reason: String,
    },
    /// Nobody answered.
    #[error(
        "no store answered at `{address}` within `{timeout:?}`: check that its owner runs and is reachable ({reason})"
    )]
    Connect {
        /// The address that was tried.
        address: SocketAddr,
        /// How long it was tried.
        timeout: Duration,
        /// What libtorch said.
        reason: String,
    },
    /// A key could not be read or written.
    #[error("cannot {operation} key `{key}` of the store: {reason}")]
    Operation {
        /// What was being done.
        operation: &'static str,
        /// The key, without the store's prefix.
        key: String,
        /// What libtorch said.
        reason: String,
    },
}

/// A connection to a store, and in one process the store itself.
///
/// The server lives as long as any handle made from the `TcpStore` that serves it.
#[derive(Debug)]
pub struct TcpStore {
    root: Store,
    address: SocketAddr,
    abort: AbortHandle,
}

impl TcpStore {
    /// Serves a store on exactly `address`; port 0 lets the system choose.
    ///
    /// A store has no authentication: on anything but a loopback address it trusts the network.
    ///
    /// # Errors
    ///
    /// [`StoreError::Bind`] when the address is taken or is not this machine's, [`StoreError::Serve`] when libtorch
    /// refuses.
    pub fn serve(address: SocketAddr) -> Result<Self, StoreError> {
        let bind = |source| StoreError::Bind { address, source };
        // libtorch alone would listen on every interface.
        let listener = TcpListener::bind(address).map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        let host = reachable(bound.ip()).to_string();
        let mut store = ptr::null_mut();
        // SAFETY: the descriptor is open, listens, and is given away here; `host` outlives the call, and `store` is
        // written only on success.
        let served = unsafe {
            ffi::check(ffi::vismae_store_serve(
                listener.into_raw_fd(),
                host.as_str().into(),
                bound.port(),
                ffi::milliseconds(SELF_CONNECT),
                &raw mut store,
            ))
        };
        served
            .and_then(|()| Store::adopt(store, bound.port()))
            .map(|root| TcpStore { root, address: bound, abort: AbortHandle::idle() })
            .map_err(|reason| StoreError::Serve { address: bound, reason })
    }

    /// Connects to the store at `address`, trying again until `timeout`, which also ends the wait for a server that takes the connection and
    /// says nothing, as a process does that does not run.
    ///
    /// # Errors
    ///
    /// [`StoreError::Connect`] when nobody answers in time.
    pub fn connect(address: SocketAddr, timeout: Duration) -> Result<Self, StoreError> {
        let host = address.ip().to_string();
        let failed = |reason| StoreError::Connect { address, timeout, reason };
        let before = Snapshot::take().map_err(|error| failed(error.to_string()))?;
        let mut store = ptr::null_mut();
        let connected = std::thread::scope(|scope| {
            let (connecting, over) = sync_channel::<()>(1);
            let before = &before;
            scope.spawn(move || {
                let mut patience = timeout;
                while over.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                    // libtorch waits for an answer without end. Where the connections can't be listed, so does this call.
                    drop(before.opened_to(address).map(|links| links.cut()));
                    patience = CUT;
                }
            });
            // SAFETY: `host` outlives the call, and `store` is written only on success.
            let connected = unsafe {
                ffi::check(ffi::vismae_store_connect(
                    host.as_str().into(),
                    address.port(),
                    ffi::milliseconds(timeout),
                    ffi::milliseconds(KEY),
                    &raw mut store,
                ))
            };
            drop(connecting);
            connected
        });
        connected
            .and_then(|()| Store::adopt(store, address.port()))
            .and_then(|root| {
                let links = before.opened_to(address).map_err(|error| error.to_string())?;
                Ok(TcpStore { root, address, abort: AbortHandle::gloo(links) })
            })
            .map_err(failed)
    }

    /// What another thread needs to end a call that waits for the server, which may be silent.
    ///
    /// In the process that serves the store it does nothing.
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    /// Where the store listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The keys of the store, without a prefix.
    pub fn root(&self) -> &Store {
        &self.root
    }

    /// The keys of the store under `prefix`: a name space of their own for one generation of a group.
    ///
    /// # Errors
    ///
    /// [`StoreError::Operation`] when libtorch refuses.
    pub fn with_prefix(&self, prefix: &str) -> Result<Store, StoreError> {
        self.root.with_prefix(prefix)
    }
}

/// The keys of a store, under a prefix or not. It may be moved to another thread, but not shared.
#[derive(Debug)]
pub struct Store {
    handle: NonNull<ffi::Store>,
    port: u16,
}

// SAFETY: the handle is a reference-counted pointer with an atomic count, and libtorch's stores belong to no thread.
unsafe impl Send for Store {}

impl Store {
    fn adopt(handle: *mut ffi::Store, port: u16) -> Result<Self, String> {
        NonNull::new(handle).map(|handle| Store { handle, port }).ok_or_else(|| "no store was made".to_owned())
    }

    /// The keys under `prefix`, which is appended to this store's own.
    ///
    /// # Errors
    ///
    /// [`StoreError::Operation`] when libtorch refuses.
    pub fn with_prefix(&self, prefix: &str) -> Result<Store, StoreError> {
        let mut store = ptr::null_mut();
        // SAFETY: the handle is alive, `prefix` outlives the call, and `store` is written only on success.
        unsafe { ffi::check(ffi::vismae_store_prefixed(self.as_ptr(), prefix.into(), &raw mut store)) }
            .and_then(|()| Store::adopt(store, self.port))
            .map_err(|reason| failed("open", prefix, reason))
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Operation`] when the store is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        // SAFETY: the handle is alive, and key and value outlive the call.
        unsafe { ffi::check(ffi::vismae_store_set(self.as_ptr(), key.into(), value.as_ptr(), value.len())) }
            .map_err(|reason| failed("set", key, reason))
    }

    /// Waits until a key exists, for `timeout` at most, and reads it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Operation`] when the key does not appear in time, or the store is gone.
    pub fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, StoreError> {
        self.wait(key, timeout)?;
        let (mut bytes, mut length) = (ptr::null_mut(), 0);
        // SAFETY: the handle is alive, `key` outlives the call, and both results are written only on success.
        unsafe { ffi::check(ffi::vismae_store_get(self.as_ptr(), key.into(), &raw mut bytes, &raw mut length)) }
            .map_err(|reason| failed("get", key, reason))?;
        // SAFETY: on success the shim hands over `length` readable bytes, which are freed here and nowhere else.
        unsafe {
            let value = std::slice::from_raw_parts(bytes, length).to_vec();
            ffi::vismae_bytes_free(bytes);
            Ok(value)
        }
    }

    /// Adds to a counter, which starts at zero, and returns its new value.
    ///
    /// # Errors
    ///
    /// [`StoreError::Operation`] when the key holds something else, or the store is gone.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, StoreError> {
        let mut sum = 0;
        // SAFETY: the handle is alive, `key` outlives the call, and `sum` is a valid place to write to.
        unsafe { ffi::check(ffi::vismae_store_add(self.as_ptr(), key.into(), amount, &raw mut sum)) }
            .map_err(|reason| failed("add to", key, reason))?;
        Ok(sum)
    }

    /// Waits until a key exists, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`StoreError::Operation`] when it does not appear in time, or the store is gone.
    pub fn wait(&self, key: &str, timeout: Duration) -> Result<(), StoreError> {
        // SAFETY: the handle is alive, and `key` outlives the call.
        unsafe { ffi::check(ffi::vismae_store_wait(self.as_ptr(), key.into(), ffi::milliseconds(timeout))) }
            .map_err(|reason| failed("wait for", key, reason))
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::Store {
        self.handle.as_ptr()
    }

    /// The port of the server, by which connections to it are told from links between ranks.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the handle came from the shim and is freed only here.
        unsafe { ffi::vismae_store_free(self.handle.as_ptr()) }
    }
}

fn failed(operation: &'static str, key: &str, reason: String) -> StoreError {
    StoreError::Operation { operation, key: key.to_owned(), reason }
}

/// An address by which this machine reaches a socket bound to `bound`.
fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}
