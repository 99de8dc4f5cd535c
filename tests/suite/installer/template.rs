//! The golden template's page over HTTP.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use hostwright::providers::ErrorKind;
use hostwright::providers::site_installer::{InstallState, SiteInstaller};
use hostwright::providers::template_installer::{TemplateInstaller, TemplateSettings};
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::sim::server::Server;

use super::{DATABASE_PASSWORD, gate, request};

fn settings(port: u16) -> TemplateSettings {
    TemplateSettings {
        health_path: "/.well-known/hostwright".to_owned(),
        port,
        timeout: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn a_first_boot_is_running_until_its_page_says_done() {
    let request = request(907, "pve1");
    // Nobody listens yet.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let early = TemplateInstaller::new(settings(free.port()), gate()).unwrap();
    early.begin(request.clone()).await.unwrap();
    assert_eq!(early.state(&request.target).await.unwrap(), InstallState::Running);

    let page = format!("hostwright: done\nowner: {}\n", request.target.owner);
    let router = axum::Router::new().route("/.well-known/hostwright", axum::routing::get(|| async { page }));
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let server = Server::start("template", address, router, Faults::default(), None)
        .await
        .unwrap();
    let installer = TemplateInstaller::new(settings(server.address().port()), gate()).unwrap();
    for trouble in [
        Trouble::Refuse {
            status: 502,
            body: String::new(),
            retry_after: None,
        },
        Trouble::CutBefore,
        Trouble::Truncate,
    ] {
        server.faults.order(Fault {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: Some(1),
            trouble,
        });
        assert_eq!(
            installer.state(&request.target).await.unwrap(),
            InstallState::Running
        );
    }
    assert_eq!(
        installer.state(&request.target).await.unwrap(),
        InstallState::Done
    );
}

#[tokio::test]
async fn the_first_boot_gets_what_it_needs_and_no_more() {
    let installer = TemplateInstaller::new(settings(80), gate()).unwrap();
    let environment = installer.first_boot_environment(&request(907, "pve1"));
    assert_eq!(environment["HOSTWRIGHT_SITE_URL"], "https://shop907.example.com");
    assert_eq!(environment["HOSTWRIGHT_ADMIN_USER"], "jane");
    assert!(environment.values().all(|value| value != DATABASE_PASSWORD));
}

#[tokio::test]
async fn a_template_is_never_told_of_domains() {
    let installer = TemplateInstaller::new(settings(80), gate()).unwrap();
    let request = request(907, "pve1");
    let domains = BTreeSet::from(["own.example.org".parse().unwrap()]);
    let error = installer
        .announce(&request.target, &request.host, &domains)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("needs the ssh installer"), "{error}");
}
