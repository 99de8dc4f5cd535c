//! How Cloudflare reads the names that it is sent.

/// Characters of a whole name (RFC 1035 2.3.4).
const NAME_MAX: usize = 253;
/// Octets of one label.
const LABEL_MAX: usize = 63;

/// The whole name in lower-case ASCII: `@` is the zone itself, and a name outside of the zone is taken for a
/// relative one. `None` for what is no name.
pub(super) fn absolute(name: &str, zone: &str) -> Option<String> {
    if name == "@" {
        return Some(zone.to_owned());
    }
    let name = ascii(name)?;
    let inside = name == zone || name.strip_suffix(zone).is_some_and(|head| head.ends_with('.'));
    let whole = if inside { name } else { format!("{name}.{zone}") };
    (whole.len() <= NAME_MAX).then_some(whole)
}

/// The name in lower-case ASCII without a final dot; underscores are fine, a wildcard only as first label.
pub(super) fn ascii(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = Vec::new();
    for (place, label) in name.split('.').enumerate() {
        match label {
            "*" if place == 0 => labels.push(label.to_owned()),
            _ => labels.push(ascii_label(label)?),
        }
    }
    let name = labels.join(".");
    (name.len() <= NAME_MAX).then_some(name)
}

fn ascii_label(label: &str) -> Option<String> {
    let label = if label.is_ascii() {
        label.to_ascii_lowercase()
    } else {
        // The URL parser knows IDNA, and the label alone is a host of its own.
        let url = reqwest::Url::parse(&format!("http://{label}/")).ok()?;
        url.host_str()?.to_owned()
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let good = !label.is_empty() && label.len() <= LABEL_MAX && label.chars().all(plain);
    (good && !label.starts_with('-') && !label.ends_with('-')).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_absolute_lower_case_ascii() {
        let of = |name: &str| absolute(name, "example.com");
        assert_eq!(of("@").unwrap(), "example.com");
        assert_eq!(of("EXAMPLE.com.").unwrap(), "example.com");
        assert_eq!(of("Shop").unwrap(), "shop.example.com");
        assert_eq!(of("a.example.org").unwrap(), "a.example.org.example.com");
        assert_eq!(of("notexample.com").unwrap(), "notexample.com.example.com");
        assert_eq!(of("München").unwrap(), "xn--mnchen-3ya.example.com");
        assert_eq!(of("*.a").unwrap(), "*.a.example.com");
        assert_eq!(of("_dmarc").unwrap(), "_dmarc.example.com");
        for bad in ["", "a..b", "-a", "a.*", "a b", &"x".repeat(64)] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
