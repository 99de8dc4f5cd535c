//! What holds for every list that somebody can type.

use proptest::prelude::*;

use super::*;

const KINDS: [RecordKind; 8] = [
    RecordKind::A,
    RecordKind::Aaaa,
    RecordKind::Caa,
    RecordKind::Cname,
    RecordKind::Mx,
    RecordKind::Ns,
    RecordKind::Srv,
    RecordKind::Txt,
];

/// Names near the edges of the rules, and any text.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "", "@", "www", "WWW", "sub", "a.sub", "ns1.sub", "*", "*.sub", "_sip._tcp", "_dmarc",
            "mail", "example.com", "www.example.com.", "bücher", "x.example.org.",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,30}",
        1 => any::<String>(),
        1 => "[a-z_*.-]{0,70}",
    ]
}

fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "192.0.2.1", "192.0.2.2", "2001:DB8::1", "2001:db8:0:0::2", "PROXYSRV", "mail.example.com",
            "a.example.net.", "sub.example.com", "bücher.example", ".", "@", "www", "5 5060 sip.example.com",
            "0 0 .", "0 issue letsencrypt.org", "128 issuewild \";\"", "0 iodef mailto:a@b.example",
            "v=spf1 -all", "\"one\" \"two\"", "\"\\\"\\195\\164\"", "ä", "back\\slash",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,30}",
        1 => any::<String>(),
        1 => "\"?[a-z\"\\\\0-9 ;=.]{0,300}",
    ]
}

#[derive(Debug, Clone)]
struct Owned(String, RecordKind, String, u32, Option<u16>);

impl Owned {
    fn typed(&self) -> TypedRecord<'_> {
        TypedRecord {
            name: &self.0,
            kind: self.1,
            content: &self.2,
            ttl: self.3,
            priority: self.4,
        }
    }
}

fn record() -> impl Strategy<Value = Owned> {
    let ttl = prop_oneof![4 => Just(3600_u32), 1 => Just(300), 1 => any::<u32>()];
    let priority = prop_oneof![4 => Just(None), 1 => any::<u16>().prop_map(Some)];
    (name(), prop::sample::select(&KINDS[..]), content(), ttl, priority)
        .prop_map(|(name, kind, content, ttl, priority)| Owned(name, kind, content, ttl, priority))
}

/// The record as a user would type what a back-end gave back.
fn typed_again(spec: &RecordSpec) -> Owned {
    let name = format!("{}.", spec.name);
    let kind = spec.data.kind().unwrap();
    let ttl = spec.ttl.unwrap();
    let whole = spec.data.to_string();
    let (_, rest) = whole.split_once(' ').unwrap();
    let (content, priority) = match &spec.data {
        RecordData::Mx { preference, exchange } => (exchange.to_string(), Some(*preference)),
        RecordData::Srv { priority, .. } => (rest.split_once(' ').unwrap().1.to_owned(), Some(*priority)),
        RecordData::Txt(text) => {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            (format!("\"{escaped}\""), None)
        }
        _ => (rest.to_owned(), None),
    };
    Owned(name, kind, content, ttl, priority)
}

/// What both back-ends ask of a record that they shall take and give back as it is.
fn judge_accepted(zone: &Fqdn, spec: &RecordSpec) {
    assert!(spec.name.is_within(zone));
    assert!(spec.ttl.is_some_and(|ttl| (60..=86_400).contains(&ttl)));
    assert_eq!(spec.name.as_str().parse::<RecordName>().unwrap(), spec.name);
    let relative = spec.name.relative_to(zone).unwrap_or_default();
    match &spec.data {
        RecordData::A(_) | RecordData::Aaaa(_) => {
            assert!(relative.len() <= 64 && !spec.name.has_underscore());
        }
        RecordData::Mx { .. } => assert!(!spec.name.has_underscore()),
        RecordData::Ns(_) => assert!(!spec.name.is_apex(zone) && !spec.name.is_wildcard()),
        RecordData::Cname(target) => {
            assert!(!spec.name.is_apex(zone) && !target.is_wildcard() && *target != spec.name);
        }
        RecordData::Txt(text) => {
            let strings = text.len().div_ceil(255);
            assert!(!text.is_empty() && text.len() + strings <= 4096);
            assert!(!text.chars().any(char::is_control));
        }
        RecordData::Caa { value, .. } => assert!(!value.contains(['"', '\\']) && value.is_ascii()),
        RecordData::Srv { .. } => assert!(relative.starts_with('_')),
        RecordData::Other(..) => panic!("{spec:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn one_record_passes_and_reads_back_equal_or_is_refused_with_reasons(record in record()) {
        let zone = zone();
        let setting = setting(&zone);
        match check_record(&setting, &record.typed()) {
            Ok(spec) => {
                judge_accepted(&zone, &spec);
                let again = typed_again(&spec);
                prop_assert_eq!(check_record(&setting, &again.typed()), Ok(spec.clone()));
                for proxy in [setting.proxy, None] {
                    let import = written(&zone, &spec, proxy, 300).unwrap();
                    prop_assert_eq!(check_record(&setting, &import.typed()), Ok(spec.clone()), "{:?}", import);
                }
            }
            Err(refusal) => judge_refusal(&record.typed(), &refusal),
        }
    }

    #[test]
    fn a_list_passes_again_as_it_passed(
        records in prop::collection::vec(record(), 0..30),
        quota in prop::option::of(0_usize..20),
    ) {
        let zone = zone();
        let setting = ZoneSetting { quota, ..setting(&zone) };
        let typed: Vec<_> = records.iter().map(Owned::typed).collect();
        let outcomes = check_records(&setting, &typed);
        prop_assert_eq!(outcomes.len(), typed.len());
        for (typed, outcome) in typed.iter().zip(&outcomes) {
            if let Err(refusal) = outcome {
                judge_refusal(typed, refusal);
            }
        }
        let passed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.clone().ok()).collect();
        prop_assert!(quota.is_none_or(|quota| passed.len() <= quota));
        judge_set(&passed);
        let again: Vec<_> = passed.iter().map(typed_again).collect();
        let again: Vec<_> = again.iter().map(Owned::typed).collect();
        let outcomes_again = check_records(&setting, &again);
        prop_assert_eq!(outcomes_again.into_iter().collect::<Result<Vec<_>, _>>(), Ok(passed.clone()));
        let mut all = default_records(&setting, &typed, &outcomes);
        all.extend(passed);
        judge_set(&all);
    }
}

/// What a name server asks of a zone that it shall load.
fn judge_set(records: &[RecordSpec]) {
    for (at, one) in records.iter().enumerate() {
        for other in &records[at + 1..] {
            if one.name != other.name {
                continue;
            }
            assert_ne!(one.data, other.data);
            let alias = |spec: &RecordSpec| matches!(spec.data, RecordData::Cname(_));
            assert!(!alias(one) && !alias(other), "{one:?} {other:?}");
            let given = |spec: &RecordSpec| matches!(spec.data, RecordData::Ns(_));
            assert_eq!(given(one), given(other), "{one:?} {other:?}");
            if one.data.kind() == other.data.kind() {
                assert_eq!(one.ttl, other.ttl);
                let null = |spec: &RecordSpec| {
                    matches!(
                        &spec.data,
                        RecordData::Mx {
                            exchange: Target::Nowhere,
                            ..
                        }
                    )
                };
                assert!(!null(one) && !null(other));
            }
        }
    }
}
