//! A checker for the part of OpenAPI 3.0 that the vendors' schemas use: paths, parameters, bodies, answers.
//! A keyword that it does not know is a violation, so that nothing passes unchecked in silence.

use std::path::PathBuf;

use serde_json::Value;

/// Keywords without a rule for values.
const SILENT: [&str; 6] = ["description", "default", "nullable", "title", "example", "format"];
/// The two patterns of the schema, by what they allow.
const ONE_LINE: &str = r"^[^\r\n]*$";
const TAG: &str = r"^[A-Za-z0-9_-]{1,32}:[^\r\n]{0,100}$";

pub(super) struct Contract {
    document: Value,
}

/// One exchange as the contract sees it.
pub(super) struct Seen<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a [(String, String)],
    pub request: Option<&'a Value>,
    pub status: u16,
    pub response: Option<&'a Value>,
}

impl Contract {
    /// The contract of this file name, `None` (said loudly) where the folder is not there.
    pub fn load(file: &str) -> Option<Self> {
        let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts");
        let folder = std::env::var_os("HOSTWRIGHT_CONTRACTS").map_or_else(beside, PathBuf::from);
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            eprintln!("SKIPPED: comparison with {file}; set HOSTWRIGHT_CONTRACTS to the folder that has it");
            return None;
        };
        Some(Self {
            document: serde_json::from_str(&text).unwrap(),
        })
    }

    /// Everything in which an exchange differs from the contract.
    pub fn violations(&self, seen: &Seen<'_>) -> Vec<String> {
        let mut found = Vec::new();
        let Some((parameters, operation)) = self.operation(seen, &mut found) else {
            return vec![format!("{} {} is not in the contract", seen.method, seen.path)];
        };
        self.query(seen, &parameters, &mut found);
        let schema = operation.pointer("/requestBody/content/application~1json/schema");
        match (schema, seen.request) {
            (Some(schema), Some(body)) => self.check(schema, body, "request", &mut found),
            (Some(_), None) => found.push("request: the body is missing".to_owned()),
            (None, Some(_)) => found.push("request: no body is taken here".to_owned()),
            (None, None) => {}
        }
        let responses = &operation["responses"];
        let exact = responses.get(seen.status.to_string());
        let class = || responses.get(format!("{}XX", seen.status / 100));
        match (exact.or_else(class), seen.response) {
            (Some(response), Some(body)) => {
                let schema = &response["content"]["application/json"]["schema"];
                self.check(schema, body, "response", &mut found);
            }
            (None, _) => found.push(format!("response: status {} is not foreseen", seen.status)),
            (_, None) => found.push("response: no JSON".to_owned()),
        }
        found
    }

    fn operation(&self, seen: &Seen<'_>, found: &mut Vec<String>) -> Option<(Vec<&Value>, &Value)> {
        let paths = self.document["paths"].as_object().unwrap();
        let parts: Vec<&str> = seen.path.split('/').collect();
        let fits = |template: &&String| {
            let wanted: Vec<&str> = template.split('/').collect();
            let same = |(want, have): (&&str, &&str)| want.starts_with('{') || want == have;
            wanted.len() == parts.len() && wanted.iter().zip(&parts).all(same)
        };
        // The template with the fewest variables is the one that is meant: `batch` is no record id.
        let template = paths
            .keys()
            .filter(fits)
            .min_by_key(|template| template.matches('{').count())?;
        let item = &paths[template];
        let operation = item.get(seen.method.to_lowercase())?;
        let lists = [item.get("parameters"), operation.get("parameters")];
        let parameters: Vec<&Value> = lists
            .into_iter()
            .flatten()
            .flat_map(|l| l.as_array().unwrap())
            .collect();
        for (want, have) in template.split('/').zip(&parts) {
            let name = want.trim_matches(['{', '}']);
            let declared = parameters.iter().find(|p| p["in"] == "path" && p["name"] == name);
            if let Some(declared) = declared {
                self.check(&declared["schema"], &Value::from(*have), name, found);
            }
        }
        Some((parameters, operation))
    }

    fn query(&self, seen: &Seen<'_>, parameters: &[&Value], found: &mut Vec<String>) {
        for (key, text) in seen.query {
            let declared = parameters
                .iter()
                .find(|p| p["in"] == "query" && p["name"] == *key);
            let Some(declared) = declared else {
                found.push(format!("query: {key} is unknown"));
                continue;
            };
            let typed = match declared["schema"]["type"].as_str() {
                Some("number" | "integer" | "boolean") => serde_json::from_str(text).unwrap_or_default(),
                _ => Value::from(text.as_str()),
            };
            self.check(&declared["schema"], &typed, key, found);
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let Some(rules) = schema.as_object() else {
            found.push(format!("{at}: no schema"));
            return;
        };
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        for (keyword, rule) in rules {
            let broken = match keyword.as_str() {
                "$ref" => {
                    let place = rule.as_str().unwrap().trim_start_matches('#');
                    self.check(self.document.pointer(place).unwrap(), value, at, found);
                    false
                }
                "allOf" => {
                    rule.as_array()
                        .unwrap()
                        .iter()
                        .for_each(|part| self.check(part, value, at, found));
                    false
                }
                "anyOf" => self.fitting(rule, value) == 0,
                "oneOf" => self.fitting(rule, value) != 1,
                "properties" => {
                    for (key, inner) in rule.as_object().unwrap() {
                        if let Some(value) = value.get(key) {
                            self.check(inner, value, &format!("{at}.{key}"), found);
                        }
                    }
                    false
                }
                "items" => {
                    for (place, value) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, value, &format!("{at}[{place}]"), found);
                    }
                    false
                }
                "additionalProperties" => *rule == false && !only_known(schema, value),
                known if SILENT.contains(&known) => false,
                other => !holds(other, rule, value),
            };
            if broken {
                found.push(format!("{at}: {keyword} {rule} is broken by {value}"));
            }
        }
    }

    fn fitting(&self, alternatives: &Value, value: &Value) -> usize {
        let fits = |schema: &&Value| {
            let mut found = Vec::new();
            self.check(schema, value, "", &mut found);
            found.is_empty()
        };
        alternatives.as_array().unwrap().iter().filter(fits).count()
    }
}

