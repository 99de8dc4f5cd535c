//! The one error of every back-end: a closed kind that policy looks at, a message for people.

use std::fmt;
use std::time::Duration;

/// Characters of a public message; longer ones are cut.
const MESSAGE_MAX: usize = 400;

/// What went wrong, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The thing does not exist, proven by the back-end and not merely unseen.
    NotFound,
    /// Something is in the way: a taken id, a foreign object, a lock held by other work.
    Conflict,
    /// Credentials or rights are missing; the same call will fail until somebody repairs them.
    Denied,
    /// The back-end will never take this request as it is.
    Invalid,
    /// Too many requests; come back after the given time.
    Throttled {
        /// What the back-end asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// The back-end did not answer or cannot work now; nothing has happened.
    Unavailable,
    /// The call may have had its effect: read before anything else.
    Ambiguous,
    /// An answer that we do not understand. Treated like `Unavailable`, never as absence.
    Unexpected,
}

impl ErrorKind {
    /// Every kind there is; the one of throttling without a time.
    pub const ALL: [Self; 8] = [
        Self::NotFound,
        Self::Conflict,
        Self::Denied,
        Self::Invalid,
        Self::Throttled { retry_after: None },
        Self::Unavailable,
        Self::Ambiguous,
        Self::Unexpected,
    ];

    /// A constant word for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable => "unavailable",
            Self::Ambiguous => "ambiguous",
            Self::Unexpected => "unexpected",
        }
    }
}

/// A failed call to a back-end.
///
/// `Display` is the public message: short, free of secrets, fit for a status. The private detail (an
/// answer's body, a library's error chain) is reached only through [`ProviderError::detail`] and belongs
/// into debug logs, never into a status or an event.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderError {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
}

impl ProviderError {
    /// An error with a public message: what happened, to which object, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let message = match message.char_indices().nth(MESSAGE_MAX) {
            Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
            None => message,
        };
        Self {
            kind,
            message,
            detail: None,
        }
    }

    /// The same error with a private detail for debug logs.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The same error as another kind, when the caller knows better what a refusal means here.
    #[must_use]
    pub fn as_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// What the retry policy looks at.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The public message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The private detail.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Shorthand for [`ErrorKind::NotFound`].
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// Without the detail: an error that is printed with `{:?}` by accident must not leak an answer's body.
impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderError({}, {:?})", self.kind.label(), self.message)
    }
}

impl std::error::Error for ProviderError {}
