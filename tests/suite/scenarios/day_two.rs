//! What customers and hosters do with a site that exists: power, restart, suspension, the proxy's switch, another Plan.

use std::time::Duration;

use hostwright::api::{Phase, WordPressSiteStatus};
use hostwright::sim::faults::{Fault, Trouble};
use serde_json::{Value, json};

use crate::world::{Operator, World, eventually};

struct Site {
    world: World,
    operator: Operator,
    number: u32,
}

impl Site {
    /// A site that is ready, in a world whose Plan has high availability or not.
    async fn ready(high_availability: bool) -> Self {
        let world = World::new().await;
        let plan = json!({"spec": {"wordpress": {"highAvailability": high_availability}}});
        world.patch_plan(plan).await;
        let operator = world.operator().await;
        world.apply(&world.site("jane")).await;
        let status = world.wait_for_phase("jane", Phase::Running).await;
        let number = u32::try_from(status.vmid.unwrap()).unwrap();
        Self {
            world,
            operator,
            number,
        }
    }

    async fn set(&self, spec: Value) {
        self.world.patch("jane", json!({"spec": spec})).await;
    }

    async fn comes_to(&self, phase: Phase) -> WordPressSiteStatus {
        self.world.wait_for_phase("jane", phase).await
    }

    fn runs(&self) -> bool {
        let container = self.world.backends.proxmox.container(self.number);
        container.unwrap().running
    }

    fn host(&self) -> Value {
        let hosts = self.world.backends.npm.hosts();
        assert_eq!(hosts.len(), 1, "{hosts:?}");
        hosts.into_iter().next().unwrap()
    }

    /// Calls of Proxmox whose path ends so.
    fn calls(&self, end: &str) -> u64 {
        let calls = self.world.backends.proxmox_server.faults.calls();
        let of = calls.iter().filter(|(call, _)| call.ends_with(end));
        of.map(|(_, count)| count).sum()
    }

    /// Nothing is done any more; then everything goes, and nothing is left.
    async fn ends(self) {
        self.operator.assert_quiet(&self.world).await;
        self.world.delete("jane").await;
        self.world.wait_until_gone("jane").await;
        assert_eq!(self.world.backends.leftovers(), Vec::<String>::new());
        self.operator.stop().await;
        self.world.close().await;
    }
}

fn condition(status: &WordPressSiteStatus, kind: &str) -> Option<(String, String)> {
    let found = status.conditions.iter().find(|c| c.type_ == kind);
    found.map(|c| (c.reason.clone(), c.message.clone()))
}

