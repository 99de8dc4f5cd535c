//! Names that somebody may have meant. Pure.

/// Names that are told.
const TOLD: usize = 3;

/// What to say of the names that there are, when the one that was asked for is not among them.
pub(super) fn hint(asked: &str, there: &[String], kind: &str, place: &str) -> String {
    let near = near(asked, there);
    match (near.as_slice(), there.len()) {
        ([], 0) => format!("there is no {kind} in {place}; -n names another namespace"),
        ([], 1) => format!("the only {kind} in {place} is {}", there.concat()),
        ([], count) => format!("{place} has {count} others; -n names another namespace"),
        (near, _) => format!("did you mean {}?", near.join(", ")),
    }
}

/// The nearest names, best first: those within a third of the letters, and those that one is a part of.
fn near<'a>(asked: &str, there: &'a [String]) -> Vec<&'a str> {
    let far = asked.chars().count().div_ceil(3);
    let mut found: Vec<(usize, &str)> = there
        .iter()
        .filter_map(|name| {
            let steps = distance(asked, name);
            let part = !asked.is_empty() && (name.contains(asked) || asked.contains(name.as_str()));
            (steps <= far || part).then_some((steps, name.as_str()))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(TOLD).map(|(_, name)| name).collect()
}

/// Letters to insert, drop or change to make one name of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut next = vec![line + 1];
        for ((above, left_above), candidate) in row.iter().skip(1).zip(&row).zip(&other) {
            let change = left_above + usize::from(letter != *candidate);
            let left = next.last().copied().unwrap_or_default();
            next.push(change.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn distances_count_letters() {
        for (one, other, steps) in [
            ("", "", 0),
            ("", "ab", 2),
            ("bakery", "bakery", 0),
            ("bakrey", "bakery", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(
                (distance(one, other), distance(other, one)),
                (steps, steps),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn the_nearest_name_comes_first() {
        let there = names(&["florist", "bakery-2", "bakery", "brewery"]);
        assert_eq!(near("bakrey", &there), ["bakery"]);
        assert_eq!(near("baker", &there), ["bakery", "bakery-2"]);
        assert_eq!(near("xyz", &there), Vec::<&str>::new());
    }

    #[test]
    fn what_is_said_depends_on_what_there_is() {
        let say =
            |asked: &str, there: &[&str]| hint(asked, &names(there), "WordPressSite", "namespace customers");
        assert_eq!(say("bakrey", &["bakery"]), "did you mean bakery?");
        assert_eq!(
            say("x", &["bakery"]),
            "the only WordPressSite in namespace customers is bakery"
        );
        assert_eq!(
            say("x", &["bakery", "florist"]),
            "namespace customers has 2 others; -n names another namespace"
        );
        assert_eq!(
            say("x", &[]),
            "there is no WordPressSite in namespace customers; -n names another namespace"
        );
    }
}
