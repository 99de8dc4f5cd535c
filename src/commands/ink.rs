//! Colours of what is said to people (ECMA-48 8.3.117), and texts that cannot break a terminal.

use std::io::IsTerminal;

use crate::config;

/// Whether what goes to the standard output is coloured: on a terminal that nobody asked to be plain.
pub(super) fn for_output() -> bool {
    std::io::stdout().is_terminal() && config::colours()
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ink(bool);

/// What a word says about what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing.
    Plain,
    /// A heading.
    Strong,
    /// Of less weight.
    Faint,
    /// As it shall be.
    Good,
    /// On its way, or asked to be like this.
    Waiting,
    /// Wrong.
    Bad,
}

impl Ink {
    /// With colours or without.
    pub(super) fn new(colours: bool) -> Self {
        Self(colours)
    }

    /// The text in the colour of its tone.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Strong => self.bold(text),
            Tone::Faint => self.dim(text),
            Tone::Good => self.green(text),
            Tone::Waiting => self.yellow(text),
            Tone::Bad => self.red(text),
        }
    }

    fn with(self, code: u8, text: &str) -> String {
        match self.0 && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// Bold.
    pub(super) fn bold(self, text: &str) -> String {
        self.with(1, text)
    }

    /// Less bright.
    pub(super) fn dim(self, text: &str) -> String {
        self.with(2, text)
    }

    /// Red.
    pub(super) fn red(self, text: &str) -> String {
        self.with(31, text)
    }

    /// Green.
    pub(super) fn green(self, text: &str) -> String {
        self.with(32, text)
    }

    /// Yellow.
    pub(super) fn yellow(self, text: &str) -> String {
        self.with(33, text)
    }
}

/// The text on one line and without anything that steers a terminal: customers and back-ends had a hand in it.
pub(super) fn harmless(text: &str) -> String {
    // Directions of writing can make a line read as another one (Unicode TR 36, 2.1).
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc\u{202e}d"), "a [2Jb c d");
    }

    #[test]
    fn nothing_is_coloured_without_being_asked() {
        assert_eq!(Ink::new(false).paint(Tone::Bad, "no"), "no");
        assert_eq!(Ink::new(true).paint(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Ink::new(true).paint(Tone::Plain, "no"), "no");
    }
}