async fn power(high_availability: bool) {
    let site = Site::ready(high_availability).await;
    site.set(json!({"power": "Stopped"})).await;
    let status = site.comes_to(Phase::Stopped).await;
    assert!(!site.runs());
    assert_eq!(condition(&status, "Ready").unwrap().0, "Stopped");
    assert_eq!(condition(&status, "PageReady"), None);
    assert_eq!(
        site.host()["enabled"],
        json!(true),
        "power only stops the container"
    );
    site.operator.assert_quiet(&site.world).await;

    // Somebody starts it by hand.
    site.world.backends.proxmox.start_container(site.number);
    site.world.ask_for_a_pass("jane", "by-hand").await;
    eventually("it is stopped again", || async {
        (!site.runs()).then_some(()).ok_or_else(String::new)
    })
    .await;
    site.comes_to(Phase::Stopped).await;

    site.set(json!({"power": "Running"})).await;
    let status = site.comes_to(Phase::Running).await;
    assert!(site.runs());
    assert_eq!(condition(&status, "PageReady").unwrap().0, "Ready");
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_off_and_on() {
    power(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_off_and_on_under_high_availability() {
    power(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_site_goes_without_being_started() {
    let site = Site::ready(true).await;
    site.set(json!({"power": "Stopped"})).await;
    site.comes_to(Phase::Stopped).await;
    let starts = site.calls("/status/start");
    site.operator.assert_quiet(&site.world).await;
    assert_eq!(site.calls("/status/start"), starts);
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_time_is_one_restart() {
    let site = Site::ready(true).await;
    let restarts = || site.calls("/status/reboot");
    let at = |time: &str| json!({"restartedAt": time});
    site.set(at("2026-11-21T10:00:00Z")).await;
    let done = |time: &'static str| {
        move |status: &WordPressSiteStatus| {
            let last = status.restarted_at.as_ref().map(|last| last.0.to_string());
            last.as_deref() == Some(time) && status.restart.is_none() && status.tasks.is_empty()
        }
    };
    let wait = async |time: &'static str| {
        site.world.wait_for_status("jane", "restarted", done(time)).await;
        site.comes_to(Phase::Running).await;
    };
    wait("2026-11-21T10:00:00Z").await;
    assert_eq!(restarts(), 1);

    // An older and an equal time ask for nothing.
    for time in ["2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z"] {
        site.set(at(time)).await;
        site.comes_to(Phase::Running).await;
        site.operator.assert_quiet(&site.world).await;
    }
    assert_eq!(restarts(), 1);

    // The answer is lost after the restart has begun.
    site.world.backends.proxmox_server.faults.order(Fault {
        method: Some("POST".to_owned()),
        path_contains: "/status/reboot".to_owned(),
        skip: 0,
        times: Some(1),
        trouble: Trouble::CutAfter,
    });
    site.set(at("2026-11-22T10:00:00Z")).await;
    wait("2026-11-22T10:00:00Z").await;
    assert_eq!(restarts(), 2);

    // By the clocks of the nodes it was begun before it was asked for, and the last one is not long ago.
    site.world
        .backends
        .proxmox
        .put_clocks_behind(Duration::from_secs(120));
    site.set(at("2026-11-23T10:00:00Z")).await;
    wait("2026-11-23T10:00:00Z").await;
    assert_eq!(restarts(), 3);

    // A site that does not run starts afresh anyway.
    site.set(json!({"power": "Stopped"})).await;
    site.comes_to(Phase::Stopped).await;
    site.set(at("2026-11-24T10:00:00Z")).await;
    let status = site.comes_to(Phase::Stopped).await;
    assert!(done("2026-11-24T10:00:00Z")(&status), "{status:?}");
    site.set(json!({"power": "Running"})).await;
    site.comes_to(Phase::Running).await;
    assert_eq!(restarts(), 3);
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_site_shows_a_notice_and_comes_back_as_it_was() {
    let site = Site::ready(true).await;
    site.set(json!({"suspended": true})).await;
    let status = site.comes_to(Phase::Suspended).await;
    assert!(!site.runs());
    let (reason, message) = condition(&status, "Ready").unwrap();
    assert_eq!(reason, "Suspended");
    assert!(
        message.contains("data, name, certificate and backups are kept"),
        "{message}"
    );
    let host = site.host();
    assert_eq!(host["enabled"], json!(true));
    let notice = host["advanced_config"].as_str().unwrap();
    assert!(notice.contains("suspended"), "{notice}");

    // Every other change waits.
    site.set(json!({"power": "Stopped", "restartedAt": "2026-11-21T10:00:00Z"}))
        .await;
    let resize = json!({"spec": {"wordpress": {"memoryMib": 4096}}});
    site.world.patch_plan(resize).await;
    site.comes_to(Phase::Suspended).await;
    site.operator.assert_quiet(&site.world).await;
    let container = || site.world.backends.proxmox.container(site.number).unwrap();
    assert_eq!(container().memory_mib, 2048);

    // It comes back as it was asked to be meanwhile: stopped.
    site.set(json!({"suspended": false})).await;
    site.comes_to(Phase::Stopped).await;
    assert!(!site.runs());
    assert_eq!(container().memory_mib, 4096);
    assert_eq!(site.host()["advanced_config"], json!(""));
    site.set(json!({"power": "Running"})).await;
    site.comes_to(Phase::Running).await;
    assert!(site.runs());
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_may_say_that_suspended_sites_are_not_served() {
    let site = Site::ready(false).await;
    let disable = json!({"spec": {"wordpress": {"suspension": "Disable"}}});
    site.world.patch_plan(disable).await;
    site.set(json!({"suspended": true})).await;
    site.comes_to(Phase::Suspended).await;
    assert_eq!(site.host()["enabled"], json!(false));
    site.set(json!({"suspended": false})).await;
    site.comes_to(Phase::Running).await;
    assert_eq!(site.host()["enabled"], json!(true));
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_a_site_that_is_suspended_from_its_beginning() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut object = world.site("jane");
    object["spec"]["suspended"] = json!(true);
    world.apply(&object).await;
    world.wait_for_phase("jane", Phase::Suspended).await;
    operator.assert_quiet(&world).await;
    assert!(world.backends.proxmox.containers().is_empty());
    world.patch("jane", json!({"spec": {"suspended": false}})).await;
    let status = world.wait_for_phase("jane", Phase::Running).await;
    let number = u32::try_from(status.vmid.unwrap()).unwrap();
    let site = Site {
        world,
        operator,
        number,
    };
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_is_switched_by_its_own_calls() {
    let site = Site::ready(false).await;
    let puts = || {
        let calls = site.world.backends.npm_server.faults.calls();
        let of = calls.iter().filter(|(call, _)| call.starts_with("PUT "));
        of.map(|(_, count)| count).sum::<u64>()
    };
    let before = puts();
    site.set(json!({"proxyEnabled": false})).await;
    let status = site.comes_to(Phase::Running).await;
    assert_eq!(site.host()["enabled"], json!(false));
    let (_, message) = condition(&status, "Ready").unwrap();
    assert!(message.contains("proxyEnabled"), "{message}");
    site.operator.assert_quiet(&site.world).await;
    site.set(json!({"proxyEnabled": true})).await;
    site.comes_to(Phase::Running).await;
    assert_eq!(site.host()["enabled"], json!(true));
    assert_eq!(puts(), before, "the field is never written");
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plan_resizes_a_running_site() {
    let site = Site::ready(false).await;
    let container = || site.world.backends.proxmox.container(site.number).unwrap();
    let sizes = || (container().memory_mib, container().cores, container().disk_gib);
    let plan = async |wordpress: Value| {
        site.world
            .patch_plan(json!({"spec": {"wordpress": wordpress}}))
            .await;
    };
    let given = async |memory: i32, disk: i32| {
        let holds = move |status: &WordPressSiteStatus| {
            let resources = status.resources.unwrap();
            resources.memory_mib == memory && resources.disk_gib == disk && status.tasks.is_empty()
        };
        site.world.wait_for_status("jane", "resized", holds).await
    };
    plan(json!({"memoryMib": 4096, "cores": 4, "diskGib": 40})).await;
    given(4096, 40).await;
    assert_eq!(sizes(), (4096, 4, 40));
    assert!(condition(&site.comes_to(Phase::Running).await, "PlanApplied").is_none());

    // A smaller disk is refused, and the rest applies.
    plan(json!({"memoryMib": 2048, "cores": 2, "diskGib": 20})).await;
    let status = given(2048, 40).await;
    assert_eq!(sizes(), (2048, 2, 40));
    let (reason, message) = condition(&status, "PlanApplied").unwrap();
    assert_eq!(reason, "DiskCannotShrink");
    assert!(
        message.contains("40 GiB") && message.contains("20 GiB"),
        "{message}"
    );
    assert_eq!(condition(&status, "Ready").unwrap().0, "Ready");
    site.operator.assert_quiet(&site.world).await;

    // High availability comes and goes with the Plan, and the site goes on running.
    plan(json!({"highAvailability": true, "diskGib": 40})).await;
    let managed = |wanted: bool| {
        move |status: &WordPressSiteStatus| status.resources.unwrap().high_availability == wanted
    };
    let status = site.world.wait_for_status("jane", "managed", managed(true)).await;
    assert_eq!(condition(&status, "PlanApplied"), None);
    assert_eq!(site.world.backends.proxmox.ha_resources().len(), 1);
    plan(json!({"highAvailability": false})).await;
    site.world
        .wait_for_status("jane", "unmanaged", managed(false))
        .await;
    assert!(site.world.backends.proxmox.ha_resources().is_empty());
    assert!(site.runs());
    for verb in ["/status/reboot", "/status/shutdown", "/status/stop"] {
        assert_eq!(site.calls(verb), 0, "{verb}");
    }
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_moves_to_another_plan_and_survives_the_loss_of_its_plan() {
    let site = Site::ready(false).await;
    let world = &site.world;
    let mut large = world.manifest_of_plan();
    let name = format!("{}-large", world.plan());
    large["metadata"]["name"] = json!(name);
    large["spec"]["wordpress"]["memoryMib"] = json!(8192);
    world.apply(&large).await;
    site.set(json!({"plan": name})).await;
    let large = |status: &WordPressSiteStatus| status.resources.unwrap().memory_mib == 8192;
    world.wait_for_status("jane", "moved", large).await;
    site.comes_to(Phase::Running).await;

    site.set(json!({"plan": "no-such-plan"})).await;
    let lost = |status: &WordPressSiteStatus| {
        condition(status, "PlanApplied").is_some_and(|(reason, _)| reason == "PlanNotFound")
    };
    world.wait_for_status("jane", "without a plan", lost).await;
    site.comes_to(Phase::Running).await;
    // What it has is kept and repaired.
    world.backends.proxmox.stop_container(site.number);
    world.ask_for_a_pass("jane", "by-hand").await;
    eventually("it is started again", || async {
        site.runs().then_some(()).ok_or_else(String::new)
    })
    .await;
    site.comes_to(Phase::Running).await;
    site.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_may_say_that_a_lost_container_is_made_anew() {
    let site = Site::ready(true).await;
    let recreate = json!({"spec": {"wordpress": {"recovery": "Recreate"}}});
    site.world.patch_plan(recreate).await;
    site.comes_to(Phase::Running).await;
    site.world.backends.proxmox.destroy_by_hand(site.number);
    site.world.ask_for_a_pass("jane", "destroyed").await;
    eventually("a container is made in its place", || async {
        let containers = site.world.backends.proxmox.containers();
        (containers.len() == 1).then_some(()).ok_or_else(String::new)
    })
    .await;
    let status = site.comes_to(Phase::Running).await;
    assert_eq!(status.vmid, Some(i32::try_from(site.number).unwrap()));
    assert_eq!(site.world.backends.proxmox.containers().len(), 1);
    site.ends().await;
}
