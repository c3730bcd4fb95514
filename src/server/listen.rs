//! Where the server listens: TCP addresses and a Unix socket.
//!
//! The addresses of `bind` are tried in order, as Redis tries them. One that begins with `-` may be
//! missing from this machine; one of a family that the system does not speak is passed over in any
//! case. Port 0 means no TCP where there is a Unix socket, and otherwise that the system chooses a
//! port, the same for all addresses.
//!
//! The file of a Unix socket that a server has left behind is replaced, and nothing else is: a
//! path that holds anything but a socket is in use. The file goes when the server stops.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use log::{info, warn};
use rustix::fs::Mode;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::config::{Address, Config};
use crate::error::Error;

/// How often a port that the system has chosen for the first address, and that is not free at
/// another, is given up for a new one.
const CHOICES_MAX: usize = 16;

/// Where Linux says how long a backlog may be.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// The listening sockets of a server.
#[derive(Debug)]
pub(super) struct Listeners {
    /// At least one, unless there is a Unix socket.
    pub(super) tcp: Vec<TcpListener>,
    /// The Unix socket.
    pub(super) unix: Option<UnixSocket>,
    /// The port of all addresses; 0 when there is none.
    pub(super) port: u16,
}

/// A Unix socket. Its file goes when it is dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    /// The socket.
    pub(super) listener: UnixListener,
    /// Its file.
    pub(super) file: SocketFile,
}

/// The file of a Unix socket, there as long as this is.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number, to tell it from one that another server has put in its place.
    identity: Option<(u64, u64)>,
}

impl Listeners {
    /// Opens them all.
    ///
    /// # Errors
    /// [`Error::Resolve`] and [`Error::Listen`] when an address that must not be missing cannot be
    /// had, [`Error::ListenUnix`] when the path cannot, [`Error::ListensNowhere`] when nothing is
    /// left.
    pub(super) fn open(config: &Config) -> Result<Listeners, Error> {
        warn_of_backlog(config.tcp_backlog);
        let tcp = match config.port == 0 && config.unix_socket.is_some() {
            true => Vec::new(),
            false => listen_at_all(config)?,
        };
        let path = config.unix_socket.as_deref();
        let unix = path.map(|path| UnixSocket::open(path, config)).transpose()?;
        if tcp.is_empty() && unix.is_none() {
            return Err(Error::ListensNowhere);
        }
        let address = tcp.first().and_then(|listener| listener.local_addr().ok());
        Ok(Listeners { port: address.map_or(0, |address| address.port()), tcp, unix })
    }

    /// The first place, for the first line of the log.
    pub(super) fn first(&self) -> String {
        self.places().next().unwrap_or_default()
    }

    /// Says in the log what the other places are.
    pub(super) fn log_others(&self) {
        for place in self.places().skip(1) {
            info!("Listening on {place} too");
        }
    }

    fn places(&self) -> impl Iterator<Item = String> {
        let addresses = self.tcp.iter().filter_map(|listener| listener.local_addr().ok());
        let path = self.unix.iter().map(|unix| unix.file.to_string());
        addresses.map(|address| address.to_string()).chain(path)
    }
}

/// Listens at every address of the settings that can be had.
fn listen_at_all(config: &Config) -> Result<Vec<TcpListener>, Error> {
    let mut choices = 0;
    loop {
        match try_all(&config.bind, config.port, |at, _| listen(at, config.tcp_backlog)) {
            Err(Error::Listen { source, .. })
                if config.port == 0
                    && source.kind() == ErrorKind::AddrInUse
                    && choices < CHOICES_MAX =>
            {
                choices += 1;
            }
            result => return result,
        }
    }
}

/// Listens at these addresses, as far as they can be had. `open` makes a socket, or finds one; it
/// is told which there are already.
fn try_all(
    bind: &[String],
    mut port: u16,
    mut open: impl FnMut(SocketAddr, &[TcpListener]) -> io::Result<TcpListener>,
) -> Result<Vec<TcpListener>, Error> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for host in bind {
        let (host, is_optional) = match host.strip_prefix('-') {
            Some(host) => (host, true),
            None => (host.as_str(), false),
        };
        let address = resolve(host, port)?;
        match open(address, &listeners) {
            Ok(listener) => {
                if let (0, Ok(chosen)) = (port, listener.local_addr()) {
                    port = chosen.port();
                }
                listeners.push(listener);
            }
            Err(error) if is_passed_over(&error, is_optional) => {
                warn!("Could not create server TCP listening socket {address}: {error}");
            }
            Err(source) => return Err(Error::Listen { address, source }),
        }
    }
    Ok(listeners)
}

