//! DNS records as values in canonical form: two that mean the same are equal, on every back-end. And the rules that
//! turn what a user typed into them.

mod content;
mod data;
mod digest;
mod name;
mod owner_name;
mod quote;
mod refusal;
mod rules;
mod rules_of_sets;
mod text;
mod written;
mod zone_name;

#[cfg(test)]
mod tests;

pub use data::{RecordData, RecordKind, RecordSpec, Target};
pub use name::RecordName;
pub use refusal::{RecordRefusal, RecordRule};
pub use rules::{TXT_MAX, TypedRecord, ZoneSetting, check_record};
pub use rules_of_sets::{check_records, default_records, name_server_records};
pub use written::{WrittenRecord, written};
pub use zone_name::{ZoneNameError, in_unicode, is_public_suffix, registrable, unknown_suffix, zone_name};
