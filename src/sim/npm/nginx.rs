//! As much of nginx' configuration language as an `advanced_config` needs: its words and blocks, the faults that
//! `nginx -t` finds in them, and what a server made of them answers by itself.

/// Directives that this nginx knows; anything else is a mistake to it.
const DIRECTIVES: [&str; 16] = [
    "add_header",
    "allow",
    "client_max_body_size",
    "default_type",
    "deny",
    "gzip",
    "if",
    "include",
    "internal",
    "location",
    "proxy_read_timeout",
    "proxy_set_header",
    "return",
    "rewrite",
    "set",
    "types",
];
/// Variables that this nginx knows.
const VARIABLES: [&str; 4] = ["uri", "host", "request_uri", "scheme"];
/// Octets of a buffer for one parameter (`NGX_CONF_BUFFER`).
const BUFFER: usize = 4_096;
/// Blocks within blocks; the real program has no bound, a test never comes near this one.
const DEPTH_MAX: usize = 8;

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Directive {
    words: Vec<String>,
    block: Option<Vec<Directive>>,
}

impl Directive {
    fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }
}

/// What a text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    directives: Vec<Directive>,
}

/// An answer of nginx' own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Canned {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// nginx' complaint.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut tokens = tokens(text)?.into_iter();
        let directives = block(&mut tokens, 0)?;
        for directive in &directives {
            check(directive)?;
        }
        Ok(Self { directives })
    }

    /// What it answers to a path by itself; `None` when the request goes on to the container.
    pub(super) fn answer(&self, path: &str) -> Option<Canned> {
        let mut path = path.to_owned();
        for directive in &self.directives {
            match directive.words().as_slice() {
                ["return", ..] => return canned(std::slice::from_ref(directive)),
                ["if", condition @ ..] if holds(condition, &path) => {
                    let inner = directive.block.as_deref().unwrap_or_default();
                    if let Some(canned) = canned(inner) {
                        return Some(canned);
                    }
                    if let Some(target) = inner.iter().find_map(rewritten) {
                        path = target;
                        break;
                    }
                }
                _ => {}
            }
        }
        let location = self
            .directives
            .iter()
            .find(|directive| directive.words() == ["location", "=", path.as_str()])?;
        canned(location.block.as_deref().unwrap_or_default())
    }
}

/// `rewrite ^ target last`, the one form that is understood.
fn rewritten(directive: &Directive) -> Option<String> {
    match directive.words().as_slice() {
        ["rewrite", "^", target, "last"] => Some((*target).to_owned()),
        _ => None,
    }
}

/// `($uri !~ "^literal")`, the one form that is understood.
fn holds(condition: &[&str], path: &str) -> bool {
    match condition {
        ["($uri", "!~", pattern] => {
            let literal = pattern.trim_end_matches(')').replace('\\', "");
            literal
                .strip_prefix('^')
                .is_some_and(|start| !path.starts_with(start))
        }
        _ => false,
    }
}

fn canned(directives: &[Directive]) -> Option<Canned> {
    let mut content_type = "text/plain".to_owned();
    let mut headers = Vec::new();
    let mut answer = None;
    for directive in directives {
        match directive.words().as_slice() {
            ["default_type", kind] => content_type = (*kind).to_owned(),
            ["add_header", name, value, "always"] => headers.push(((*name).to_owned(), (*value).to_owned())),
            ["return", status, body] => answer = Some((status.parse().ok()?, (*body).to_owned())),
            _ => {}
        }
    }
    answer.map(|(status, body)| Canned {
        status,
        content_type,
        headers,
        body,
    })
}

fn check(directive: &Directive) -> Result<(), String> {
    let name = directive.words.first().map(String::as_str).unwrap_or_default();
    if !DIRECTIVES.contains(&name) {
        return Err(format!("unknown directive \"{name}\""));
    }
    let has_block = directive.block.is_some();
    match (name, has_block) {
        ("if" | "location" | "types", false) => {
            return Err(format!("directive \"{name}\" has no opening \"{{\""));
        }
        ("if" | "location" | "types", true) | (_, false) => {}
        (_, true) => return Err(format!("directive \"{name}\" is not terminated by \";\"")),
    }
    if name == "return"
        && let Some(unknown) = unknown_variable(directive.words.get(2).map_or("", String::as_str))
    {
        return Err(format!("unknown \"{unknown}\" variable"));
    }
    let inner = directive.block.as_deref().unwrap_or_default();
    inner.iter().filter(|_| name != "types").try_for_each(check)
}

fn unknown_variable(text: &str) -> Option<String> {
    text.split('$').skip(1).find_map(|rest| {
        let name: String = rest
            .trim_start_matches('{')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        (!VARIABLES.contains(&name.as_str())).then_some(name)
    })
}

