//! One operation on a site's container at a time, among backups and restores: a container takes no second one, and a
//! refusal would cost a try.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Namespace and name of a site.
pub type SiteKey = (String, String);

/// Whose turn it is at each site's container.
#[derive(Debug, Default)]
pub struct Turns {
    holders: Mutex<HashMap<SiteKey, String>>,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<SiteKey, String>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn; `false` when another object has it. The one that has it may take it again.
    pub fn take(&self, site: &SiteKey, uid: &str) -> bool {
        let mut holders = self.lock();
        let holder = holders.entry(site.clone()).or_insert_with(|| uid.to_owned());
        holder == uid
    }

    /// Gives the turn back, if the object has it.
    pub fn leave(&self, site: &SiteKey, uid: &str) {
        let mut holders = self.lock();
        if holders.get(site).is_some_and(|holder| holder == uid) {
            holders.remove(site);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_per_site() {
        let (turns, site) = (Turns::default(), ("a".to_owned(), "b".to_owned()));
        assert!(turns.take(&site, "1") && turns.take(&site, "1"));
        assert!(!turns.take(&site, "2"));
        assert!(turns.take(&("a".to_owned(), "c".to_owned()), "2"));
        turns.leave(&site, "2");
        assert!(!turns.take(&site, "2"), "nobody leaves for another");
        turns.leave(&site, "1");
        assert!(turns.take(&site, "2"));
    }
}
