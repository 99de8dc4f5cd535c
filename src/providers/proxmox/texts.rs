//! Texts of a configuration in which others write too. Each is merged: what is ours is put in, what others wrote
//! stays. `None` always means that the text is right as it is.

use super::wire::{TAG, TAG_UID_PREFIX, description_for, items};
use crate::domain::{ObjectUid, OwnerMark};
use crate::providers::error::{ErrorKind, ProviderError};

/// Characters of a description (schema of `description`).
const DESCRIPTION_MAX: usize = 8192;

/// The tags with both of ours and without another owner's, which would hint at the wrong one.
pub(super) fn merged_tags(tags: &str, owner: &OwnerMark) -> Option<String> {
    let uid_tag = format!("{TAG_UID_PREFIX}{}", owner.uid);
    let names_another = |tag: &str| {
        let uid = tag.strip_prefix(TAG_UID_PREFIX);
        uid.is_some_and(|uid| uid.parse::<ObjectUid>().is_ok_and(|uid| uid != owner.uid))
    };
    let present = items(tags);
    let mut merged: Vec<&str> = present
        .iter()
        .copied()
        .filter(|tag| !names_another(tag))
        .collect();
    let kept = merged.len();
    let missing = [TAG, &uid_tag].into_iter().filter(|tag| !present.contains(tag));
    merged.extend(missing);
    (kept != present.len() || merged.len() != kept).then(|| merged.join(";"))
}

fn pairs(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split(',').filter_map(|part| part.split_once('='));
    parts.map(|(key, value)| (key.trim(), value.trim())).collect()
}

/// An interface with the bridge, address, gateway and VLAN of `fresh`, which is one as creation gives it. Its
/// hardware address, its name and everything else that creation does not set stay.
pub(super) fn merged_interface(interface: &str, fresh: &str) -> Option<String> {
    let (present, wanted) = (pairs(interface), pairs(fresh));
    let value_in = |list: &[(&str, &str)], key: &str| {
        let found = list.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| (*value).to_owned())
    };
    let kept = present.iter().filter_map(|(key, value)| {
        let value = match (*key, value_in(&wanted, key)) {
            ("name", _) => (*value).to_owned(),
            // No VLAN is a setting too.
            ("tag", None) => return None,
            (_, wanted) => wanted.unwrap_or_else(|| (*value).to_owned()),
        };
        Some(format!("{key}={value}"))
    });
    let added = wanted
        .iter()
        .filter(|(key, _)| value_in(&present, key).is_none())
        .map(|(key, value)| format!("{key}={value}"));
    let merged: Vec<String> = kept.chain(added).collect();
    let before: Vec<String> = present
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    (merged != before).then(|| merged.join(","))
}

/// A description without a mark, with the owner's on a line of its own below what stands there.
///
/// # Errors
/// `Invalid` when the two together are longer than Proxmox takes.
pub(super) fn marked_description(text: &str, owner: &OwnerMark) -> Result<String, ProviderError> {
    let ours = description_for(owner);
    let whole = match text.trim_end() {
        "" => ours,
        theirs => format!("{theirs}\n\n{ours}"),
    };
    if whole.chars().count() > DESCRIPTION_MAX {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "its description has no room left for the owner mark; shorten it to 8000 characters",
        ));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
    const OTHER: &str = "1b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

    fn owner() -> OwnerMark {
        format!("hostwright:prod:{UID}").parse().unwrap()
    }

    #[test]
    fn tags_of_others_stay() {
        let merged = |tags: &str| merged_tags(tags, &owner());
        let ours = format!("hostwright;hw-{UID}");
        assert_eq!(merged(""), Some(ours.clone()));
        assert_eq!(merged("backup;gold"), Some(format!("backup;gold;{ours}")));
        assert_eq!(
            merged("gold hostwright"),
            Some(format!("gold;hostwright;hw-{UID}"))
        );
        for right in [
            ours.clone(),
            format!("gold;{ours}"),
            format!("hw-{UID},hostwright"),
        ] {
            assert_eq!(merged(&right), None, "{right}");
        }
        assert_eq!(merged(&format!("{ours};hw-{OTHER}")), Some(ours));
        // Looks like one of ours and names nobody.
        let odd = merged(&format!("hostwright;hw-{UID};hw-raid"));
        assert_eq!(odd, None);
    }

    #[test]
    fn an_interface_keeps_what_creation_does_not_set() {
        let fresh = "name=eth0,bridge=vmbr0,ip=10.0.0.7/24,gw=10.0.0.1";
        let tagged = format!("{fresh},tag=12");
        assert_eq!(merged_interface("", fresh).as_deref(), Some(fresh));
        let stored =
            "name=eth0,bridge=vmbr0,gw=10.0.0.1,hwaddr=BC:24:11:00:00:01,ip=10.0.0.7/24,rate=5,type=veth";
        assert_eq!(merged_interface(stored, fresh), None);
        assert_eq!(
            merged_interface(stored, &tagged),
            Some(format!("{stored},tag=12"))
        );
        assert_eq!(
            merged_interface(&format!("{stored},tag=12"), fresh).as_deref(),
            Some(stored)
        );
        assert_eq!(
            merged_interface(
                "name=lan,bridge=vmbr9,firewall=1,hwaddr=BC:24:11:00:00:01,ip=dhcp,tag=3",
                &tagged
            )
            .as_deref(),
            Some(
                "name=lan,bridge=vmbr0,firewall=1,hwaddr=BC:24:11:00:00:01,ip=10.0.0.7/24,tag=12,gw=10.0.0.1"
            )
        );
    }

    #[test]
    fn a_description_gets_the_mark_on_a_line_of_its_own() {
        for (text, begins) in [
            ("", "Managed by"),
            ("Shop of Jane\n", "Shop of Jane\n\nManaged by"),
        ] {
            let whole = marked_description(text, &owner()).unwrap();
            assert!(whole.starts_with(begins), "{whole}");
            assert!(whole.lines().any(|line| line == owner().to_string()));
            assert_eq!(OwnerMark::find_in(&whole), Some(owner()));
        }
        let long = marked_description(&"x".repeat(8192), &owner()).unwrap_err();
        assert_eq!(long.kind(), ErrorKind::Invalid);
    }
}
