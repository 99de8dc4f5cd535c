//! A small HTTP/1.1 server around a router, with the faults in between. It can close a connection without an
//! answer or in the middle of one, which a router alone cannot.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::faults::{Ends, Fault, Faults, Trouble, Verdict};

/// Bytes of the largest request or answer that passes; Proxmox itself takes 512 KiB.
const BODY_LIMIT: usize = 16 << 20;

/// A running simulator; dropping it stops the server and closes its connections.
pub struct Server {
    address: SocketAddr,
    tls: bool,
    /// Faults and counts.
    pub faults: Faults,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `router` at `address` (port 0 picks one) under a name for the tripwire, with TLS if given.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(
        service: &'static str,
        address: SocketAddr,
        router: Router,
        faults: Faults,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let inside = Inside {
            service,
            router,
            control: control(faults.clone()),
            faults: faults.clone(),
        };
        let with_tls = tls.is_some();
        let accepting = tokio::spawn(accept(listener, Arc::new(inside), tls));
        Ok(Self {
            address,
            tls: with_tls,
            faults,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address without a final slash.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Inside {
    service: &'static str,
    router: Router,
    control: Router,
    faults: Faults,
}

async fn accept(listener: TcpListener, inside: Arc<Inside>, tls: Option<TlsAcceptor>) {
    // The set ends its tasks when this future is dropped, so that no connection outlives the server.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, caller)) = listener.accept().await {
        let Ok(server) = stream.local_addr() else {
            continue;
        };
        let ends = Ends { caller, server };
        while connections.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let inside = Arc::clone(&inside);
        match tls.clone() {
            None => connections.spawn(serve(stream, ends, inside)),
            Some(acceptor) => connections.spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, ends, inside).await;
                }
            }),
        };
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ends: Ends,
    inside: Arc<Inside>,
) {
    let service = service_fn(move |request| {
        let inside = Arc::clone(&inside);
        async move { inside.answer(ends, request).await }
    });
    // An error here is a connection that was cut, by us or by the caller.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut on order")]
struct Cut;

impl Inside {
    async fn answer(
        &self,
        ends: Ends,
        request: Request<hyper::body::Incoming>,
    ) -> Result<Response<Body>, Cut> {
        let request = request.map(Body::new);
        let path = called(request.uri());
        if path.starts_with("/_sim/") {
            return Ok(infallible(self.control.clone().oneshot(request).await));
        }
        let method = request.method().as_str().to_owned();
        self.faults.saw(ends, &method, &path);
        let mut after = None;
        for trouble in self.faults.meet(&method, &path) {
            if let Some(delay) = trouble.latency() {
                tokio::time::sleep(delay).await;
                continue;
            }
            match trouble {
                Trouble::Refuse {
                    status,
                    body,
                    retry_after,
                } => return Ok(plain(status, body, retry_after)),
                Trouble::CutBefore => return Err(Cut),
                other => after = Some(other),
            }
        }
        // The work goes on when the caller hangs up, as it does in the real programs.
        let work = tokio::spawn(self.router.clone().oneshot(request));
        let response = infallible(work.await.map_err(|_| Cut)?);
        match self.faults.after_effect(self.service, &method, &path) {
            Verdict::Answer => {}
            Verdict::Lose => return Err(Cut),
            Verdict::Hang => std::future::pending().await,
            // An error is the other end that was dropped, which releases as well.
            Verdict::Hold(released) => drop(released.await),
        }
        match after {
            Some(Trouble::FailAfterEffect { status, body }) => Ok(plain(status, body, None)),
            Some(Trouble::CutAfter) => Err(Cut),
            Some(Trouble::HangAfter) => std::future::pending().await,
            Some(Trouble::Truncate) => truncate(response).await,
            _ => Ok(response),
        }
    }
}

/// What is called: the path, with a query that is only a word, because that names a function.
fn called(uri: &Uri) -> String {
    match uri.query() {
        Some(function) if !function.is_empty() && !function.contains(['=', '&']) => {
            format!("{}?{function}", uri.path())
        }
        _ => uri.path().to_owned(),
    }
}

fn infallible(result: Result<Response<Body>, Infallible>) -> Response<Body> {
    match result {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn plain(status: u16, body: String, retry_after: Option<u64>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Announces the whole length, sends the first half, then fails.
async fn truncate(response: Response<Body>) -> Result<Response<Body>, Cut> {
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|_| Cut)?;
    let half = whole.slice(..whole.len() / 2);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let pause = async {
        // Gives the first half the time to leave before the connection goes.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err::<Frame<Bytes>, Cut>(Cut)
    };
    let first = futures::stream::iter([Ok(Frame::data(half))]);
    let stream = futures::StreamExt::chain(first, futures::stream::once(pause));
    Ok(Response::from_parts(
        parts,
        Body::new(StreamBody::new(stream).boxed_unsync()),
    ))
}

fn control(faults: Faults) -> Router {
    Router::new()
        .route(
            "/_sim/calls",
            get(|State(faults): State<Faults>| async move { Json(faults.calls()) }),
        )
        .route(
            "/_sim/faults",
            axum::routing::post(
                |State(faults): State<Faults>, Json(orders): Json<Vec<Fault>>| async move {
                    orders.into_iter().for_each(|fault| faults.order(fault));
                    StatusCode::NO_CONTENT
                },
            )
            .delete(|State(faults): State<Faults>| async move {
                faults.clear();
                StatusCode::NO_CONTENT
            }),
        )
        .with_state(faults)
}

/// A complete body, for handlers that build answers by hand.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Body::new(Full::new(bytes.into()))
}
