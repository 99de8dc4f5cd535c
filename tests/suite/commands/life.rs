//! What people do with a site, as the plugin of kubectl on the real API server. No operator runs in most of it: the
//! commands only read, and write what kubectl could write.

use std::path::PathBuf;
use std::process::Stdio;

use hostwright::api::{Power, SiteBackup, SiteRestore};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::process::Command;

use super::Ended;
use crate::world::{World, eventually, shared};

/// The program under the name by which kubectl finds it.
fn plugin() -> PathBuf {
    use std::sync::OnceLock;
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("kubectl-hostwright");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hostwright"), link).unwrap();
        folder
    });
    folder.path().join("kubectl-hostwright")
}

fn ended(output: std::process::Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the plugin as the administrator in the world's namespace.
async fn plug(world: &World, words: &[&str]) -> Ended {
    let mut command = Command::new(plugin());
    command.args(words).args(["--namespace", &world.namespace]);
    command.arg("--kubeconfig").arg(&shared().await.admin);
    ended(command.stdin(Stdio::null()).output().await.unwrap())
}

/// The same at a terminal, with what a person types.
async fn at_a_terminal(world: &World, words: &[&str], typed: &str, plain: bool) -> Ended {
    let mut line = format!("'{}'", plugin().display());
    let kubeconfig = shared().await.admin.display().to_string();
    let more = ["--namespace", &world.namespace, "--kubeconfig", &kubeconfig];
    for word in words.iter().chain(&more) {
        line.push_str(&format!(" '{word}'"));
    }
    let mut command = Command::new("script");
    // Its own answer is that of the command; nothing is kept in a file.
    command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
    command
        .env("TERM", "xterm")
        .env("NO_COLOR", if plain { "1" } else { "" });
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, typed.as_bytes())
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    drop(stdin);
    ended(output)
}

/// A site that the operator has made, as far as these commands can see.
async fn finished_site(world: &World, name: &str) {
    world.apply(&world.site(name)).await;
    let condition = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "The site is as specified.",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({"status": {
        "phase": "Running",
        "url": format!("https://{name}.sites.example.com"),
        "credentialsSecret": format!("{name}-wordpress"),
        "quota": {"domains": {"used": 0, "limit": 3, "display": "0/3"}, "backups": {"used": 1, "limit": 2, "display": "1/2"}},
        "conditions": [condition],
    }});
    world
        .sites()
        .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
}

