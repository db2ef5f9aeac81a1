//! Processes, addresses and rights on this machine.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    process::{Child, Command},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Ends a process in a few seconds, whatever it would rather do.
pub fn end_child(mut child: Child) {
    if child.try_wait().is_ok_and(|status| status.is_none()) {
        send_signal(child.id(), "TERM");
    }
    for _ in 0..100 {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Whether this test may do what takes root: a second dockerd, rules of the firewall.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A mutex that a failed story does not make useless to the next.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a signal by its name.
pub fn send_signal(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(status.unwrap().success(), "kill -s {signal} {pid}");
}

/// Such an address for one listener more.
pub fn free_address() -> SocketAddr {
    let [address] = free_addresses();
    address
}

/// Addresses of the loopback that nobody listens on at the moment.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
