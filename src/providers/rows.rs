//! Long lists, of which each row becomes what is kept of it as soon as it is read.
//!
//! A row with all its texts is several times as large as what anybody asks of it later. The lists of a large cluster
//! would not fit beside it in the memory that an operator should need.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// One row of a list as the back-end writes it.
pub trait Row: DeserializeOwned {
    /// All that is kept of the rows.
    type Kept: Default;

    /// Adds what is kept of this row.
    fn keep(self, kept: &mut Self::Kept);
}

/// A list, read.
pub struct Rows<R: Row>(pub R::Kept);

impl<'de, R: Row> Deserialize<'de> for Rows<R> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Reader::<R>(PhantomData)).map(Self)
    }
}

struct Reader<R>(PhantomData<R>);

impl<'de, R: Row> Visitor<'de> for Reader<R> {
    type Value = R::Kept;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut kept = R::Kept::default();
        while let Some(row) = list.next_element::<R>()? {
            row.keep(&mut kept);
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for u8 {
        type Kept = u32;

        fn keep(self, sum: &mut u32) {
            *sum += u32::from(self);
        }
    }

    #[test]
    fn rows_are_kept_one_by_one_and_a_bad_one_is_an_error() {
        let sum = |json: &str| serde_json::from_str::<Rows<u8>>(json).map(|rows| rows.0).ok();
        assert_eq!(sum("[1, 2, 250]"), Some(253));
        assert_eq!(sum("[]"), Some(0));
        for bad in ["[1, 2, 256]", "{}", "null", "[1"] {
            assert_eq!(sum(bad), None, "{bad}");
        }
    }
}
