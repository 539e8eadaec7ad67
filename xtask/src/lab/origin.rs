//! A server of the lab: answers HTTP with its own name, echoes UDP with its own name.
//!
//! Runs as a process of its own (`cargo xtask lab-origin`, hidden) so that it can be killed like a real one. It reads just
//! enough HTTP to answer a request without a body.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use anyhow::{Context, Result};
use clap::Args;

/// What `lab-origin` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The name it answers with.
    #[arg(long)]
    name: String,
    /// Its TCP port.
    #[arg(long, default_value_t = 80)]
    http: u16,
    /// Its UDP port.
    #[arg(long, default_value_t = 7)]
    echo: u16,
}

/// Serves until it is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let echo = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, options.echo)).context("cannot bind UDP")?;
    let name = options.name.clone();
    thread::spawn(move || answer_datagrams(&echo, &name));
    let listener =
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, options.http)).context("cannot bind TCP")?;
    for stream in listener.incoming().flatten() {
        let name = options.name.clone();
        thread::spawn(move || answer_requests(stream, &name));
    }
    Ok(())
}

fn answer_datagrams(socket: &UdpSocket, name: &str) {
    let mut buffer = [0; 2048];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        let mut answer = format!("{name} ").into_bytes();
        answer.extend_from_slice(&buffer[..length]);
        // A client that is gone is no reason to stop.
        let _ = socket.send_to(&answer, peer);
    }
}

fn answer_requests(stream: TcpStream, name: &str) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut close = false;
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let field = line.trim_end().to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            close |= field == "connection: close";
        }
        let connection = if close { "close" } else { "keep-alive" };
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nX-Server: {name}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{name}\n",
            name.len() + 1
        )
        .ok()?;
        if close {
            return None;
        }
    }
}
