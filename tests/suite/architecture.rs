//! The rules of the crate's layout, checked by reading the sources: which part may name which, what the planners
//! must not do, and how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of the longest file in `src/`; what is longer is two subjects.
const LINES_MAX: usize = 600;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = [
    "util", "utils", "helper", "helpers", "common", "manager", "managers",
];
/// A product whose name has one of those words in it.
const PRODUCT: &str = "nginx_proxy_manager";
/// The only place outside `providers` that knows that there are vendors.
const BUILDS_VENDORS: &str = "controllers/connections/build.rs";
/// A folder below `providers/` that asks public name servers and is no back-end.
const NO_VENDOR: &str = "delegation";
/// The deciding files of sites and zones: the same input gives the same output.
const PURE: [(&str, &str); 24] = [
    ("dns_zone", "claims"),
    ("dns_zone", "diff"),
    ("dns_zone", "plan"),
    ("dns_zone", "remove"),
    ("dns_zone", "report"),
    ("dns_zone", "verdict"),
    ("dns_zone", "zone"),
    ("site_backup", "backup"),
    ("site_backup", "name"),
    ("site_backup", "plan"),
    ("site_backup", "remove"),
    ("site_backup", "report"),
    ("site_backup", "schedule"),
    ("site_backup", "verdict"),
    ("site_restore", "plan"),
    ("site_restore", "remove"),
    ("site_restore", "report"),
    ("site_restore", "restore"),
    ("site_restore", "verdict"),
    ("wordpress_site", "plan"),
    ("wordpress_site", "remove"),
    ("wordpress_site", "report"),
    ("wordpress_site", "reserve"),
    ("wordpress_site", "verdict"),
];

/// One source file without its tests.
struct Source {
    /// Below `src/`.
    path: String,
    text: String,
    tokens: Vec<String>,
}

impl Source {
    fn read(root: &Path, file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let tokens = without_tests(tokens(&text));
        Self { path, text, tokens }
    }

    /// The names of the module and those around it, from the crate's root on.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').collect()
    }

    /// The part of the crate that it belongs to.
    fn layer(&self) -> &str {
        self.module()[0]
    }

    fn is_test(&self) -> bool {
        self.module().contains(&"tests")
    }

    /// Everything of this crate that it names, from the crate's root on.
    fn names(&self) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        for at in 0..self.tokens.len() {
            let begins = matches!(self.tokens[at].as_str(), "crate" | "super" | "self");
            let inner = at > 0 && self.tokens[at - 1] == "::";
            if begins && !inner && self.tokens.get(at + 1).is_some_and(|next| next == "::") {
                let mut paths = Vec::new();
                tree(&self.tokens, at, Vec::new(), &mut paths);
                found.extend(paths.into_iter().map(|path| self.rooted(path)));
            }
        }
        found
    }

    fn rooted(&self, path: Vec<String>) -> Vec<String> {
        let mut here: Vec<String> = match path[0].as_str() {
            "crate" => Vec::new(),
            _ => self.module().into_iter().map(str::to_owned).collect(),
        };
        for name in path {
            match name.as_str() {
                "crate" | "self" => {}
                "super" => drop(here.pop()),
                _ => here.push(name),
            }
        }
        here
    }

    /// Whether it names another crate, such as `kube`, or an item below it.
    fn uses(&self, path: &[&str]) -> bool {
        self.tokens.windows(2 * path.len()).any(|window| {
            let (before, rest) = window.split_at(1);
            let joined = path.join(" :: ");
            before[0] != "::" && before[0] != "." && rest.join(" ") == joined
        })
    }

    fn has(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token == word)
    }
}

/// Follows one path with its groups: `a::{b, c::d}` is `a::b` and `a::c::d`. Returns where it ends.
fn tree(tokens: &[String], mut at: usize, mut path: Vec<String>, paths: &mut Vec<Vec<String>>) -> usize {
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = match tokens[at].as_str() {
                        "," => at + 1,
                        _ => tree(tokens, at, path.clone(), paths),
                    };
                }
                return at + 1;
            }
            Some(name) if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(name.to_owned());
            }
            _ => {}
        }
        if tokens.get(at + 1).is_none_or(|next| next != "::") {
            paths.push(path);
            return at + 1;
        }
        at += 2;
    }
}