fn only_known(schema: &Value, value: &Value) -> bool {
    let known = |key: &String| schema["properties"].get(key).is_some();
    value.as_object().is_none_or(|object| object.keys().all(known))
}

/// A keyword about a value by itself. Those about another type than the value's hold.
fn holds(keyword: &str, rule: &Value, value: &Value) -> bool {
    let size = rule.as_u64().and_then(|size| usize::try_from(size).ok());
    let text = value.as_str();
    match keyword {
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            _ => false,
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "required" => {
            let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
            !value.is_object() || rule.as_array().unwrap().iter().all(has)
        }
        "minLength" => text.is_none_or(|text| Some(text.chars().count()) >= size),
        "maxLength" => text.is_none_or(|text| Some(text.chars().count()) <= size),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value
            .as_f64()
            .is_none_or(|number| number <= rule.as_f64().unwrap()),
        "minItems" => value.as_array().is_none_or(|list| Some(list.len()) >= size),
        "maxItems" => value.as_array().is_none_or(|list| Some(list.len()) <= size),
        "minProperties" => value.as_object().is_none_or(|object| Some(object.len()) >= size),
        "uniqueItems" => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter()
                .enumerate()
                .all(|(place, item)| !list[..place].contains(item))
        }
        "pattern" => match (rule.as_str().unwrap(), text) {
            (_, None) => true,
            (ONE_LINE, Some(text)) => !text.contains(['\r', '\n']),
            // We never send tags, and the simulator never has any.
            (TAG, Some(_)) => false,
            _ => false,
        },
        _ => false,
    }
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let document = serde_json::json!({
        "paths": {
            "/things/{id}": {
                "parameters": [{"in": "path", "name": "id", "schema": {"type": "string", "maxLength": 2}}],
                "patch": {
                    "parameters": [{"in": "query", "name": "page", "schema": {"type": "number", "minimum": 1}}],
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/s/Thing"}}}},
                    "responses": {"200": {"content": {"application/json": {"schema": {"type": "object"}}}}},
                },
            },
        },
        "s": {"Thing": {
            "type": "object", "additionalProperties": false, "required": ["kind"],
            "properties": {"kind": {"enum": ["a"]}, "note": {"type": "string", "nullable": true}},
        }},
    });
    let contract = Contract { document };
    let count = |path: &str, query: &[(&str, &str)], request: Value, status: u16| {
        let query: Vec<(String, String)> = query
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let response = serde_json::json!({});
        let seen = Seen {
            method: "PATCH",
            path,
            query: &query,
            request: Some(&request),
            status,
            response: Some(&response),
        };
        contract.violations(&seen).len()
    };
    let good = || serde_json::json!({"kind": "a", "note": null});
    assert_eq!(count("/things/1", &[("page", "1")], good(), 200), 0);
    assert_eq!(count("/others/1", &[], good(), 200), 1);
    assert_eq!(count("/things/123", &[], good(), 200), 1);
    assert_eq!(count("/things/1", &[("page", "0")], good(), 200), 1);
    assert_eq!(count("/things/1", &[("size", "1")], good(), 200), 1);
    assert_eq!(count("/things/1", &[], good(), 500), 1);
    for bad in [
        serde_json::json!({"kind": "b"}),
        serde_json::json!({"note": "x"}),
        serde_json::json!({"kind": "a", "new": 1}),
        serde_json::json!({"kind": "a", "note": 1}),
    ] {
        assert_eq!(count("/things/1", &[], bad.clone(), 200), 1, "{bad}");
    }
}
