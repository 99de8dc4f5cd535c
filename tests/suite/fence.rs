//! The fence of a leader: wherever in a call it closes, nothing leaves afterwards.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use hostwright::providers::ErrorKind;
use hostwright::providers::fence::{Fence, FencedBody};
use hostwright::providers::gate::{Effect, Gate, Limits, NoMeter};
use hostwright::providers::http::{Body, Call, HttpClient, HttpSettings, Method, TlsTrust, client_builder};
use hostwright::sim::faults::{Ends, Witness};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::world::{World, eventually, sum_of};

const LIMITS: Limits = Limits {
    max_concurrent: 4,
    requests_per_second: NonZeroU32::new(10_000).unwrap(),
};

/// Open for so many questions, and closed ever after.
#[derive(Debug)]
struct OpenFor(AtomicI64);

impl OpenFor {
    fn new(questions: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(questions)))
    }
}

impl Fence for OpenFor {
    fn is_open(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) > 0
    }
}

/// Answers the first connection once something came, and tells all that came over it.
async fn listener() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut heard, mut part) = (Vec::new(), [0_u8; 4096]);
        while let Ok(length @ 1..) = stream.read(&mut part).await {
            heard.extend_from_slice(&part[..length]);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer).await.unwrap();
        }
        String::from_utf8(heard).unwrap()
    });
    (format!("http://{address}"), heard)
}

/// What a call ends with when the fence closes after so many questions, and what arrived.
async fn closed_after(questions: i64, call: Call) -> (Result<(), ErrorKind>, String) {
    let (url, heard) = listener().await;
    let gate = Arc::new(Gate::new("test", LIMITS, Arc::new(NoMeter)).fenced(OpenFor::new(questions)));
    let settings = HttpSettings {
        bases: vec![url.clone()],
        trust: TlsTrust::System,
        plaintext: true,
    };
    let client = HttpClient::new(&settings, gate).unwrap();
    let result = client.send(call, |_| Ok(())).await.map_err(|error| error.kind());
    drop(client);
    // A call that did not even connect leaves the listener waiting; this connection ends it.
    let address = url.trim_start_matches("http://");
    let _ = tokio::net::TcpStream::connect(address).await;
    (result, heard.await.unwrap())
}

#[tokio::test]
async fn a_call_sends_all_or_nothing_wherever_the_fence_closes() {
    let path = || "/things/1";
    let calls = [
        Call::write("test.create", Method::POST, path()).body(Body::Json(json!({"name": "one"}))),
        Call::write("test.start", Method::POST, path()),
        Call::write("test.delete", Method::DELETE, path()),
    ];
    for call in calls {
        let (mut refused, mut questions) = (0, 0);
        loop {
            let (result, heard) = closed_after(questions, call.clone()).await;
            match result {
                Ok(()) => {
                    assert!(heard.contains("/things/1"), "{heard}");
                    break;
                }
                Err(ErrorKind::Unavailable) => {
                    assert_eq!(heard, "", "{} after {questions} questions", call.name);
                    refused += 1;
                }
                Err(kind) => assert_eq!(kind, ErrorKind::Ambiguous),
            }
            questions += 1;
        }
        // At the gate before and after the wait for a turn.
        assert!(refused >= 2 && questions > refused, "{refused} of {questions}");
    }
}

#[tokio::test]
async fn a_connection_that_is_about_to_send_keeps_the_request_back() {
    let client = client_builder(&TlsTrust::System).unwrap().build().unwrap();
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        for content in ["", "name=one"] {
            let (url, heard) = listener().await;
            let body = FencedBody::new(content.into(), OpenFor::new(0));
            let request = client.request(method.clone(), format!("{url}/things/1"));
            let sent = request.body(reqwest::Body::wrap(body)).send().await;
            assert!(sent.is_err());
            assert_eq!(heard.await.unwrap(), "", "{method} with \"{content}\"");

            let (url, heard) = listener().await;
            let body = FencedBody::new(content.into(), OpenFor::new(i64::MAX));
            let request = client
                .request(method.clone(), format!("{url}/things/1"))
                .header("connection", "close");
            let sent = request.body(reqwest::Body::wrap(body)).send().await;
            drop(sent.unwrap());
            let heard = heard.await.unwrap();
            assert!(heard.starts_with(&format!("{method} /things/1")), "{heard}");
            assert!(heard.ends_with(&format!("\r\n\r\n{content}")), "{heard}");
            assert!(!heard.contains("chunked"), "{heard}");
        }
    }
}

#[tokio::test]
async fn reads_pass_a_closed_fence() {
    let gate = Gate::new("test", LIMITS, Arc::new(NoMeter)).fenced(OpenFor::new(0));
    let read = gate.admit("test.read", Effect::Read).await.unwrap();
    read.guard(async { Ok(()) }).await.unwrap();
    read.finish(Ok(())).unwrap();
    let refused = gate.admit("test.write", Effect::Write).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.message().contains("leadership has run out"), "{refused}");
}

/// Closes at the n-th write that reaches a back-end, and counts them all.
#[derive(Debug, Default)]
struct ClosesAt {
    nth: u64,
    writes: AtomicU64,
    closed: AtomicBool,
}

impl Fence for ClosesAt {
    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst)
    }
}

impl Witness for ClosesAt {
    fn saw(&self, _: Ends, method: &str, path: &str) {
        // ISPConfig takes its reads and log-ins as POSTs too.
        let panel = path.contains("json.php");
        let changes = ["_add", "_update", "_delete"]
            .iter()
            .any(|verb| path.contains(verb));
        if method == "GET" || path == "/api/tokens" || (panel && !changes) {
            return;
        }
        if self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            self.closed.store(true, Ordering::SeqCst);
        }
    }
}

/// The operator goes on with its passes as a woken leader would, if nobody ended it.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_fence_ends_every_kind_of_write() {
    let world = World::new().await;
    for nth in [1, 2, 4, 6] {
        let name = format!("site{nth}");
        let fence = Arc::new(ClosesAt {
            nth,
            ..ClosesAt::default()
        });
        for (_, faults) in world.backends.faults() {
            faults.watch(Arc::clone(&fence) as _);
        }
        let operator = world.operator_behind(Arc::clone(&fence) as _).await;
        world.apply(&world.site(&name)).await;
        let passes = || {
            let labels = ["kind=\"WordPressSite\""];
            sum_of(&operator.metrics, "hostwright_passes_total", &labels)
        };
        let some_more_passes = async || {
            let before = passes();
            eventually("passes go on", || async {
                let more = passes() - before;
                (more >= 3)
                    .then_some(())
                    .ok_or_else(|| format!("{more} after {before}"))
            })
            .await;
        };
        eventually("the fence closes", || async {
            (!fence.is_open()).then_some(()).ok_or_else(String::new)
        })
        .await;
        // What was under way ends.
        some_more_passes().await;
        let version = || async {
            let site = world.sites().get(&name).await.unwrap();
            site.metadata.resource_version
        };
        let before = (fence.writes.load(Ordering::SeqCst), version().await);
        some_more_passes().await;
        let after = (fence.writes.load(Ordering::SeqCst), version().await);
        assert_eq!(before, after, "closed at write {nth}");
        operator.kill();

        let successor = world.operator().await;
        world.wait_for(&name, "Ready", "True").await;
        world.delete(&name).await;
        world.wait_until_gone(&name).await;
        successor.stop().await;
        assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    }
    world.close().await;
}