/// Words and marks of a text, without comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    while let Some(c) = chars.get(at) {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let rest = &chars[at..];
        match c {
            '/' if next == '/' => at += rest.iter().take_while(|c| **c != '\n').count(),
            '"' => at += string_length(rest),
            'r' if next == '"' || (next == '#' && rest.get(2) == Some(&'"')) => at += raw_length(rest),
            '\'' if next == '\\' => at += 3 + rest[3..].iter().take_while(|c| **c != '\'').count(),
            '\'' if rest.get(2) == Some(&'\'') => at += 3,
            ':' if next == ':' => {
                found.push("::".to_owned());
                at += 2;
            }
            c if word(c) => {
                let name: String = rest.iter().take_while(|c| word(c)).collect();
                at += name.chars().count();
                found.push(name);
            }
            c => {
                if !c.is_whitespace() {
                    found.push(c.to_string());
                }
                at += 1;
            }
        }
    }
    found
}

fn string_length(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_length(text: &[char]) -> usize {
    let hashes = text[1..].iter().take_while(|c| **c == '#').count();
    let end: Vec<char> = std::iter::once('"').chain(vec!['#'; hashes]).collect();
    let body = hashes + 2;
    let inside = text[body..].windows(end.len()).position(|part| part == end);
    body + inside.unwrap_or(0) + end.len()
}

/// Drops `#[cfg(test)] mod … { … }`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let begin = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().take(begin.len()).eq(begin.iter()) && tokens[at + begin.len() + 1] == "{" {
            at += begin.len() + 2;
            let mut depth = 1;
            while depth > 0 {
                depth += match tokens[at].as_str() {
                    "{" => 1,
                    "}" => -1,
                    _ => 0,
                };
                at += 1;
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            found.push(entry);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.iter().map(|file| Source::read(&root, file)).collect()
}

/// Folders below `providers/`.
fn vendors() -> BTreeSet<String> {
    sources()
        .iter()
        .filter(|source| source.layer() == "providers" && source.module().len() > 1)
        .filter(|source| source.path.split('/').count() > 2)
        .map(|source| source.module()[1].to_owned())
        .filter(|name| name != NO_VENDOR)
        .collect()
}

/// Fails with all that is wrong, one a line.
fn assert_none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

#[test]
fn the_parts_of_the_crate_name_only_what_is_below_them() {
    let allowed = |layer: &str| -> Option<&[&str]> {
        match layer {
            "domain" => Some(&["domain"]),
            "api" => Some(&["api", "domain"]),
            "providers" => Some(&["providers", "domain"]),
            "sim" => Some(&["sim"]),
            "controllers" => Some(&["controllers", "api", "domain", "providers", "runtime", "config"]),
            "commands" => Some(&[
                "commands",
                "controllers",
                "api",
                "domain",
                "providers",
                "runtime",
                "config",
            ]),
            "runtime" => Some(&["runtime", "api", "domain", "providers"]),
            _ => None,
        }
    };
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(allowed) = allowed(source.layer()) else {
            continue;
        };
        for name in source.names() {
            if !name
                .first()
                .is_some_and(|first| allowed.contains(&first.as_str()))
            {
                wrong.push(format!("{} names {}", source.path, name.join("::")));
            }
        }
    }
    assert_none("arrows that point up", &wrong);
}