/// Listens at these addresses in the place of `old`, which stay as they are: a socket that listens
/// at the same address is used further. Port 0 means nowhere. Who resolves names may wait seconds.
///
/// # Errors
/// [`Error::Resolve`] and [`Error::Listen`] when an address that must not be missing cannot be had.
pub(super) fn open_beside(
    bind: &[String],
    port: u16,
    backlog: u32,
    old: Vec<TcpListener>,
) -> Result<Vec<TcpListener>, Error> {
    if port == 0 {
        return Ok(Vec::new());
    }
    let opened = try_all(bind, port, |address, new| {
        let same = old.iter().find(|it| it.local_addr().is_ok_and(|its| its == address));
        let listener = match same {
            Some(listener) => listener.try_clone()?,
            None => listen_beside(address, backlog, &old)?,
        };
        // The system has not compared it with those that it was to share the port with.
        match new.iter().any(|other| overlaps(other, address)) {
            true => Err(ErrorKind::AddrInUse.into()),
            false => Ok(listener),
        }
    });
    // From now on as any other; those that are open have what they need.
    for listener in old.iter().chain(opened.iter().flatten()) {
        if let Err(error) = SockRef::from(listener).set_reuse_port(false) {
            warn!("Could not keep the port from being shared: {error}");
        }
    }
    opened
}

/// Whether nobody could listen at the address because of this socket.
fn overlaps(listener: &TcpListener, address: SocketAddr) -> bool {
    listener.local_addr().is_ok_and(|its| {
        let is_one_all = its.ip().is_unspecified() || address.ip().is_unspecified();
        its == address
            || its.is_ipv4() == address.is_ipv4() && its.port() == address.port() && is_one_all
    })
}

/// Listens at the address, although one of `old` may have all addresses or this may be all of them.
fn listen_beside(
    address: SocketAddr,
    backlog: u32,
    old: &[TcpListener],
) -> io::Result<TcpListener> {
    match listen(address, backlog) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let mut overlapping = old.iter().filter(|it| overlaps(it, address)).peekable();
            if overlapping.peek().is_none() {
                return Err(error);
            }
            // Linux lets sockets of one user share a port while both want it so.
            for listener in overlapping {
                SockRef::from(listener).set_reuse_port(true)?;
            }
            open_socket(address, backlog, true)
        }
        result => result,
    }
}

/// The address that a word of `bind` stands for.
fn resolve(host: &str, port: u16) -> Result<SocketAddr, Error> {
    match host {
        "*" => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        "::*" => Ok((Ipv6Addr::UNSPECIFIED, port).into()),
        _ => Address { host: host.to_owned(), port }.resolve(),
    }
}

/// Opens a listening socket.
pub(super) fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    open_socket(address, backlog, false)
}

fn open_socket(address: SocketAddr, backlog: u32, shares_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Every IPv4 address is another setting.
        socket.set_only_v6(true)?;
    }
    // So that a restart need not wait for the last connections of the old process to fade.
    socket.set_reuse_address(true)?;
    if shares_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog_of(backlog))?;
    Ok(socket.into())
}

fn backlog_of(backlog: u32) -> i32 {
    i32::try_from(backlog).unwrap_or(i32::MAX)
}

/// Whether the server does without an address that fails so.
fn is_passed_over(error: &io::Error, is_optional: bool) -> bool {
    let unspoken = [
        Errno::NOPROTOOPT,
        Errno::PROTONOSUPPORT,
        Errno::SOCKTNOSUPPORT,
        Errno::PFNOSUPPORT,
        Errno::AFNOSUPPORT,
    ];
    let is_missing = error.kind() == ErrorKind::AddrNotAvailable;
    (is_optional && is_missing)
        || unspoken.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Warns, as Redis does, when the system keeps fewer connections for us than it is asked to.
fn warn_of_backlog(wanted: u32) {
    let text = fs::read_to_string(SOMAXCONN).unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(most) if most > 0 && most < wanted => warn!(
            "WARNING: The TCP backlog setting of {wanted} cannot be enforced because {SOMAXCONN} \
             is set to the lower value of {most}."
        ),
        // Not Linux, or enough.
        _ => {}
    }
}

impl UnixSocket {
    fn open(path: &Path, config: &Config) -> Result<UnixSocket, Error> {
        let failed = |source| Error::ListenUnix { path: path.to_owned(), source };
        remove_left_behind(path).map_err(failed)?;
        let listener = listen_at(path, config.unix_socket_mode, config.tcp_backlog);
        let listener = listener.map_err(failed)?;
        Ok(UnixSocket { listener, file: SocketFile::new(path) })
    }
}

