//! A notice instead of a site: a block of ours in a host's `advanced_config`, nginx' own language at server level.
//!
//! The block leads every request to an internal location of ours that answers 503, so that none of its directives
//! can meet a hoster's own in the same place. The path of the certificate authority's challenge is left out: the
//! certificate is renewed all the same. Text around the block is the hoster's and stays as it is, to the octet.

use crate::providers::error::{ErrorKind, ProviderError};

/// First line of the block.
const BEGIN: &str = "# hostwright-notice begin (written by Hostwright, which takes it out again)";
/// Last line of the block.
const END: &str = "# hostwright-notice end";
/// Everything between the first line and the page. Search engines that are told an hour keep the site in their index.
const BEFORE_PAGE: &str = r#"
if ($uri !~ "^/\.well-known/acme-challenge/") { rewrite ^ /.hostwright-notice last; }
location = /.hostwright-notice {
  internal;
  default_type "text/html; charset=utf-8";
  add_header Retry-After 3600 always;
  add_header Cache-Control no-store always;
  return 503 '"#;
/// Everything between the page and the last line.
const AFTER_PAGE: &str = "';\n}\n";
/// The page before the sentence: without a single quote, a dollar sign, a backslash or anything loaded from elsewhere.
const PAGE_HEAD: &str = concat!(
    r#"<!doctype html><html><head><meta charset="utf-8">"#,
    r#"<meta name="viewport" content="width=device-width, initial-scale=1"><title>503</title></head>"#,
    r#"<body style="font-family: sans-serif; text-align: center; margin: 20vh 1em"><p dir="auto">"#,
);
/// The page after the sentence.
const PAGE_TAIL: &str = "</p></body></html>\n";
/// Octets of the page. nginx reads a parameter with its quotes into a buffer of 4096 octets (`NGX_CONF_BUFFER`) and
/// refuses one that fills it: 4096 less 1 less 2 quotes.
const PAGE_MAX: usize = 4_093;

/// A host's `advanced_config`, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// The sentence of our block.
    pub(super) notice: Option<String>,
    /// The text without any block of ours.
    pub(super) others: String,
    /// What is there of ours is what we write: no block, or one that nobody has changed.
    pub(super) intact: bool,
}

impl Config {
    /// Reads a text. A first line without a last one is no block: where it ends is anybody's guess, so that it is left
    /// alone.
    pub(super) fn read(text: &str) -> Self {
        let mut config = Self {
            notice: None,
            others: String::new(),
            intact: true,
        };
        let mut rest = text;
        let mut blocks = 0;
        while let Some((before, inner, after)) = cut(rest) {
            blocks += 1;
            config.others.push_str(before);
            config.notice = sentence(inner);
            config.intact = blocks == 1 && config.notice.is_some();
            rest = after;
        }
        config.others.push_str(rest);
        config
    }

    /// The text with `notice` in place of what is there of ours.
    ///
    /// # Errors
    /// `Invalid` when the notice is longer than nginx takes.
    pub(super) fn with(&self, notice: Option<&str>) -> Result<String, ProviderError> {
        match notice {
            Some(notice) => Ok(format!("{BEGIN}{}{END}\n{}", inner(notice)?, self.others)),
            None => Ok(self.others.clone()),
        }
    }
}

/// The text before the first block, what is between its first and last line, and the text after it.
fn cut(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (inner, after) = rest.split_once(END)?;
    // The block's own line end goes with it, whichever kind an editor has made of it.
    let after = after
        .strip_prefix("\r\n")
        .or_else(|| after.strip_prefix('\n'))
        .unwrap_or(after);
    Some((before, inner, after))
}

fn inner(notice: &str) -> Result<String, ProviderError> {
    let page = format!("{PAGE_HEAD}{}{PAGE_TAIL}", escaped(notice));
    if page.len() > PAGE_MAX {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "the notice for visitors is longer than the proxy takes; shorten it",
        ));
    }
    Ok(format!("{BEFORE_PAGE}{page}{AFTER_PAGE}"))
}

/// The sentence of a block that is exactly as we write it.
fn sentence(found: &str) -> Option<String> {
    let page = found.strip_prefix(BEFORE_PAGE)?.strip_suffix(AFTER_PAGE)?;
    let text = unescaped(page.strip_prefix(PAGE_HEAD)?.strip_suffix(PAGE_TAIL)?)?;
    (inner(&text).ok().as_deref() == Some(found)).then_some(text)
}

/// A character that means nothing to nginx nor to HTML.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || " .,:!?()-/@+_".contains(character)
}

/// Every character that is not plain as a numeric reference. The result is ASCII, so that no character set on the way
/// through the program's database can change it.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        match is_plain(character) {
            true => out.push(character),
            false => out.push_str(&format!("&#{};", u32::from(character))),
        }
        out
    })
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (number, rest) = part.strip_prefix('#')?.split_once(';')?;
        out.push(char::from_u32(number.parse().ok()?)?);
        out.push_str(rest);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "</p>'; } \"$host\" \\ {{ x }} # <script>&amp; \r\n\0 سایت 🙂";

    fn nothing(others: &str) -> Config {
        Config {
            notice: None,
            others: others.to_owned(),
            intact: true,
        }
    }

    #[test]
    fn a_notice_is_read_back_and_taken_out_exactly() {
        for others in ["", "set $x 1;", "# mine\r\nset $x 1;\n\n", "  \n"] {
            for notice in ["This site is suspended.", "", NASTY] {
                let text = nothing(others).with(Some(notice)).unwrap();
                let read = Config::read(&text);
                assert_eq!(
                    (read.notice.as_deref(), read.others.as_str(), read.intact),
                    (Some(notice), others, true)
                );
                assert_eq!(read.with(None).unwrap(), others);
                assert_eq!(read.with(Some(notice)).unwrap(), text);
            }
            assert_eq!(Config::read(others), nothing(others));
        }
    }

    #[test]
    fn nothing_breaks_out_of_the_page() {
        let text = nothing("").with(Some(NASTY)).unwrap();
        let page = text.split('\'').nth(1).unwrap();
        assert!(page.starts_with(PAGE_HEAD) && page.ends_with(PAGE_TAIL), "{page}");
        assert!(page.is_ascii() && !page.contains(['$', '\\', '{', '}']), "{page}");
        assert_eq!(text.matches('\'').count(), 2);
    }

    #[test]
    fn a_changed_block_is_ours_to_repair_and_half_a_one_is_not() {
        let text = nothing("set $x 1;").with(Some("Closed.")).unwrap();
        for changed in [
            text.replace("Closed.", "<b>Open</b>"),
            text.replace("3600", "1"),
            text.replace('\n', "\r\n"),
        ] {
            let read = Config::read(&changed);
            assert!(!read.intact && read.notice.is_none(), "{changed}");
            assert_eq!(read.with(None).unwrap(), "set $x 1;");
        }
        let twice = Config::read(&format!("{text}\n{text}"));
        assert_eq!(
            (twice.intact, twice.others.as_str()),
            (false, "set $x 1;\nset $x 1;")
        );
        let half = text.replace(END, "");
        assert_eq!(Config::read(&half), nothing(&half));
    }

    #[test]
    fn a_notice_that_nginx_would_not_read_is_refused() {
        let room = PAGE_MAX - PAGE_HEAD.len() - PAGE_TAIL.len();
        assert!(nothing("").with(Some(&"a".repeat(room))).is_ok());
        assert!(
            nothing("").with(Some(&"\u{10ffff}".repeat(350))).is_ok(),
            "what the trait promises"
        );
        let error = nothing("").with(Some(&"a".repeat(room + 1))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
