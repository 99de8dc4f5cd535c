//! A few names at one place.

use std::ops::Deref;

use super::Fqdn;

/// Distinct names in their order. Nearly always it is one, of which there are as many as there are sites: a set's node
/// would be ten times as large.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Names(Box<[Fqdn]>);

impl FromIterator<Fqdn> for Names {
    fn from_iter<I: IntoIterator<Item = Fqdn>>(names: I) -> Self {
        let mut names: Vec<Fqdn> = names.into_iter().collect();
        names.sort();
        names.dedup();
        Self(names.into())
    }
}

impl<const N: usize> From<[Fqdn; N]> for Names {
    fn from(names: [Fqdn; N]) -> Self {
        names.into_iter().collect()
    }
}

impl Deref for Names {
    type Target = [Fqdn];

    fn deref(&self) -> &[Fqdn] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Names {
    type Item = &'a Fqdn;
    type IntoIter = std::slice::Iter<'a, Fqdn>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_in_order() {
        let names: Names = ["b.example.com", "a.example.com", "b.example.com"]
            .into_iter()
            .map(|name| name.parse().unwrap())
            .collect();
        let texts: Vec<&str> = names.iter().map(Fqdn::as_str).collect();
        assert_eq!(texts, ["a.example.com", "b.example.com"]);
        assert_eq!(names, Names::from([names[1].clone(), names[0].clone()]));
    }
}
