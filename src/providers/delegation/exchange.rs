//! One question to one server, over UDP, and over TCP when the answer does not fit.
//!
//! Names are always absolute: there are no search domains, no hosts file and no cache here.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Octets of an answer that we take over UDP: what fits into any packet unfragmented (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// How patiently servers are asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long an answer to one attempt may take.
    pub attempt: Duration,
    /// How often the question is sent.
    pub attempts: u32,
}

/// Who finds the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recursion {
    /// The asked server tells what it knows itself.
    Off,
    /// The asked server may ask others.
    Desired,
}

/// Asks one server; `None` when it stays silent.
pub(super) async fn ask(
    server: SocketAddr,
    query: &Query,
    recursion: Recursion,
    patience: Patience,
) -> Option<Message> {
    for _ in 0..patience.attempts {
        // A request of its own for every attempt: its number is part of what makes a forged answer hard.
        let mut request = Message::query();
        request.metadata.recursion_desired = recursion == Recursion::Desired;
        request.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        request.set_edns(edns);
        match timeout(patience.attempt, once(server, &request)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%server, %query, %error, "no answer to a DNS question"),
            Err(_) => tracing::debug!(%server, %query, "no answer to a DNS question in time"),
        }
    }
    None
}

/// A question of the Internet class.
pub(super) fn question(name: &Name, kind: RecordType) -> Query {
    Query::query(name.clone(), kind)
}

async fn once(server: SocketAddr, request: &Message) -> io::Result<Message> {
    let bytes = request.to_vec().map_err(io::Error::other)?;
    let answer = over_udp(server, request, &bytes).await?;
    if answer.metadata.truncation {
        return over_tcp(server, request, &bytes).await;
    }
    Ok(answer)
}

async fn over_udp(server: SocketAddr, request: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    // A connected socket takes packets of this server only.
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(UDP_PAYLOAD)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let message = buffer
            .get(..length)
            .and_then(|bytes| Message::from_vec(bytes).ok());
        // Whatever else arrives may be forged: the right answer can still come.
        if let Some(answer) = message.filter(|message| answers(request, message)) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, request: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    // RFC 1035 4.2.2: two octets of length before each message.
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), bytes].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(io::Error::other)?;
    match answers(request, &answer) {
        true => Ok(answer),
        false => Err(io::Error::other("an answer to another question")),
    }
}

/// Whether a message answers the request. An error may come without the question.
fn answers(request: &Message, answer: &Message) -> bool {
    let refusal = answer.metadata.response_code != ResponseCode::NoError && answer.queries.is_empty();
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == request.metadata.id
        && (refusal || answer.queries == request.queries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Message {
        let mut request = Message::query();
        request.add_query(question(
            &Name::from_ascii("shop.example.").unwrap(),
            RecordType::NS,
        ));
        request
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let request = request();
        let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
        assert!(!answers(&request, &answer), "without a question");
        answer.metadata.response_code = ResponseCode::Refused;
        assert!(answers(&request, &answer), "refused without a question");
        answer.metadata.response_code = ResponseCode::NoError;
        answer.queries = request.queries.clone();
        assert!(answers(&request, &answer));
        answer.metadata.id ^= 1;
        assert!(!answers(&request, &answer), "another number");
        assert!(!answers(&request, &request), "the request itself");
    }

    #[tokio::test]
    async fn forged_packets_do_not_end_the_wait() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            let request = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::response(request.metadata.id ^ 1, request.metadata.op_code);
            answer.queries = request.queries.clone();
            server.send_to(b"noise", client).await.unwrap();
            server.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
            answer.metadata.id ^= 1;
            answer.metadata.authoritative = true;
            server.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
        });
        let patience = Patience {
            attempt: Duration::from_secs(5),
            attempts: 1,
        };
        let query = request().queries.remove(0);
        let answer = ask(address, &query, Recursion::Off, patience).await.unwrap();
        assert!(answer.metadata.authoritative);
        serve.await.unwrap();
    }
}
