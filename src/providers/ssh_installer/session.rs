//! One run over one SSH connection: verify the node, log in, feed the shell, read to the end.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle, Handler};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{AlgorithmKind, ChannelMsg, ChannelReadHalf, Preferred};
use tokio::net::TcpStream;

use super::script::Output;
use super::settings::{Access, Node};
use crate::providers::error::{ErrorKind, ProviderError};

/// Time to reach a node at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for key exchange and log-in; a busy node's PAM takes seconds, a name server that does not answer more.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between signs of life. Steps of the script may be silent for minutes, a dead node must not look so.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Signs of life without an answer that end the connection: 4 × 15 s is a minute, as long as a container needs
/// to be started on another node.
const KEEPALIVE_MAX: usize = 4;

/// How a run ended.
pub(super) struct Ended {
    /// Exit status; `None` when the connection went away before it came.
    pub status: Option<u32>,
    /// What it printed.
    pub output: Output,
}

/// Accepts exactly the pinned host keys.
struct PinnedHostKeys(Vec<PublicKey>);

impl Handler for PinnedHostKeys {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // Certificates are never asked for, and their authority would not be pinned.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let known = self.0.iter().any(|pin| pin.key_data() == key.key_data());
        if !known {
            let fingerprint = key.fingerprint(HashAlg::Sha256);
            tracing::warn!(%fingerprint, "an SSH host key that is not pinned was refused");
        }
        Ok(known)
    }
}

fn unavailable(name: &str, what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unavailable, format!("node {name}: {what}"))
}

fn handshake_error(name: &str, error: &russh::Error) -> ProviderError {
    let wrong_key = matches!(
        error,
        russh::Error::UnknownKey
            | russh::Error::NoCommonAlgo {
                kind: AlgorithmKind::Key,
                ..
            }
    );
    let error_here = if wrong_key {
        ProviderError::new(
            ErrorKind::Denied,
            format!(
                "node {name} shows an SSH host key that is not pinned; compare it on the node's console and \
                 correct the Provider's host keys, or find out who answers in its place"
            ),
        )
    } else {
        unavailable(name, "the SSH connection broke before the log-in")
    };
    error_here.with_detail(error)
}

async fn connect(name: &str, node: &Node) -> Result<Handle<PinnedHostKeys>, ProviderError> {
    let address = (node.address.as_str(), node.port);
    let socket = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| unavailable(name, "nobody answers at its SSH address"))?
        .map_err(|error| unavailable(name, "nobody answers at its SSH address").with_detail(error))?;
    // Without it, small packets of the log-in wait for each other.
    let _ = socket.set_nodelay(true);
    let config = russh::client::Config {
        preferred: Preferred {
            key: node.algorithms(),
            ..Preferred::default()
        },
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVE_MAX,
        ..russh::client::Config::default()
    };
    russh::client::connect_stream(Arc::new(config), socket, PinnedHostKeys(node.pins.clone()))
        .await
        .map_err(|error| handshake_error(name, &error))
}

async fn log_in(access: &Access, name: &str, node: &Node) -> Result<Handle<PinnedHostKeys>, ProviderError> {
    let mut handle = connect(name, node).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&access.key), None);
    let answer = handle
        .authenticate_publickey(access.user.as_str(), key)
        .await
        .map_err(|error| {
            unavailable(name, "the SSH connection broke during the log-in").with_detail(error)
        })?;
    match answer {
        AuthResult::Success => Ok(handle),
        // The library reports a connection that went away as a refusal that leaves no method.
        AuthResult::Failure {
            remaining_methods, ..
        } if remaining_methods.is_empty() => {
            Err(unavailable(name, "the SSH connection broke during the log-in"))
        }
        AuthResult::Failure { .. } => Err(ProviderError::new(
            ErrorKind::Denied,
            format!(
                "node {name} refuses the Provider's SSH key; add its public key to authorized_keys there"
            ),
        )
        .with_detail(format!(
            "user {}, key {}",
            access.user,
            access.key.fingerprint(HashAlg::Sha256)
        ))),
    }
}

/// Reads until the channel is gone.
async fn collect(name: &str, reader: &mut ChannelReadHalf) -> Result<Ended, ProviderError> {
    let mut ended = Ended {
        status: None,
        output: Output::default(),
    };
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => ended.output.take_standard(&data),
            ChannelMsg::ExtendedData { data, .. } => ended.output.take_error(&data),
            ChannelMsg::ExitStatus { exit_status } => ended.status = Some(exit_status),
            ChannelMsg::Failure => {
                return Err(ProviderError::new(
                    ErrorKind::Denied,
                    format!(
                        "node {name} does not run commands for this SSH key; check authorized_keys there"
                    ),
                ));
            }
            _ => {}
        }
    }
    Ok(ended)
}

/// Runs `command` with `input` as its standard input and waits for its end. The caller bounds the time;
/// dropping the future closes the connection.
///
/// # Errors
/// `Denied` for a wrong host key or a refused key, `Unavailable` when the node cannot be reached. A connection
/// that breaks later is an [`Ended`] without a status.
pub(super) async fn run(
    access: &Access,
    name: &str,
    node: &Node,
    command: &str,
    input: Vec<u8>,
) -> Result<Ended, ProviderError> {
    let handle = tokio::time::timeout(LOGIN_TIMEOUT, log_in(access, name, node))
        .await
        .map_err(|_| unavailable(name, "the SSH log-in took too long"))??;
    let broken = |error: russh::Error| unavailable(name, "no SSH session could be opened").with_detail(error);
    let channel = handle.channel_open_session().await.map_err(broken)?;
    let (mut reader, writer) = channel.split();
    writer.exec(true, command).await.map_err(broken)?;
    let feed = async {
        // An error here is a connection or a command that ended early; the reading side tells which.
        if writer.data_bytes(input).await.is_ok() {
            let _ = writer.eof().await;
        }
    };
    let read = collect(name, &mut reader);
    tokio::pin!(feed, read);
    // A command that ends without reading everything leaves the feed waiting for ever.
    tokio::select! {
        ended = &mut read => return ended,
        () = &mut feed => {}
    }
    read.await
}
