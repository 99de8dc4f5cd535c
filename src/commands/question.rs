//! Asking a person before something that cannot be undone.

use std::io::Write;

/// Whether the person at the terminal types yes.
///
/// # Errors
/// When the terminal cannot be read or written.
pub(super) async fn confirmed(question: &str, out: &mut (impl Write + Send)) -> std::io::Result<bool> {
    write!(out, "{question} Type yes: ")?;
    out.flush()?;
    let answer = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
    let answer = answer.await.map_err(std::io::Error::other)?.transpose()?;
    Ok(answer.as_deref().map(str::trim) == Some("yes"))
}
