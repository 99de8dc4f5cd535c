//! An address on loopback behind which a server on another port answers, over UDP and TCP.
//!
//! BIND listens only on addresses that an interface has, which on loopback is one, and giving it more takes root.
//! Anybody else may listen anywhere in 127.0.0.0/8.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Questions whose answer takes longer have been given up by whoever asked.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Largest UDP packet.
const PACKET_MAX: usize = 65_535;

/// Relays until it is dropped.
pub struct Relay {
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Takes `front` and passes everything on to `back`.
    pub async fn start(front: SocketAddr, back: SocketAddr) -> io::Result<Self> {
        let packets = UdpSocket::bind(front).await?;
        let connections = TcpListener::bind(front).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(relay_packets(Arc::new(packets), back));
        tasks.spawn(relay_connections(connections, back));
        Ok(Self { _tasks: tasks })
    }
}

async fn relay_packets(front: Arc<UdpSocket>, back: SocketAddr) {
    let mut questions = JoinSet::new();
    let mut buffer = vec![0; PACKET_MAX];
    loop {
        while questions.try_join_next().is_some() {}
        let Ok((length, client)) = front.recv_from(&mut buffer).await else {
            continue;
        };
        let question = buffer[..length].to_vec();
        let front = Arc::clone(&front);
        questions.spawn(async move {
            let answered = tokio::time::timeout(ANSWER_MAX, async {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                socket.connect(back).await?;
                socket.send(&question).await?;
                let mut answer = vec![0; PACKET_MAX];
                let length = socket.recv(&mut answer).await?;
                front.send_to(&answer[..length], client).await
            });
            let _ = answered.await;
        });
    }
}

async fn relay_connections(front: TcpListener, back: SocketAddr) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok((mut client, _)) = front.accept().await else {
            continue;
        };
        open.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(back).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