fn block(tokens: &mut impl Iterator<Item = Token>, depth: usize) -> Result<Vec<Directive>, String> {
    let mut directives = Vec::new();
    let mut words = Vec::new();
    loop {
        match tokens.next() {
            Some(Token::Word(word)) => words.push(word),
            Some(Token::End) if words.is_empty() => return Err("unexpected \";\"".to_owned()),
            Some(Token::End) => directives.push(Directive {
                words: std::mem::take(&mut words),
                block: None,
            }),
            Some(Token::Open) if words.is_empty() || depth >= DEPTH_MAX => {
                return Err("unexpected \"{\"".to_owned());
            }
            Some(Token::Open) => directives.push(Directive {
                words: std::mem::take(&mut words),
                block: Some(block(tokens, depth + 1)?),
            }),
            Some(Token::Close) if depth > 0 && words.is_empty() => return Ok(directives),
            Some(Token::Close) => return Err("unexpected \"}\"".to_owned()),
            None if !words.is_empty() => {
                // The file goes on behind the text with a brace of the program's own, which ends nothing.
                let first = words.swap_remove(0);
                return match DIRECTIVES.contains(&first.as_str()) {
                    true => Err("unexpected \"}\"".to_owned()),
                    false => Err(format!("unknown directive \"{first}\"")),
                };
            }
            None if depth > 0 => return Err("unexpected end of file, expecting \"}\"".to_owned()),
            None => return Ok(directives),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            c if c.is_ascii_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ';' => out.push(Token::End),
            '{' => out.push(Token::Open),
            '}' => out.push(Token::Close),
            quote @ ('"' | '\'') => {
                let word = until(&mut chars, |c| c == quote)?;
                chars
                    .next()
                    .ok_or_else(|| "unexpected end of file, expecting \";\" or \"}\"".to_owned())?;
                // In a condition, the bracket may stand right behind the quote.
                if chars.next_if_eq(&')').is_none()
                    && chars
                        .peek()
                        .is_some_and(|c| !c.is_ascii_whitespace() && !";{".contains(*c))
                {
                    return Err(format!("unexpected \"{}\"", chars.next().unwrap_or_default()));
                }
                out.push(Token::Word(word));
            }
            first => {
                let rest = until(&mut chars, |c| c.is_ascii_whitespace() || c == ';' || c == '{')?;
                out.push(Token::Word(format!("{first}{rest}")));
            }
        }
    }
    Ok(out)
}

/// A word up to a character, with its escapes resolved as nginx does: before a quote or itself a backslash goes, before
/// anything else it stays.
fn until(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    ends: impl Fn(char) -> bool,
) -> Result<String, String> {
    let mut word = String::new();
    let mut octets = 2;
    while let Some(c) = chars.next_if(|c| !ends(*c)) {
        octets += c.len_utf8();
        if octets >= BUFFER {
            let start: String = word.chars().take(10).collect();
            return Err(format!("too long parameter \"{start}...\" started"));
        }
        match (c, chars.peek()) {
            ('\\', Some('"' | '\'' | '\\')) => word.extend(chars.next()),
            _ => word.push(c),
        }
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_as_nginx_finds_them() {
        for (text, complaint) in [
            ("this is not nginx;", "unknown directive \"this\""),
            ("set $x 1", "unexpected \"}\""),
            ("}", "unexpected \"}\""),
            (
                "location / { set $x 1;",
                "unexpected end of file, expecting \"}\"",
            ),
            ("return 503 'a'b;", "unexpected \"b\""),
            ("return 503 '$nothing';", "unknown \"nothing\" variable"),
            (
                "return 503 { }",
                "directive \"return\" is not terminated by \";\"",
            ),
            ("if ($uri !~ x);", "directive \"if\" has no opening \"{\""),
        ] {
            assert_eq!(Text::read(text).unwrap_err(), complaint, "{text}");
        }
        let long = |length: usize| Text::read(&format!("return 503 '{}';", "a".repeat(length)));
        assert!(long(4_093).is_ok() && long(4_094).unwrap_err().starts_with("too long parameter"));
        assert!(Text::read("# anything { '\nset $x 1; proxy_set_header Host \"a\\\"b\";").is_ok());
    }

    #[test]
    fn what_is_answered_follows_conditions_and_locations() {
        let text = Text::read(
            "if ($uri !~ \"^/open/\") { rewrite ^ /.closed last; }\nlocation = /.closed { internal; \
             default_type text/html; add_header A b always; return 503 'no; {}'; }",
        )
        .unwrap();
        let canned = text.answer("/shop").unwrap();
        assert_eq!((canned.status, canned.body.as_str()), (503, "no; {}"));
        assert_eq!(canned.content_type, "text/html");
        assert_eq!(canned.headers, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(text.answer("/open/door"), None);
        assert_eq!(Text::read("set $x 1;").unwrap().answer("/"), None);
        assert_eq!(
            Text::read("return 403 gone;")
                .unwrap()
                .answer("/")
                .unwrap()
                .status,
            403
        );
    }
}
