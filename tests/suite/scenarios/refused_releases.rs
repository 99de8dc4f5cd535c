//! A template of a release that the installer does not know: the site's status has the script's own sentence.

use hostwright::sim::ssh::Outcome;

use crate::world::World;

/// As the script says it; `make test-wordpress` hears it from the script itself.
const SENTENCE: &str =
    "the container runs alpine 3.22.1; use a template of Ubuntu 24.04, Debian 12 or Debian 13";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_release_is_named_with_those_that_are_supported() {
    let script = include_str!("../../../src/providers/ssh_installer/install.sh");
    assert!(script.contains("use a template of Ubuntu 24.04, Debian 12 or Debian 13"));
    let world = World::new().await;
    let say = |outcome: &Outcome| {
        for (_, ssh) in &world.backends.ssh {
            ssh.set_outcome(outcome.clone());
        }
    };
    say(&Outcome::Fail {
        step: "start".to_owned(),
        sentence: SENTENCE.to_owned(),
        status: 3,
    });
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world
        .wait_for_refusal("jane", "Refused", &["WordPress cannot be installed", SENTENCE])
        .await;
    let status = world.status("jane").await;
    let install = status
        .conditions
        .iter()
        .find(|it| it.type_ == "InstallReady")
        .unwrap();
    assert_eq!(install.status, "False", "{install:?}");
    assert!(install.message.contains(SENTENCE), "{install:?}");

    // Somebody put another release into the container.
    say(&Outcome::Finish);
    world.ask_for_a_pass("jane", "mended").await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}
