//! One simulator by itself, for whoever wants to try a client against it by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use super::StageError;
use super::backends::{CLOUDFLARE_TOKEN, CLOUDFLARE_ZONE, ISPCONFIG_LOGIN, NPM_LOGIN, ispconfig};
use crate::config::SimService;
use crate::sim::cloudflare::{BASE_PATH, CloudflareOptions, CloudflareSim};
use crate::sim::faults::Faults;
use crate::sim::ispconfig::IspconfigSim;
use crate::sim::npm::{NpmOptions, NpmSim};
use crate::sim::proxmox::{ProxmoxOptions, ProxmoxSim};
use crate::sim::ssh::{Outcome, SshOptions, SshSim};

/// Runs one simulator until the process is ended, and prints how to reach it.
///
/// # Errors
/// When its address cannot be bound.
pub async fn simulate(service: SimService, address: SocketAddr) -> Result<(), StageError> {
    let failed = |error: std::io::Error| StageError::Other(format!("the simulator does not start: {error}"));
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    match service {
        SimService::Proxmox => {
            let options = ProxmoxOptions::default();
            let token = options.token.clone();
            let (server, _sim) = ProxmoxSim::start(options, address, Faults::default(), None)
                .await
                .map_err(failed)?;
            println!("Proxmox VE at {}/api2/json, token {token}", server.url());
            forever().await;
        }
        SimService::Npm => {
            let options = NpmOptions::new(NPM_LOGIN.0, NPM_LOGIN.1);
            let (server, sim) = NpmSim::start(options, address, anywhere, anywhere, Faults::default())
                .await
                .map_err(failed)?;
            let (http, https) = sim.edge_addresses();
            println!(
                "Nginx Proxy Manager at {}, log-in {} {}",
                server.url(),
                NPM_LOGIN.0,
                NPM_LOGIN.1
            );
            println!("its visitors arrive at http://{http} and https://{https}");
            forever().await;
        }
        SimService::Cloudflare => {
            let options = CloudflareOptions {
                token: CLOUDFLARE_TOKEN.to_owned(),
                zones: vec![CLOUDFLARE_ZONE.to_owned()],
                ..CloudflareOptions::default()
            };
            let (server, _sim) = CloudflareSim::start(options, address, Faults::default())
                .await
                .map_err(failed)?;
            println!(
                "Cloudflare at {}{BASE_PATH}, zone {CLOUDFLARE_ZONE}, token {CLOUDFLARE_TOKEN}",
                server.url()
            );
            forever().await;
        }
        SimService::Ispconfig => {
            let (server, _sim) = IspconfigSim::start(ispconfig(), address, Faults::default())
                .await
                .map_err(failed)?;
            println!(
                "ISPConfig at {}, remote user {} {}",
                server.url(),
                ISPCONFIG_LOGIN.0,
                ISPCONFIG_LOGIN.1
            );
            forever().await;
        }
        SimService::Ssh => ssh(address).await?,
    }
    Ok(())
}

async fn ssh(address: SocketAddr) -> Result<(), StageError> {
    let other = |error: String| StageError::Other(error);
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
        .map_err(|error| other(error.to_string()))?;
    let options = SshOptions {
        node: "pve1".to_owned(),
        address,
        authorized_key: key
            .public_key()
            .to_openssh()
            .map_err(|error| other(error.to_string()))?,
        directory: None,
        run_time: Duration::from_secs(2),
        outcome: Outcome::Finish,
        faults: Faults::default(),
    };
    let sim = SshSim::start(options)
        .await
        .map_err(|error| other(error.to_string()))?;
    println!(
        "SSH of node pve1 at {}, host key {}",
        sim.address(),
        sim.host_key()
    );
    let private = key
        .to_openssh(LineEnding::LF)
        .map_err(|error| other(error.to_string()))?;
    println!("log in with this key, made for this run:\n{}", private.as_str());
    forever().await;
    Ok(())
}

async fn forever() {
    println!("stop it with Ctrl-C; faults and counts are at /_sim/");
    // A signal that cannot be watched ends the simulator at once, which is as good as any other end.
    let _ = tokio::signal::ctrl_c().await;
}
