//! The election against a Lease that is kept in memory, with a server that can be made to fail.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::*;

/// Far more than any of these needs; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);
/// A body that is larger than any Lease.
const BODY_LIMIT: usize = 1 << 16;

/// Short, and with a wide gap between the holder's end and that of the lease.
const TERMS: Terms = Terms {
    lease_duration: Duration::from_secs(3),
    renew_deadline: Duration::from_millis(1_500),
    retry_period: Duration::from_millis(50),
};

/// One Lease, as the API server would keep it.
#[derive(Default)]
struct Stored {
    lease: Mutex<Option<Value>>,
    version: AtomicU64,
    reads: AtomicU64,
    /// Answers nothing any more.
    hangs: AtomicBool,
    /// Answers 500.
    fails: AtomicBool,
}

impl Stored {
    fn store(&self, mut lease: Value) -> Value {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        lease["metadata"]["resourceVersion"] = json!(version.to_string());
        *self.lease.lock().unwrap() = Some(lease.clone());
        lease
    }

    fn remove(&self) {
        *self.lease.lock().unwrap() = None;
    }

    fn holder(&self) -> Option<String> {
        let lease = self.lease.lock().unwrap();
        let holder = lease.as_ref()?.pointer("/spec/holderIdentity")?.as_str()?;
        Some(holder.to_owned())
    }
}

fn status(code: StatusCode, reason: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
                      "reason": reason, "message": "no"});
    (code, Json(body)).into_response()
}

async fn answer(State(stored): State<Arc<Stored>>, request: Request) -> Response {
    if stored.hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    if stored.fails.load(Ordering::SeqCst) {
        return status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
    }
    let method = request.method().clone();
    if method == Method::GET {
        stored.reads.fetch_add(1, Ordering::SeqCst);
    }
    let body = axum::body::to_bytes(request.into_body(), BODY_LIMIT)
        .await
        .unwrap();
    let sent: Option<Value> = serde_json::from_slice(&body).ok();
    let known = stored.lease.lock().unwrap().clone();
    let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
    match (method, known, sent) {
        (Method::GET, Some(lease), _) => Json(lease).into_response(),
        (Method::POST, None, Some(lease)) => Json(stored.store(lease)).into_response(),
        (Method::PUT, Some(known), Some(lease)) if version(&known) == version(&lease) => {
            Json(stored.store(lease)).into_response()
        }
        (Method::GET | Method::PUT, None, _) => status(StatusCode::NOT_FOUND, "NotFound"),
        _ => status(StatusCode::CONFLICT, "Conflict"),
    }
}

/// Waits until the lease was read so many times more.
async fn until_looked_at(stored: &Stored, times: u64) {
    let before = stored.reads.load(Ordering::SeqCst);
    let begun = Instant::now();
    while stored.reads.load(Ordering::SeqCst) < before + times {
        assert!(begun.elapsed() < PATIENCE, "nobody looks at the lease");
        tokio::time::sleep(TERMS.retry_period).await;
    }
}

struct Replica {
    leadership: Leadership,
    lost: mpsc::Receiver<(Lost, bool)>,
}

impl Replica {
    async fn wins(&mut self) {
        let won = tokio::time::timeout(PATIENCE, self.leadership.won());
        assert!(won.await.unwrap());
    }

    /// Why it lost, and whether its claim was closed when it was told.
    async fn loses(self) -> Lost {
        let lost = tokio::task::spawn_blocking(move || self.lost.recv_timeout(PATIENCE));
        let (lost, open) = lost.await.unwrap().unwrap();
        assert!(!open, "the fence was open when the loss was told");
        lost
    }
}

struct Server {
    stored: Arc<Stored>,
    kubeconfig: NamedTempFile,
}

