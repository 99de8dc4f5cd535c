//! What users typed, inside of messages.

/// Characters of what a user typed that a message repeats: enough to recognise it. With two of them a message stays
/// below the 512 characters of a status: 2 × 48 and a sentence.
const QUOTED_MAX: usize = 48;

/// A user's text for a message: in quotes, cut short, control characters replaced.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for (at, c) in text.chars().enumerate() {
        if at == QUOTED_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.push('\u{fffd}');
        } else {
            shown.push(c);
        }
    }
    shown.push('"');
    shown
}
