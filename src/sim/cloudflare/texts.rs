//! What Cloudflare takes as the content of a TXT record.

/// Octets of one string.
const STRING_MAX: usize = 255;

/// The content as it is stored: without quotes it stays as it is; quoted strings are checked, and one that is
/// too long is cut. `None` when the quotes do not match.
pub(super) fn stored(content: &str) -> Option<String> {
    if !content.starts_with('"') {
        return Some(content.to_owned());
    }
    let mut strings = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let body = rest.strip_prefix('"')?;
        let (string, after) = split_at_quote(body)?;
        strings.extend(cut(string));
        rest = after.trim_start();
    }
    let quoted: Vec<String> = strings.iter().map(|string| format!("\"{string}\"")).collect();
    Some(quoted.join(" "))
}

/// The text up to the closing quote, escapes and all, and what comes after it.
fn split_at_quote(body: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = body.char_indices().find(|(_, c)| {
        let closes = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    })?;
    Some((body.get(..end.0)?, body.get(end.0 + 1..)?))
}

/// Pieces of at most 255 octets, never cut inside of an escape.
fn cut(string: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let (mut piece, mut octets) = (String::new(), 0);
    let mut rest = string.chars();
    while let Some(c) = rest.next() {
        let mut unit = String::from(c);
        let mut size = c.len_utf8();
        if c == '\\' {
            let digits: String = rest.as_str().chars().take(3).collect();
            let number = digits.len() == 3 && digits.chars().all(|c| c.is_ascii_digit());
            for next in rest.by_ref().take(if number { 3 } else { 1 }) {
                unit.push(next);
            }
            size = 1;
        }
        if octets + size > STRING_MAX {
            pieces.push(std::mem::take(&mut piece));
            octets = 0;
        }
        piece.push_str(&unit);
        octets += size;
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_checked_and_long_strings_are_cut() {
        assert_eq!(stored("plain text").unwrap(), "plain text");
        assert_eq!(stored(r#""a\"b"   "c""#).unwrap(), r#""a\"b" "c""#);
        assert_eq!(stored("\"\"").unwrap(), "\"\"");
        let long = format!("\"{}\\200\"", "x".repeat(255));
        assert_eq!(
            stored(&long).unwrap(),
            format!("\"{}\" \"\\200\"", "x".repeat(255))
        );
        for bad in ["\"open", "\"a\" b", r#""a\""#] {
            assert_eq!(stored(bad), None, "{bad}");
        }
    }
}
