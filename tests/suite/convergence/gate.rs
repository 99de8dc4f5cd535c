//! A reverse proxy before the API server, for one operator: it counts what the operator writes, and lets a
//! tripwire decide after the effect of each write whether the operator hears of it.
//!
//! Plain HTTP on the loopback in front, behind it the ordinary client with verified TLS. It passes bodies on as
//! they come, so that watches work.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hostwright::sim::faults::{Tripwire, Verdict};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What the tripwire calls the API server.
pub const SERVICE: &str = "kubernetes";

type Writes = Arc<Mutex<Vec<String>>>;

fn locked(writes: &Writes) -> MutexGuard<'_, Vec<String>> {
    writes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running gate. Dropping it closes its connections.
pub struct ApiGate {
    kubeconfig: NamedTempFile,
    writes: Writes,
    accepting: JoinHandle<()>,
}

struct Inside {
    server: Client,
    wire: Arc<dyn Tripwire>,
    writes: Writes,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut on order")]
struct Cut;

impl ApiGate {
    /// A gate before the server that `server` talks to. Its kubeconfig is the given one with another address.
    pub async fn start(kubeconfig: &Path, server: Client, wire: Arc<dyn Tripwire>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config: Value = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
        for cluster in config["clusters"].as_array_mut().unwrap() {
            cluster["cluster"] = json!({"server": format!("http://{address}")});
        }
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config.to_string()).unwrap();
        let writes = Writes::default();
        let inside = Inside {
            server,
            wire,
            writes: Arc::clone(&writes),
        };
        Self {
            kubeconfig: file,
            writes,
            accepting: tokio::spawn(accept(listener, Arc::new(inside))),
        }
    }

    /// The kubeconfig for the operator.
    pub fn kubeconfig(&self) -> &Path {
        self.kubeconfig.path()
    }

    /// Writes that have arrived so far, by verb and resource.
    pub fn writes(&self) -> Vec<String> {
        locked(&self.writes).clone()
    }
}

impl Drop for ApiGate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, inside: Arc<Inside>) {
    // The set ends its tasks when this future is dropped, so that no connection outlives the gate.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream, Arc::clone(&inside)));
    }
}

async fn serve(stream: TcpStream, inside: Arc<Inside>) {
    let service = service_fn(move |request| {
        let inside = Arc::clone(&inside);
        async move { inside.answer(request).await }
    });
    // An error here is a connection that was cut, by us or by the operator.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Inside {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (mut parts, body) = request.into_parts();
        assert!(
            parts.headers.contains_key(AUTHORIZATION),
            "the operator shows its token"
        );
        for header in [AUTHORIZATION, CONNECTION, HOST] {
            parts.headers.remove(header);
        }
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let server = self.server.clone();
        let request = Request::from_parts(parts, Body::from(body));
        if [Method::GET, Method::HEAD].contains(&method) {
            return server.send(request).await.map_err(|_| Cut);
        }
        let resource = resource(&path);
        locked(&self.writes).push(format!("{method} {resource}"));
        // The server does its work also when the operator hangs up meanwhile.
        let work = tokio::spawn(async move { server.send(request).await });
        let response = work.await.map_err(|_| Cut)?.map_err(|_| Cut)?;
        // Whether somebody else wrote a moment before differs from life to life, and a refusal has no effect.
        if response.status() == StatusCode::CONFLICT {
            return Ok(response);
        }
        match self.wire.after_effect(SERVICE, method.as_str(), &resource) {
            Verdict::Answer => {}
            Verdict::Lose => return Err(Cut),
            Verdict::Hang => std::future::pending().await,
            Verdict::Hold(released) => drop(released.await),
        }
        Ok(response)
    }
}

/// `wordpresssites/status` from the path of an object in a namespace or without one.
fn resource(path: &str) -> String {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let rest = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        other => other,
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        other => other,
    };
    match rest {
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
        [resource, ..] => (*resource).to_owned(),
        [] => path.to_owned(),
    }
}