async fn finished_backup(world: &World, site: &str, name: &str) {
    let api: Api<SiteBackup> = Api::namespaced(world.admin.clone(), &world.namespace);
    let backup = json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "SiteBackup",
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": {"site": site},
    });
    world.apply(&backup).await;
    let status = json!({"status": {"phase": "Ready", "snapshot": "BAK01012026-1", "createdAt": "2026-01-01T00:00:00Z"}});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_writes_its_field_and_nothing_else() {
    let world = World::new().await;
    finished_site(&world, "jane").await;
    let spec = async || serde_json::to_value(world.sites().get("jane").await.unwrap().spec).unwrap();
    let before = spec().await;
    for (words, field, value) in [
        (["suspend", "jane"], "suspended", json!(true)),
        (["resume", "jane"], "suspended", json!(false)),
        (["stop", "jane"], "power", json!(Power::Stopped)),
        (["start", "jane"], "power", json!(Power::Running)),
    ] {
        let run = plug(&world, &words).await;
        assert_eq!((run.code, run.errors.as_str()), (0, ""), "{run:?}");
        assert!(
            run.out
                .starts_with(&format!("WordPressSite {}/jane ", world.namespace)),
            "{run:?}"
        );
        let mut expected = before.clone();
        expected[field] = value;
        assert_eq!(spec().await, expected, "{words:?}");
        let generation = world.sites().get("jane").await.unwrap().metadata.generation;
        let again = plug(&world, &words).await;
        assert!(again.out.contains("nothing was changed"), "{again:?}");
        assert_eq!(
            world.sites().get("jane").await.unwrap().metadata.generation,
            generation
        );
    }
    let site = world.sites().get("jane").await.unwrap();
    let managers: Vec<_> = site
        .managed_fields()
        .iter()
        .filter_map(|entry| entry.manager.clone())
        .collect();
    assert!(
        managers.contains(&"kubectl-hostwright".to_owned()),
        "{managers:?}"
    );

    let first = plug(&world, &["restart", "jane", "-o", "json"]).await.json();
    let second = plug(&world, &["restart", "wps/jane", "-o", "json"]).await.json();
    let time = |object: &Value| {
        object["spec"]["restartedAt"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert!(time(&second) > time(&first), "two restarts are two times");
    assert_eq!(second["metadata"]["managedFields"], Value::Null);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_and_restores_are_objects() {
    let world = World::new().await;
    finished_site(&world, "jane").await;
    finished_backup(&world, "jane", "good").await;
    let backups: Api<SiteBackup> = Api::namespaced(world.admin.clone(), &world.namespace);
    let restores: Api<SiteRestore> = Api::namespaced(world.admin.clone(), &world.namespace);

    let made = plug(&world, &["backup", "jane", "-o", "json"]).await.json();
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("jane-"), "{made}");
    assert_eq!(backups.get(name).await.unwrap().spec.site, "jane");
    let said = plug(&world, &["restore", "jane", "--backup", name, "--yes"]).await;
    assert_eq!(said.code, 1);
    assert!(
        said.errors.contains("is not taken yet; jane can go back to good"),
        "{said:?}"
    );

    let said = plug(&world, &["restore", "jane", "--backup", "good"]).await;
    assert_eq!(said.code, 1);
    assert!(
        said.errors
            .contains("jane goes back to good, taken 2026-01-01T00:00:00Z."),
        "{said:?}"
    );
    assert!(said.errors.contains("say --yes; nothing was done"), "{said:?}");
    let no = at_a_terminal(&world, &["restore", "jane", "--backup", "good"], "no\n", true).await;
    assert_eq!(no.code, 1, "{no:?}");
    assert!(
        no.out.contains("Type yes: ") && no.out.contains("Nothing was done."),
        "{no:?}"
    );
    assert!(
        restores
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );

    let yes = at_a_terminal(&world, &["restore", "jane", "--backup", "good"], "yes\n", true).await;
    assert_eq!(yes.code, 0, "{yes:?}");
    assert_eq!(
        plug(&world, &["restore", "jane", "--initial", "--yes"])
            .await
            .code,
        0
    );
    let found = restores.list(&ListParams::default()).await.unwrap().items;
    let mut goals: Vec<_> = found
        .iter()
        .map(|restore| {
            (
                restore.spec.site.as_str(),
                restore.spec.backup.as_deref(),
                restore.spec.snapshot.as_deref(),
            )
        })
        .collect();
    goals.sort_unstable();
    assert_eq!(
        goals,
        [("jane", None, Some("initial")), ("jane", Some("good"), None)]
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_shown_as_tree_lines_and_json() {
    let world = World::new().await;
    let none = plug(&world, &["status"]).await;
    assert!(
        none.out.starts_with("There is no WordPressSite in namespace"),
        "{none:?}"
    );
    finished_site(&world, "jane").await;
    finished_site(&world, "joan").await;
    finished_backup(&world, "jane", "good").await;
    finished_backup(&world, "joan", "other").await;

    let tree = plug(&world, &["status", "jane"]).await;
    assert_eq!((tree.code, tree.errors.as_str()), (0, ""), "{tree:?}");
    assert!(tree.out.starts_with("PART "), "{tree:?}");
    assert!(tree.out.contains("https://jane.sites.example.com"), "{tree:?}");
    assert!(tree.out.contains("└─ good"), "{tree:?}");
    assert!(
        !tree.out.contains("other") && !tree.out.contains('\u{1b}'),
        "{tree:?}"
    );
    let coloured = at_a_terminal(&world, &["status", "jane"], "", false).await;
    assert!(
        coloured.out.contains("\u{1b}[32mRunning\u{1b}[0m"),
        "{coloured:?}"
    );
    let plain = at_a_terminal(&world, &["status", "jane"], "", true).await;
    assert!(
        !plain.out.contains('\u{1b}') && plain.out.contains("Running"),
        "{plain:?}"
    );

    let one = plug(&world, &["status", "jane", "-o", "json"]).await.json();
    assert_eq!(
        (&one["phase"], &one["backups"][0]["name"]),
        (&json!("Running"), &json!("good"))
    );
    let lines = plug(&world, &["status"]).await;
    assert!(
        lines.out.contains("\njane ") && lines.out.contains("\njoan "),
        "{lines:?}"
    );
    let all = plug(&world, &["status", "-o", "json"]).await.json();
    assert_eq!(all["sites"].as_array().unwrap().len(), 2);

    let zone = world.zone(
        "cloudflare",
        json!([{"name": "www", "type": "A", "content": "192.0.2.1"}]),
    );
    world.apply(&zone).await;
    let zone = plug(&world, &["status", "dnszone/zone"]).await;
    assert!(
        zone.out.contains(&format!("{} at Provider", world.zone_name())),
        "{zone:?}"
    );
    let zone = plug(&world, &["status", "dz/zone", "-o", "json"]).await.json();
    assert_eq!(
        (&zone["kind"], &zone["ready"]["status"]),
        (&json!("DnsZone"), &json!("Unknown"))
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_name_brings_near_ones() {
    let world = World::new().await;
    finished_site(&world, "jane").await;
    for words in [
        &["status", "jnae"][..],
        &["suspend", "jan"],
        &["open", "janet"],
        &["credentials", "jnae", "--plain"],
    ] {
        let run = plug(&world, words).await;
        let said = format!(
            "hostwright: WordPressSite {}/{} does not exist; did you mean jane?\n",
            world.namespace, words[1]
        );
        assert_eq!(
            (run.code, run.out.as_str(), run.errors.as_str()),
            (1, "", said.as_str())
        );
    }
    let run = plug(&world, &["restore", "jane", "--backup", "x", "--yes"]).await;
    assert!(
        run.errors.contains("there is no SiteBackup in namespace"),
        "{run:?}"
    );
    let mut command = Command::new(plugin());
    command
        .args(["status", "jane", "-n", "nowhere", "--kubeconfig"])
        .arg(&shared().await.admin);
    let run = ended(command.output().await.unwrap());
    assert!(
        run.errors.contains("WordPressSite nowhere/jane does not exist"),
        "{run:?}"
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_go_to_a_terminal_or_where_they_are_asked_for() {
    let world = World::new().await;
    finished_site(&world, "jane").await;
    let said = plug(&world, &["credentials", "jane"]).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.errors.contains("say --plain"), "{said:?}");
    let said = plug(&world, &["credentials", "jane", "--plain"]).await;
    assert!(
        said.errors
            .contains("names Secret jane-wordpress for its passwords, which is not there"),
        "{said:?}"
    );

    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "jane-wordpress"},
        "stringData": {"username": "jane", "password": "one-Password", "databasePassword": "another-Password", "url": "https://jane.sites.example.com"},
    }))
    .unwrap();
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let refused = plug(&world, &["credentials", "jane"]).await;
    assert!(!format!("{refused:?}").contains("Password"), "{refused:?}");
    let expected = "address            https://jane.sites.example.com\nuser               jane\npassword           one-Password\ndatabase password  another-Password\n";
    assert_eq!(
        plug(&world, &["credentials", "jane", "--plain"]).await.out,
        expected
    );
    let shown = at_a_terminal(&world, &["credentials", "jane"], "", true).await;
    assert_eq!(shown.out.replace("\r\n", "\n"), expected);
    let object = plug(&world, &["credentials", "jane", "--plain", "-o", "json"])
        .await
        .json();
    assert_eq!(object["databasePassword"], "another-Password");

    assert_eq!(
        plug(&world, &["open", "jane"]).await.out,
        "https://jane.sites.example.com\n"
    );
    world.close().await;
}

/// The verbs are also those of the program itself, and a site that an operator makes shows all of its parts.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_an_operator_makes_is_shown_with_all_parts() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostwright"));
    command.args(["status", "jane", "--namespace", &world.namespace, "--kubeconfig"]);
    let run = ended(command.arg(&shared().await.admin).output().await.unwrap());
    for part in [
        "Container ",
        "Name ",
        "Certificate ",
        "Proxy ",
        "Install ",
        "Page ",
        "Snapshot ",
    ] {
        assert!(run.out.contains(&format!("─ {part}")), "{part}: {run:?}");
    }
    assert!(!run.out.contains("next:"), "{run:?}");
    operator.stop().await;
    world.close().await;
}

/// A kubeconfig with which the administrator acts as somebody else.
async fn kubeconfig_of(user: &str, folder: &tempfile::TempDir) -> PathBuf {
    let text = tokio::fs::read_to_string(&shared().await.admin).await.unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    config["users"][0]["user"]["as"] = json!(user);
    let path = folder.path().join(user);
    tokio::fs::write(&path, config.to_string()).await.unwrap();
    path
}

/// A resource, and what is done with it.
type Right = (&'static str, &'static [&'static str]);

/// Commands with the rights that `docs/kubectl.md` names for each, beside reading the one site.
const RIGHTS: [(&[&str], &[Right]); 10] = [
    (&["open", "jane"], &[]),
    (&["status"], &[("wordpresssites", &["list"])]),
    (
        &["status", "jane"],
        &[("sitebackups", &["list"]), ("siterestores", &["list"])],
    ),
    (&["status", "dz/zone"], &[("dnszones", &["get"])]),
    (&["backup", "jane"], &[("sitebackups", &["create"])]),
    (
        &["restore", "jane", "--backup", "good", "--yes"],
        &[("sitebackups", &["get", "list"]), ("siterestores", &["create"])],
    ),
    (&["restart", "jane"], &[("wordpresssites", &["patch"])]),
    (&["suspend", "jane"], &[("wordpresssites", &["patch"])]),
    (&["stop", "jane"], &[("wordpresssites", &["patch"])]),
    (&["credentials", "jane", "--plain"], &[("secrets", &["get"])]),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_command_needs_the_rights_that_its_page_names() {
    let world = World::new().await;
    finished_site(&world, "jane").await;
    finished_backup(&world, "jane", "good").await;
    world.apply(&world.zone("cloudflare", json!([]))).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"username": "jane"},
        "metadata": {"name": "jane-wordpress", "namespace": world.namespace},
    });
    world.apply(&secret).await;
    let folder = tempfile::tempdir().unwrap();
    for (number, (words, rights)) in RIGHTS.iter().enumerate() {
        let user = format!("{}-{number}", world.namespace);
        let kubeconfig = kubeconfig_of(&user, &folder).await;
        let run = async || {
            let mut command = Command::new(plugin());
            command.args(*words).args(["--namespace", &world.namespace]);
            command.arg("--kubeconfig").arg(&kubeconfig);
            ended(command.stdin(Stdio::null()).output().await.unwrap())
        };
        let refused = run().await;
        assert_eq!(refused.code, 1, "{words:?}: {refused:?}");
        assert!(refused.errors.contains("is forbidden"), "{words:?}: {refused:?}");
        let mut rules =
            vec![json!({"apiGroups": ["hostwright.dev"], "resources": ["wordpresssites"], "verbs": ["get"]})];
        rules.extend(rights.iter().map(|(resource, verbs)| {
            let group = if *resource == "secrets" {
                ""
            } else {
                "hostwright.dev"
            };
            json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        }));
        let group = "rbac.authorization.k8s.io";
        let meta = json!({"name": user, "namespace": world.namespace});
        let version = format!("{group}/v1");
        world
            .apply(&json!({"apiVersion": version, "kind": "Role", "metadata": meta, "rules": rules}))
            .await;
        world
            .apply(&json!({
                "apiVersion": version, "kind": "RoleBinding", "metadata": meta,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
                "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
            }))
            .await;
        // The API server learns of new rights a moment later.
        let done = eventually(&format!("{words:?} with its rights"), || async {
            let run = run().await;
            if run.code == 0 {
                Ok(run)
            } else {
                Err(format!("{run:?}"))
            }
        })
        .await;
        assert!(!done.out.contains("cannot be listed"), "{words:?}: {done:?}");
    }
    world.close().await;
}

/// Whoever may see the site and nothing of it is told what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_told() {
    let world = World::new().await;
    finished_site(&world, "jane").await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig_of(&format!("{}-blind", world.namespace), &folder).await;
    let run = async |words: &[&str]| {
        let mut command = Command::new(plugin());
        command
            .args(words)
            .args(["--namespace", &world.namespace, "--kubeconfig"])
            .arg(&kubeconfig);
        ended(command.stdin(Stdio::null()).output().await.unwrap())
    };
    let said = run(&["status", "jane"]).await;
    let begin = format!(
        "hostwright: WordPressSite {}/jane cannot be read: ",
        world.namespace
    );
    assert!(
        said.errors.starts_with(&begin) && said.errors.contains("is forbidden"),
        "{said:?}"
    );
    let said = run(&["status"]).await;
    assert!(said.errors.contains("wordpresssites in namespace"), "{said:?}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_is_said_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    // Nobody listens at port 1 of the loopback interface (tcpmux, RFC 1078).
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "customers"}}],
        "users": [{"name": "u", "user": {}}],
    });
    tokio::fs::write(&path, config.to_string()).await.unwrap();
    let mut command = Command::new(plugin());
    command.args(["suspend", "jane", "--kubeconfig"]).arg(&path);
    let run = ended(command.output().await.unwrap());
    assert_eq!(run.code, 1);
    assert!(
        run.errors
            .starts_with("hostwright: WordPressSite customers/jane cannot be read: "),
        "{run:?}"
    );
    assert!(run.errors.contains("refused"), "{run:?}");
}
