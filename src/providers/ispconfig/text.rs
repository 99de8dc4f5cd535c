//! Texts of TXT records, as ISPConfig stores them.
//!
//! Its daemon writes the stored text between quotes as it is, and puts `" "` behind every 255th octet of it. So we
//! escape ourselves (RFC 1035 5.1), and no escape and no character of several octets may lie across such a seam.
//! Characters that can be written in several ways are spent to reach a seam exactly.

/// Octets between two seams: the longest string of a TXT record (RFC 1035 3.3).
const SEAM: usize = 255;

/// Why a text cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TextError {
    /// Nothing in it.
    #[error("ISPConfig takes no empty text; leave the record out")]
    Empty,
    /// A line break or another control character.
    #[error("a line break or another control character would break ISPConfig's zone file; take it out")]
    Control,
    /// No way of writing it has its seams between two characters.
    #[error(
        "ISPConfig would cut this text in the middle of a character; put a letter, a digit or a space into each 255 octets of it"
    )]
    Seam,
}

/// The ways to write one character, the shortest first; each is pieces that may not be cut.
fn ways(c: char) -> Vec<Vec<String>> {
    let mut octets = [0; 4];
    let octets = c.encode_utf8(&mut octets).as_bytes();
    let decimal: Vec<String> = octets.iter().map(|octet| format!("\\{octet:03}")).collect();
    match c {
        '"' | '\\' => vec![vec![format!("\\{c}")], decimal],
        // A backslash before three digits would be a number.
        '0'..='9' => vec![vec![c.to_string()], decimal],
        _ if c.is_ascii() => vec![vec![c.to_string()], vec![format!("\\{c}")], decimal],
        // The panel's database takes characters of up to three octets.
        _ if c.len_utf8() > 3 => vec![decimal],
        _ => vec![vec![c.to_string()], decimal],
    }
}

/// Where the next piece begins, counted from the last seam; `None` when a piece would be cut.
fn advance(mut at: usize, pieces: &[String]) -> Option<usize> {
    for piece in pieces {
        if at + piece.len() > SEAM {
            return None;
        }
        at = (at + piece.len()) % SEAM;
    }
    Some(at)
}

/// What to send for a text.
///
/// # Errors
/// For what cannot be stored so that the name servers answer with the same text.
pub(super) fn stored(text: &str) -> Result<String, TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::Control);
    }
    let choices: Vec<Vec<Vec<String>>> = text.chars().map(ways).collect();
    let shortest = choices
        .iter()
        .try_fold((0, String::new()), |(at, mut written), ways| {
            let way = ways.first()?;
            written.extend(way.iter().map(String::as_str));
            Some((advance(at, way)?, written))
        });
    match shortest {
        Some((_, written)) => Ok(written),
        None => fitted(&choices).ok_or(TextError::Seam),
    }
}

/// The shortest way to write everything with no piece across a seam, by the length of what was written so far and
/// its place between the seams.
fn fitted(choices: &[Vec<Vec<String>>]) -> Option<String> {
    // For each character and each place behind it: total length, place before it, way.
    let mut layers: Vec<Vec<Option<Step>>> = Vec::with_capacity(choices.len());
    let mut reached: Vec<Option<u32>> = vec![None; SEAM];
    *reached.first_mut()? = Some(0);
    for ways in choices {
        let mut layer: Vec<Option<Step>> = vec![None; SEAM];
        for (before, length) in reached.iter().enumerate() {
            let Some(length) = length else { continue };
            for (way, pieces) in ways.iter().enumerate() {
                let added: usize = pieces.iter().map(String::len).sum();
                let step = Step {
                    length: length.saturating_add(u32::try_from(added).ok()?),
                    before,
                    way,
                };
                let place = advance(before, pieces).and_then(|at| layer.get_mut(at));
                if let Some(place) = place
                    && place.is_none_or(|known| step.length < known.length)
                {
                    *place = Some(step);
                }
            }
        }
        reached = layer.iter().map(|step| step.map(|step| step.length)).collect();
        layers.push(layer);
    }
    let ends = reached.iter().enumerate();
    let shortest = ends
        .filter_map(|(at, length)| Some((length.as_ref()?, at)))
        .min()?;
    let mut at = shortest.1;
    let mut written = Vec::new();
    for (layer, ways) in layers.iter().zip(choices).rev() {
        let step = layer.get(at)?.as_ref()?;
        written.push(ways.get(step.way)?.concat());
        at = step.before;
    }
    written.reverse();
    Some(written.concat())
}

#[derive(Debug, Clone, Copy)]
struct Step {
    length: u32,
    before: usize,
    way: usize,
}

/// The text with which the name servers answer for a stored one, whoever stored it; `None` when they cannot load it,
/// or when it is not UTF-8.
pub(super) fn answered(stored: &str) -> Option<String> {
    let chunks: Vec<&[u8]> = stored.as_bytes().chunks(SEAM).collect();
    let mut line = vec![b'"'];
    line.extend(chunks.join(&b"\" \""[..]));
    line.push(b'"');
    String::from_utf8(strings(&line)?.concat()).ok()
}

