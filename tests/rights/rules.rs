//! The chart's rules and the API server's audit log in the same words, and the comparison of both.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// One thing that the chart allows the operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The only namespace; all, and what is in none, when absent.
    pub namespace: Option<String>,
    /// API group, empty for the core.
    pub group: String,
    /// Resource, with `/` and the subresource if there is one.
    pub resource: String,
    /// Verb.
    pub verb: String,
    /// The only object; all when absent.
    pub name: Option<String>,
}

/// One finished request of the operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Namespace, empty for objects in none and for requests across all.
    pub namespace: String,
    /// API group, empty for the core.
    pub group: String,
    /// Resource, with `/` and the subresource if there is one.
    pub resource: String,
    /// Verb.
    pub verb: String,
    /// Name, empty for requests about many.
    pub name: String,
    /// Status of the answer.
    pub code: u64,
}

impl Right {
    fn allows(&self, request: &Request) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|only| *only == request.namespace)
            && self.name.as_ref().is_none_or(|only| *only == request.name)
            && (&self.group, &self.resource, &self.verb) == (&request.group, &request.resource, &request.verb)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = if self.group.is_empty() {
            "core"
        } else {
            &self.group
        };
        write!(f, "{} {} of {group}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, ", only {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " (Role in {namespace})"),
            None => write!(f, " (ClusterRole)"),
        }
    }
}

/// Every right in a rendered chart, each verb on each resource by itself.
pub fn rights(rendered: &str) -> Vec<Right> {
    let documents: Vec<Value> = serde_yaml::from_multiple(rendered).unwrap();
    let mut rights = Vec::new();
    for document in &documents {
        let namespace = match document["kind"].as_str() {
            Some("ClusterRole") => None,
            Some("Role") => document["metadata"]["namespace"].as_str().map(str::to_owned),
            _ => continue,
        };
        for rule in document["rules"].as_array().unwrap() {
            rights.extend(of_rule(rule, namespace.as_ref()));
        }
    }
    rights
}

fn of_rule(rule: &Value, namespace: Option<&String>) -> Vec<Right> {
    let words = |key: &str| -> Vec<String> {
        let list = rule[key].as_array().into_iter().flatten();
        list.map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let names = words("resourceNames");
    let names: Vec<Option<String>> = match names.is_empty() {
        true => vec![None],
        false => names.into_iter().map(Some).collect(),
    };
    let mut rights = Vec::new();
    for group in words("apiGroups") {
        for resource in words("resources") {
            for verb in words("verbs") {
                assert!(
                    ![&group, &resource, &verb].iter().any(|word| word.contains('*')),
                    "a wildcard in the chart's rules: {rule}"
                );
                rights.extend(names.iter().map(|name| Right {
                    namespace: namespace.cloned(),
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    rights
}

/// What one user asked for, each kind of request once. The last line may still be written.
pub fn requests(audit_log: &str, user: &str) -> BTreeSet<Request> {
    let events = audit_log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_user = events.filter(|event| event["user"]["username"] == user);
    of_user.filter_map(|event| request(&event)).collect()
}

fn request(event: &Value) -> Option<Request> {
    let object = event.get("objectRef")?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = match object["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", word(&object["resource"])),
        None => word(&object["resource"]),
    };
    Some(Request {
        namespace: word(&object["namespace"]),
        group: word(&object["apiGroup"]),
        resource,
        verb: word(&event["verb"]),
        name: word(&object["name"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    })
}

/// Rights without which every request would have been allowed all the same.
pub fn needless<'a>(rights: &'a [Right], requests: &BTreeSet<Request>) -> Vec<&'a Right> {
    let is_needed = |right: &Right| {
        requests.iter().any(|request| {
            right.allows(request) && !rights.iter().any(|other| other != right && other.allows(request))
        })
    };
    rights.iter().filter(|right| !is_needed(right)).collect()
}

/// Requests that no right allows, or that the API server refused.
pub fn forbidden<'a>(rights: &[Right], requests: &'a BTreeSet<Request>) -> Vec<&'a Request> {
    let refused =
        |request: &&Request| request.code == 403 || !rights.iter().any(|right| right.allows(request));
    requests.iter().filter(refused).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHART: &str = r#"
kind: ServiceAccount
---
kind: ClusterRole
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, delete]
  - apiGroups: [""]
    resources: [namespaces]
    resourceNames: [kube-system]
    verbs: [get]
---
kind: Role
metadata: {namespace: own}
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, list]
"#;

    fn line(verb: &str, resource: &str, namespace: &str, name: &str, code: u64) -> String {
        let object = serde_json::json!({"resource": resource, "namespace": namespace, "name": name});
        let event = serde_json::json!({
            "user": {"username": "me"}, "verb": verb, "objectRef": object, "responseStatus": {"code": code},
        });
        event.to_string()
    }

    fn seen(lines: &[String]) -> BTreeSet<Request> {
        requests(&lines.join("\n"), "me")
    }

    #[test]
    fn a_right_that_nobody_used_is_named() {
        let rights = rights(CHART);
        assert_eq!(rights.len(), 5);
        let seen = seen(&[
            line("get", "secrets", "theirs", "a", 200),
            line("get", "secrets", "own", "a", 200),
            line("list", "secrets", "own", "", 200),
            line("get", "namespaces", "", "kube-system", 200),
        ]);
        let named: Vec<String> = needless(&rights, &seen).iter().map(ToString::to_string).collect();
        // The Role's get is in the ClusterRole already.
        assert_eq!(
            named,
            [
                "delete secrets of core (ClusterRole)",
                "get secrets of core (Role in own)"
            ]
        );
        assert!(forbidden(&rights, &seen).is_empty());
    }

    #[test]
    fn a_request_beyond_the_rights_is_named() {
        let seen = seen(&[
            line("get", "namespaces", "", "default", 403),
            line("list", "secrets", "theirs", "", 200),
            line("get", "secrets", "own", "a", 403),
            line("get", "secrets", "own", "b", 200),
        ]);
        assert_eq!(forbidden(&rights(CHART), &seen).len(), 3);
        assert!(requests(&line("get", "secrets", "own", "a", 200), "you").is_empty());
    }
}
