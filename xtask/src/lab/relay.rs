//! Lets the host's loopback reach a port on the loopback of a namespace.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};

use super::network;

/// Relays connections from a port of the host's loopback to `port` on the namespace's; returns the address on the host,
/// the same port if it is free. Ends with the process.
pub(super) fn start(namespace: &str, port: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let (sender, receiver) = mpsc::sync_channel(16);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    let namespace = namespace.to_owned();
    thread::spawn(move || {
        if network::enter(&namespace).is_err() {
            return;
        }
        for outside in receiver {
            if let Ok(inside) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                join(&outside, &inside);
            }
        }
    });
    Ok(address)
}

fn join(left: &TcpStream, right: &TcpStream) {
    for (from, to) in [(left, right), (right, left)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        thread::spawn(move || {
            // Either side may go at any time; then so does the other.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.flush();
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}