#[test]
fn vendors_know_neither_each_other_nor_kubernetes() {
    let vendors = vendors();
    let known = ["cloudflare", "ispconfig", "nginx_proxy_manager", "proxmox"];
    assert!(
        known.iter().all(|vendor| vendors.contains(*vendor)),
        "{vendors:?}"
    );
    let mut wrong = Vec::new();
    for source in sources() {
        let own = match source.module().as_slice() {
            ["providers", vendor, ..] => Some((*vendor).to_owned()),
            _ => None,
        };
        for name in source.names() {
            let vendor = match name.as_slice() {
                [first, vendor, ..] if first == "providers" && vendors.contains(vendor) => vendor,
                _ => continue,
            };
            let declares = source.path == "providers/mod.rs";
            if Some(vendor) != own.as_ref() && !declares && source.path != BUILDS_VENDORS {
                wrong.push(format!("{} names {}", source.path, name.join("::")));
            }
        }
        let outside = ["kube", "k8s_openapi"];
        if ["providers", "domain", "sim"].contains(&source.layer()) {
            let named = outside.iter().filter(|name| source.uses(&[name]));
            wrong.extend(named.map(|name| format!("{} uses {name}", source.path)));
        }
    }
    assert_none("vendors out of their folders", &wrong);
}

#[test]
fn resources_have_no_client_and_no_clock() {
    let forbidden = [
        ["kube", "Client"],
        ["kube", "Api"],
        ["kube", "runtime"],
        ["Timestamp", "now"],
    ];
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|s| ["api", "domain"].contains(&s.layer()))
    {
        let used = forbidden.iter().filter(|path| source.uses(path.as_slice()));
        wrong.extend(used.map(|path| format!("{} uses {}", source.path, path.join("::"))));
        for word in ["async", "tokio", "reqwest"] {
            if source.has(word) {
                wrong.push(format!("{} uses {word}", source.path));
            }
        }
    }
    assert_none("resources and words that do something", &wrong);
}

#[test]
fn planners_only_decide() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let file = PURE
            .iter()
            .find(|(kind, name)| module.starts_with(&["controllers", kind, name]));
        let Some(file) = file else { continue };
        seen.insert(*file);
        let words = [
            "async",
            "await",
            "tracing",
            "Instant",
            "SystemTime",
            "getrandom",
            "rand",
            "tokio",
        ];
        let used = words.iter().filter(|word| source.has(word));
        wrong.extend(used.map(|word| format!("{} uses {word}", source.path)));
        if source.uses(&["Timestamp", "now"]) {
            wrong.push(format!("{} reads the clock", source.path));
        }
    }
    assert_eq!(seen, BTreeSet::from(PURE));
    assert_none("planners that do more than decide", &wrong);
}

#[test]
fn files_are_short_and_their_names_say_what_they_are() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{} has {lines} lines", source.path));
        }
        let modules = source.tokens.windows(2).filter(|pair| pair[0] == "mod");
        let modules = modules.map(|pair| pair[1].clone());
        let path = source.module().into_iter().map(str::to_owned);
        for name in path.chain(modules) {
            let empty = name.split('_').any(|part| EMPTY_NAMES.contains(&part));
            if empty && name != PRODUCT {
                wrong.push(format!("{} has the empty name {name}", source.path));
            }
        }
    }
    assert_none("files", &wrong);
}

#[test]
fn the_reader_of_sources_sees_paths_and_no_comments() {
    let text = r##"
        use crate::{api, providers::{ErrorKind, proxmox::{self, connect}}}; // crate::sim
        use super::site::Action;
        /// crate::controllers
        fn f<'a>(c: char) -> bool { let s = "crate::stage \" {"; let r = r#"super::x"#; c == '"' || c == '\'' }
        #[cfg(test)]
        mod tests { use crate::sim::faults; fn g() { {} } }
        fn h() { kube::Client::try_default(); my::kube::x(); }
    "##;
    let source = Source {
        path: "controllers/kind/plan.rs".to_owned(),
        text: text.to_owned(),
        tokens: without_tests(tokens(text)),
    };
    let names: Vec<String> = source.names().iter().map(|name| name.join("::")).collect();
    let expected = [
        "api",
        "controllers::kind::site::Action",
        "providers::ErrorKind",
        "providers::proxmox",
        "providers::proxmox::connect",
    ];
    assert_eq!(names, expected);
    assert!(source.uses(&["kube"]) && source.uses(&["kube", "Client"]));
    assert!(!source.uses(&["kube", "x"]) && !source.has("sim"));
}