/// Removes a socket's file. Whether a server still listens there is not asked, as in Redis.
fn remove_left_behind(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        _ => Ok(()),
    }
}

fn listen_at(path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    match mode {
        None => socket.bind(&address)?,
        Some(mode) => {
            // So that it is never open to more than it is meant to. No other thread of this
            // process makes files yet.
            let usual = rustix::process::umask(Mode::from_raw_mode(!mode & 0o777));
            let bound = socket.bind(&address);
            rustix::process::umask(usual);
            bound?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
    }
    socket.listen(backlog_of(backlog))?;
    Ok(socket.into())
}

impl SocketFile {
    fn new(path: &Path) -> SocketFile {
        SocketFile { path: path.to_owned(), identity: identity(path) }
    }
}

/// As Redis names it.
impl fmt::Display for SocketFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_none() || identity(&self.path) != self.identity {
            return;
        }
        info!("Removing the unix socket file.");
        if let Err(error) = fs::remove_file(&self.path) {
            warn!("Error removing the unix socket file {self}: {error}");
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bind: &[&str]) -> Result<Listeners, Error> {
        let bind = bind.iter().map(|&host| host.to_owned()).collect();
        Listeners::open(&Config { bind, port: 0, ..Config::default() })
    }

    #[test]
    fn all_addresses_have_the_port_that_was_chosen_for_the_first() {
        let listeners = open(&["127.0.0.1", "127.0.0.2", "-::1"]).unwrap();
        assert!(listeners.tcp.len() >= 2);
        for listener in &listeners.tcp {
            assert_eq!(listener.local_addr().unwrap().port(), listeners.port);
        }
    }

    #[test]
    fn a_missing_address_matters_unless_it_is_marked() {
        // Of a range for documentation: no machine has it.
        let listeners = open(&["127.0.0.1", "-203.0.113.7"]).unwrap();
        assert_eq!(listeners.tcp.len(), 1);
        assert!(matches!(open(&["127.0.0.1", "203.0.113.7"]), Err(Error::Listen { .. })));
        assert!(matches!(open(&["-203.0.113.7"]), Err(Error::ListensNowhere)));
        assert!(matches!(open(&[]), Err(Error::ListensNowhere)));
    }

    #[test]
    fn names_and_stars_stand_for_addresses() {
        assert_eq!(resolve("*", 1).unwrap().to_string(), "0.0.0.0:1");
        assert_eq!(resolve("::*", 1).unwrap().to_string(), "[::]:1");
        assert_eq!(resolve("::1", 1).unwrap().to_string(), "[::1]:1");
        assert!(resolve("localhost", 1).unwrap().ip().is_loopback());
        assert!(matches!(resolve("no such name", 1), Err(Error::Resolve { .. })));
    }

    #[test]
    fn an_address_in_use_is_an_error() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 5).unwrap();
        let address = listener.local_addr().unwrap();
        let bind = vec!["127.0.0.1".to_owned()];
        let config = Config { bind, port: address.port(), ..Config::default() };
        let error = Listeners::open(&config).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}: address in use"));
    }

    #[test]
    fn sockets_that_overlap_stand_side_by_side_until_the_old_ones_go() {
        let all = listen(SocketAddr::from(([0, 0, 0, 0], 0)), 5).unwrap();
        let port = all.local_addr().unwrap().port();
        let beside = |bind: &[&str], old: &TcpListener| {
            let bind: Vec<_> = bind.iter().map(|&host| host.to_owned()).collect();
            open_beside(&bind, port, 5, vec![old.try_clone().unwrap()])
        };
        let in_use = |opened: Result<_, Error>| {
            assert!(matches!(opened, Err(Error::Listen { source, .. })
                if source.kind() == ErrorKind::AddrInUse));
        };
        let one = beside(&["127.0.0.1"], &all).unwrap().remove(0);
        assert!(!SockRef::from(&all).reuse_port().unwrap());
        assert!(!SockRef::from(&one).reuse_port().unwrap());
        drop(one);
        // What could not be begun with is not changed to either.
        in_use(beside(&["*", "127.0.0.1"], &all));
        in_use(beside(&["127.0.0.1", "*"], &all));
        in_use(beside(&["127.0.0.1", "127.0.0.1"], &all));
        // The same address is the same socket.
        let same = beside(&["*"], &all).unwrap().remove(0);
        drop(all);
        assert_eq!(same.local_addr().unwrap().port(), port);
        let one = beside(&["127.0.0.1"], &same).unwrap().remove(0);
        drop(same);
        let again = listen(one.local_addr().unwrap(), 5).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
    }
}
