//! The fence around everything that changes something: a replica whose leadership has run out may not begin to
//! write, even if it was stopped in the middle of a call and does not know yet.
//!
//! One look before the call is not enough, for a process may be stopped anywhere and go on much later: while it
//! waits for a slot, for a connection, or for its turn at a processor. So the fence is asked again before every
//! step of a write, and for the last time when the connection takes the request's body, right before the bytes
//! leave.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// Tells whether this process may change anything at the moment. Asked often, from any thread; must not wait.
pub trait Fence: fmt::Debug + Send + Sync {
    /// Whether a write may begin now. Once it was closed it stays so.
    fn is_open(&self) -> bool;
}

/// No fence: for a process that is the only one, and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlwaysOpen;

impl Fence for AlwaysOpen {
    fn is_open(&self) -> bool {
        true
    }
}

/// Goes on with `work` only while the fence is open, which is asked before every single step of it.
///
/// # Errors
/// Those of `work`, and `closed()` as soon as the fence is found closed; `work` is dropped then.
pub async fn fenced<T, E>(
    fence: &dyn Fence,
    work: impl Future<Output = Result<T, E>>,
    closed: impl Fn() -> E,
) -> Result<T, E> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if fence.is_open() {
            work.as_mut().poll(context)
        } else {
            Poll::Ready(Err(closed()))
        }
    })
    .await
}

/// A write met a closed fence when it was about to leave; nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leadership of this operator has run out; nothing was sent")]
pub struct Closed;

/// A request's body that the connection gets only while the fence is open. HTTP/1 hands head and body to the
/// socket together, after it took the body; a body that fails keeps the head back, too.
pub struct FencedBody {
    bytes: Option<Bytes>,
    fence: Arc<dyn Fence>,
}

impl FencedBody {
    /// A body of these bytes, which may be none.
    pub fn new(bytes: Bytes, fence: Arc<dyn Fence>) -> Self {
        Self {
            bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
            fence,
        }
    }
}

impl Body for FencedBody {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if !self.fence.is_open() {
            return Poll::Ready(Some(Err(Closed)));
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    /// The connection asks this first and takes nothing from a body that has ended. So an empty one has ended only
    /// while the fence is open; afterwards it is asked for its content, and fails.
    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.fence.is_open()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.bytes {
            Some(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            None if self.fence.is_open() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}
