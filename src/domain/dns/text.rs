//! Content of TXT records.

use super::refusal::RecordRule;

use super::owner_name::Complaint;

/// Octets of one string inside a TXT record (RFC 1035 3.3.14: one octet of length before each).
const STRING_MAX: usize = 255;
/// Octets of a record's content on the wire at Cloudflare.
const WIRE_MAX: usize = 4_096;
/// Octets of the text of a TXT record: with an octet of length before each 255 of them it fills 4,096 on the wire,
/// 4,080 = 16 × 255 and 4,080 + 16 = 4,096.
pub const TXT_MAX: usize = WIRE_MAX / (STRING_MAX + 1) * STRING_MAX;

/// The text that is meant: quoted strings joined, anything else as it stands.
pub(super) fn text(content: &str) -> Result<String, Complaint> {
    let refuse = |rule, what: &str| Err((rule, what.to_owned()));
    let text = if content.starts_with('"') {
        let Some(octets) = quoted_strings(content) else {
            return refuse(
                RecordRule::TextQuotes,
                "a text that begins with a quote is one or more strings in quotes, such as \"one\" \"two\", with \\\" for a quote inside; close the quotes",
            );
        };
        let Ok(text) = String::from_utf8(octets) else {
            return refuse(
                RecordRule::TextCharacter,
                "with its escapes the text is not UTF-8; write the letters themselves instead of \\DDD",
            );
        };
        text
    } else {
        content.to_owned()
    };
    if text.is_empty() {
        return refuse(
            RecordRule::TextEmpty,
            "the text is empty; write something or remove the record",
        );
    }
    if text.chars().any(char::is_control) {
        return refuse(
            RecordRule::TextCharacter,
            "a text has no line ends, tabs or other control characters; write it on one line",
        );
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return refuse(
            RecordRule::TextCharacter,
            "a text does not begin or end with a space, which back-ends cut off; remove the space",
        );
    }
    if text.len() > TXT_MAX {
        let what = format!(
            "the text has {} octets, and a record has room for {TXT_MAX}; shorten it",
            text.len()
        );
        return Err((RecordRule::TextTooLong, what));
    }
    Ok(text)
}

/// The octets of one or more quoted strings, with the escapes of zone files: `\"`, `\\` (any character but a
/// digit) and `\DDD`. `None` when a quote is not closed, an escape is cut off or something stands outside.
fn quoted_strings(content: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(content.len());
    let mut rest = content.bytes();
    let mut inside = false;
    let mut closed = false;
    while let Some(octet) = rest.next() {
        match octet {
            b'"' if inside => (inside, closed) = (false, true),
            b'"' => inside = true,
            b'\\' if inside => octets.push(escaped(&mut rest)?),
            _ if inside => octets.push(octet),
            b' ' | b'\t' if closed => {}
            _ => return None,
        }
    }
    (!inside && closed).then_some(octets)
}

fn escaped(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = rest.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = rest.next().filter(u8::is_ascii_digit)?;
        value = 10 * value + u32::from(digit - b'0');
    }
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(content: &str) -> String {
        text(content).unwrap()
    }

    fn rule(content: &str) -> RecordRule {
        text(content).unwrap_err().0
    }

    #[test]
    fn texts_are_what_they_mean() {
        assert_eq!(TXT_MAX, 4_080);
        assert_eq!(ok("v=spf1 -all"), "v=spf1 -all");
        assert_eq!(ok(r#"a "quoted" \ word"#), r#"a "quoted" \ word"#);
        assert_eq!(ok(r#""v=DKIM1; " "p=abc""#), "v=DKIM1; p=abc");
        assert_eq!(ok(r#""a""b""#), "ab");
        assert_eq!(ok(r#""say \"hi\" \\ \195\164""#), r#"say "hi" \ ä"#);
        assert_eq!(ok("grün"), "grün");
        assert_eq!(ok(&"a".repeat(TXT_MAX)).len(), TXT_MAX);
    }

    #[test]
    fn texts_that_do_not_come_back_are_refused() {
        for open in ["\"", "\"a", "\"a\" b", r#""a\""#, r#""\25""#, r#""\256""#] {
            assert_eq!(rule(open), RecordRule::TextQuotes, "{open}");
        }
        for control in [
            "a\nb",
            "\t",
            "a\u{7f}",
            "a\u{85}",
            r#""\010""#,
            r#""\255""#,
            " a",
            "a ",
        ] {
            assert_eq!(rule(control), RecordRule::TextCharacter, "{control}");
        }
        assert_eq!(rule(""), RecordRule::TextEmpty);
        assert_eq!(rule("\"\""), RecordRule::TextEmpty);
        assert_eq!(rule(&"a".repeat(TXT_MAX + 1)), RecordRule::TextTooLong);
        assert_eq!(rule(&"ü".repeat(TXT_MAX / 2 + 1)), RecordRule::TextTooLong);
    }
}