/// The strings of one line of a zone file, as BIND reads them.
pub(super) fn strings(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = line;
    loop {
        let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
        rest = rest.get(rest.iter().take_while(|octet| blank(octet)).count()..)?;
        let quoted = match rest.first() {
            None | Some(b';') => return Some(found),
            Some(b'(' | b')' | b'\n' | b'\r') => return None,
            Some(first) => *first == b'"',
        };
        if quoted {
            rest = rest.get(1..)?;
        }
        let (string, after) = string(rest, quoted)?;
        if string.len() > SEAM {
            return None;
        }
        found.push(string);
        rest = after;
    }
}

fn string(mut rest: &[u8], quoted: bool) -> Option<(Vec<u8>, &[u8])> {
    let mut string = Vec::new();
    loop {
        rest = match rest {
            [] if quoted => return None,
            [] => return Some((string, rest)),
            [b'\n' | b'\r', ..] => return None,
            [b'"', after @ ..] if quoted => return Some((string, after)),
            [b'"' | b' ' | b'\t' | b';' | b'(' | b')', ..] if !quoted => return Some((string, rest)),
            [b'\\', a @ b'0'..=b'9', b, c, after @ ..] => {
                let digits = [*a, *b, *c];
                string.push(std::str::from_utf8(&digits).ok()?.parse().ok()?);
                after
            }
            [b'\\', b'0'..=b'9', ..] | [b'\\'] => return None,
            [b'\\', octet, after @ ..] | [octet, after @ ..] => {
                string.push(*octet);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// No piece lies across a seam: every chunk is whole characters and whole escapes by itself.
    fn seams_are_clean(stored: &str) -> bool {
        stored.as_bytes().chunks(SEAM).all(|chunk| {
            let line = [b"\"", chunk, b"\""].concat();
            std::str::from_utf8(chunk).is_ok() && strings(&line).is_some_and(|found| found.len() == 1)
        })
    }

    #[test]
    fn plain_texts_stay_as_they_are() {
        assert_eq!(stored("v=spf1 mx -all").unwrap(), "v=spf1 mx -all");
        assert_eq!(
            stored("gr\u{fc}\u{df}e \u{20ac}").unwrap(),
            "gr\u{fc}\u{df}e \u{20ac}"
        );
        assert_eq!(stored(r#"a "b" \ c"#).unwrap(), r#"a \"b\" \\ c"#);
        assert_eq!(stored(&"x".repeat(513)).unwrap(), "x".repeat(513));
        assert_eq!(stored("\u{1f600}").unwrap(), r"\240\159\152\128");
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        assert_eq!(stored(""), Err(TextError::Empty));
        assert_eq!(stored("a\nb"), Err(TextError::Control));
        // Two octets or four for each: never 255.
        assert_eq!(stored(&"\"".repeat(128)), Err(TextError::Seam));
        assert_eq!(stored(&"\u{fc}".repeat(128)), Err(TextError::Seam));
        assert!(stored(&"\"".repeat(127)).is_ok(), "254 octets have no seam");
    }

    #[test]
    fn a_piece_at_a_seam_is_moved_off() {
        for plain in 250..=260 {
            for special in ["\"", "\\", "\u{fc}", "\u{20ac}", "\u{1f600}"] {
                let text = format!("{}{special}tail", "a".repeat(plain));
                let written = stored(&text).unwrap();
                assert!(seams_are_clean(&written), "{plain} {special}");
                assert_eq!(answered(&written).unwrap(), text);
            }
        }
    }

    #[test]
    fn texts_of_others_are_read_as_the_name_servers_do() {
        assert_eq!(answered("\"quoted\"").unwrap(), "quoted");
        assert_eq!(answered("a; b").unwrap(), "a; b");
        assert_eq!(answered("\" \"").unwrap(), "");
        assert_eq!(answered("a\nb"), None);
        assert_eq!(answered("half \\"), None);
        // An escape that somebody left across a seam: the daemon cuts it in two.
        assert_eq!(answered(&format!("{}\\\\b", "a".repeat(254))), None);
    }

    proptest! {
        #[test]
        fn what_is_stored_is_answered(text in r#"[a-z0-9 "\\;()$@\u{fc}\u{20ac}\u{1f600}]{1,900}"#) {
            if let Ok(written) = stored(&text) {
                prop_assert!(seams_are_clean(&written));
                prop_assert_eq!(answered(&written).unwrap(), text);
            }
        }

        #[test]
        fn any_letters_between_make_it_possible(words in prop::collection::vec(r#"[a-z]{3}["\\\u{fc}\u{20ac}]{0,40}"#, 1..40)) {
            let text = words.concat();
            let written = stored(&text).unwrap();
            prop_assert!(seams_are_clean(&written));
            prop_assert_eq!(answered(&written).unwrap(), text);
        }

        #[test]
        fn reading_never_fails_badly(text in ".{0,600}") {
            let _ = answered(&text);
        }
    }
}