impl Server {
    async fn start() -> Self {
        let stored = Arc::new(Stored::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&stored));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        let mut kubeconfig = NamedTempFile::new().unwrap();
        write!(
            kubeconfig,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\n"
        )
        .unwrap();
        Self { stored, kubeconfig }
    }

    fn candidate(&self, name: &str) -> Replica {
        let candidate = Candidate {
            kubeconfig: Some(self.kubeconfig.path().as_os_str().to_owned()),
            namespace: "ns".to_owned(),
            lease: "lease".to_owned(),
            identity: name.to_owned(),
            terms: TERMS,
        };
        let (tell, lost) = mpsc::channel();
        let claim = Arc::new(Mutex::new(None::<Claim>));
        let told = Arc::clone(&claim);
        let end = move |reason| {
            let open = told.lock().unwrap().as_ref().is_some_and(Fence::is_open);
            let _ = tell.send((reason, open));
        };
        let leadership = Leadership::campaign(candidate, end).unwrap();
        *claim.lock().unwrap() = Some(leadership.claim());
        Replica { leadership, lost }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_the_next_follows_when_it_resigns() {
    let server = Server::start().await;
    let mut first = server.candidate("first");
    first.wins().await;
    assert!(first.leadership.claim().is_open());
    let mut second = server.candidate("second");
    let claim = second.leadership.claim();
    until_looked_at(&server.stored, 5).await;
    assert!(!claim.is_open() && first.leadership.claim().is_open());
    let begun = Instant::now();
    let held = first.leadership.claim();
    first.leadership.resign().await;
    assert!(!held.is_open());
    second.wins().await;
    assert!(begun.elapsed() < TERMS.lease_duration);
    assert_eq!(server.stored.holder().as_deref(), Some("second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_loses_before_another_one_begins() {
    for trouble in ["hangs", "fails"] {
        let server = Server::start().await;
        let mut first = server.candidate("first");
        first.wins().await;
        let switch = match trouble {
            "hangs" => &server.stored.hangs,
            _ => &server.stored.fails,
        };
        let begun = Instant::now();
        switch.store(true, Ordering::SeqCst);
        let lost = first.loses().await;
        assert!(matches!(lost, Lost::Expired(_)), "{trouble}: {lost}");
        assert!(begun.elapsed() < TERMS.lease_duration, "{trouble}");
        // What the first one left is still valid; the next one waits for its end as it sees it.
        switch.store(false, Ordering::SeqCst);
        let begun = Instant::now();
        let mut second = server.candidate("second");
        second.wins().await;
        assert!(begun.elapsed() >= TERMS.lease_duration, "{trouble}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_vanishes_frees_nobody_before_its_time() {
    let server = Server::start().await;
    let foreign = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                         "metadata": {"name": "lease", "namespace": "ns"},
                         "spec": {"holderIdentity": "other", "leaseDurationSeconds": 3}});
    server.stored.store(foreign);
    let begun = Instant::now();
    let mut replica = server.candidate("replica");
    // By its second look it knows what the first one brought.
    until_looked_at(&server.stored, 2).await;
    assert!(!replica.leadership.claim().is_open());
    server.stored.remove();
    replica.wins().await;
    assert!(begun.elapsed() >= TERMS.lease_duration);
    // Its own lease may vanish: it is made anew.
    server.stored.remove();
    while server.stored.holder().is_none() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(TERMS.retry_period).await;
    }
    assert!(replica.leadership.claim().is_open());
    // A holder that somebody else wrote ends it.
    let mut taken = server.stored.lease.lock().unwrap().clone().unwrap();
    taken["spec"]["holderIdentity"] = json!("other");
    server.stored.store(taken);
    assert_eq!(replica.loses().await, Lost::Taken("other".to_owned()));
}

#[tokio::test]
async fn a_client_that_cannot_be_made_is_told() {
    let server = Server::start().await;
    std::fs::write(server.kubeconfig.path(), "nonsense").unwrap();
    let lost = server.candidate("replica").loses().await;
    assert!(
        matches!(&lost, Lost::Failed(reason) if reason.contains("the kubeconfig")),
        "{lost}"
    );
}

#[test]
fn a_claim_runs_out_by_itself_and_can_be_ended() {
    let claim = Claim::default();
    assert!(!claim.is_open());
    let now = clock::since_boot().unwrap();
    claim.extend(now + RENEW_DEADLINE);
    assert!(claim.is_open() && claim.clone().remaining().unwrap() <= RENEW_DEADLINE);
    claim.extend(now);
    assert!(!claim.is_open());
    claim.extend(now + RENEW_DEADLINE);
    claim.end();
    assert!(!claim.is_open());
}

#[test]
fn replicas_of_one_name_differ() {
    let (one, other) = (
        identity("hostwright-0").unwrap(),
        identity("hostwright-0").unwrap(),
    );
    assert_ne!(one, other);
    assert!(one.starts_with("hostwright-0_") && one.len() == "hostwright-0_".len() + 2 * IDENTITY_BYTES);
}

#[test]
fn a_claim_ends_before_its_lease_does_for_others() {
    let terms = Terms::default();
    assert!(terms.retry_period < terms.renew_deadline && terms.renew_deadline < terms.lease_duration);
}
