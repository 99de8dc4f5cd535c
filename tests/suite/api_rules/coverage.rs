//! No rule without a test: what the schemas hold is compared with what the tables try.

use std::collections::BTreeSet;

use hostwright::api::crds;
use serde_json::Value;

use super::{REQUIRED, SERVICE_STAYS, SUBDOMAIN_STAYS, WORDS, bounds, defaults, life, shapes, zones};

/// Keywords that refuse something, besides `required`, `enum`, times and messages.
const LIMITS: [&str; 8] = [
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
];

/// Everything in the schema of a kind's spec that refuses something or fills something in, one line each.
fn rules(plural: &str, path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    for keyword in LIMITS {
        if schema.get(keyword).is_some() {
            found.insert(format!("{plural} {path} {keyword}"));
        }
    }
    assert!(
        schema.get("pattern").is_none(),
        "{path}: a pattern says nothing to people; use a rule with a message"
    );
    if schema.get("enum").is_some() {
        found.insert(format!("{plural} {path} enum"));
    }
    if schema.get("default").is_some() {
        found.insert(format!("{plural} {path} default"));
    }
    if schema["format"] == "date-time" {
        found.insert(format!("{plural} {path} time"));
    }
    for field in schema["required"].as_array().into_iter().flatten() {
        found.insert(format!("{plural} {path}/{} required", field.as_str().unwrap()));
    }
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        found.insert(format!(
            "{plural} {}",
            rule["message"].as_str().expect("a message")
        ));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if !(path.is_empty() && name == "status") {
            rules(plural, &format!("{path}/{name}"), property, found);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            rules(plural, &format!("{path}/*"), &schema[inner], found);
        }
    }
}

/// The path with the tables' own item and node replaced.
fn general(path: &str) -> String {
    let steps = path.split('/').map(|step| match step {
        "0" | "1" | "2" | "pve1" => "*",
        step => step,
    });
    steps.collect::<Vec<_>>().join("/")
}

#[test]
fn no_rule_is_untested() {
    let mut found = BTreeSet::new();
    for crd in crds::definitions() {
        let plural = crd["spec"]["names"]["plural"].as_str().unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        rules(plural, "", schema, &mut found);
    }
    let mut tried = BTreeSet::new();
    for (base, path, _) in WORDS {
        tried.insert(format!("{} {} enum", base.plural(), general(path)));
    }
    for bound in bounds::all() {
        for keyword in bound.keywords() {
            tried.insert(format!(
                "{} {} {keyword}",
                bound.base.plural(),
                general(bound.path)
            ));
        }
    }
    for (base, path) in REQUIRED {
        tried.insert(format!("{} {} required", base.plural(), general(path)));
    }
    for shape in shapes::all() {
        tried.insert(format!("{} {}", shape.base.plural(), shape.message));
    }
    for (base, path, value) in defaults() {
        let inside = value.as_object().into_iter().flat_map(|object| object.keys());
        let inside = inside.map(|name| format!("{path}/{name}"));
        for path in inside.chain([path.to_owned()]) {
            let default = format!("{} {} default", base.plural(), general(&path));
            // An object that is filled in may owe that to itself, or to its fields alone.
            tried.extend(found.get(&default).cloned());
        }
    }
    for (base, path) in life::TIMES {
        tried.insert(format!("{} {path} time", base.plural()));
    }
    for message in [SERVICE_STAYS, SUBDOMAIN_STAYS] {
        tried.insert(format!("wordpresssites {message}"));
    }
    tried.insert(format!("sitebackups {}", life::BACKUP_STAYS));
    tried.insert(format!("siterestores {}", life::RESTORE_STAYS));
    for (_, _, message) in zones::UNCHANGEABLE {
        tried.insert(format!("dnszones {message}"));
    }
    let untried: Vec<_> = found.difference(&tried).collect();
    let unknown: Vec<_> = tried.difference(&found).collect();
    assert!(
        untried.is_empty() && unknown.is_empty(),
        "untested: {untried:#?}\nnot in the schemas: {unknown:#?}"
    );
}

#[test]
fn the_definitions_in_the_repository_are_up_to_date() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["crds", "charts/hostwright/crds"] {
        let files = crds::files().unwrap();
        for file in &files {
            let path = root.join(folder).join(&file.name);
            let stored = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                stored == file.text,
                "{folder}/{} is not up to date; run `make generate`",
                file.name
            );
        }
        let stored = std::fs::read_dir(root.join(folder)).unwrap().count();
        assert_eq!(
            stored,
            files.len(),
            "{folder} holds a file that nothing generates"
        );
    }
}
