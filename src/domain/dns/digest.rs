//! Short names for what records say.

use std::fmt::Write;

use ring::digest::{Context, SHA256};

use super::data::{RecordData, RecordSpec};

/// Octets of the hash that are kept: among the 3,500 records of a zone two meet by chance once in
/// 2^64 / (3500² / 2) = 3 × 10^12 zones.
const DIGEST_OCTETS: usize = 8;

impl RecordSpec {
    /// 16 hexadecimal digits that stand for name, type, content and time to live; everything but `proxied`, which is
    /// the user's to switch at the vendor. The time to live is in it: a record of ours that somebody gave another
    /// one is not exactly as we left it. Stable: stored in status and compared by later versions.
    pub fn digest(&self) -> String {
        let mut hash = Context::new(&SHA256);
        // Length before text: no two lists of fields have the same octets.
        let mut field = |text: &str| {
            hash.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        };
        field(self.name.as_str());
        field(self.data.type_name());
        match &self.data {
            RecordData::Caa { flags, tag, value } => {
                field(&flags.to_string());
                field(tag);
                field(value);
            }
            RecordData::Txt(text) | RecordData::Other(_, text) => field(text),
            // Without free text, so that the text form has one meaning.
            other => field(&other.to_string()),
        }
        field(&self.ttl.map_or_else(String::new, |ttl| ttl.to_string()));
        let mut text = String::with_capacity(2 * DIGEST_OCTETS);
        for octet in hash.finish().as_ref().iter().take(DIGEST_OCTETS) {
            // Writing into a String cannot fail.
            let _ = write!(text, "{octet:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(data: RecordData, ttl: Option<u32>) -> RecordSpec {
        RecordSpec {
            name: "www.example.com".parse().unwrap(),
            data,
            ttl,
            proxied: false,
        }
    }

    fn caa(tag: &str, value: &str) -> RecordData {
        RecordData::Caa {
            flags: 0,
            tag: tag.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn digests_are_the_same_tomorrow() {
        let a = spec(RecordData::A([192, 0, 2, 1].into()), Some(3600));
        assert_eq!(a.digest(), "a88ed7ea1c573f63");
        let text = spec(RecordData::Txt("v=spf1 -all".to_owned()), None);
        assert_eq!(text.digest(), "c65188ef3d474fdf");
    }

    #[test]
    fn a_digest_tells_everything_apart_but_the_proxy() {
        let a = spec(RecordData::A([192, 0, 2, 1].into()), Some(3600));
        let mut seen = std::collections::BTreeSet::from([a.digest()]);
        for other in [
            spec(RecordData::A([192, 0, 2, 2].into()), Some(3600)),
            spec(RecordData::A([192, 0, 2, 1].into()), Some(60)),
            spec(RecordData::A([192, 0, 2, 1].into()), None),
            spec(RecordData::Txt("192.0.2.1".to_owned()), Some(3600)),
            spec(caa("issue", "x"), None),
            spec(caa("issu", "ex"), None),
        ] {
            assert!(seen.insert(other.digest()), "{other:?}");
        }
        let proxied = RecordSpec {
            proxied: true,
            ..a.clone()
        };
        assert_eq!(proxied.digest(), a.digest());
    }
}
