//! A real nginx that stands for the reverse proxy: it ends TLS and passes requests on as Nginx Proxy Manager does.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use hostwright::providers::edge::{Edge, EdgeAddresses, EdgeSettings, HttpEdge, Page};
use hostwright::providers::http::{TlsTrust, client_builder};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::container::ADDRESS;
use super::lab::{PATIENCE, Place};
use super::node::{SITE, gate};

/// A domain of the customer's own.
pub const OWN: &str = "own.example.org";
/// A name that leads here and that nobody told WordPress of.
pub const STRANGER: &str = "stranger.example.net";
/// As Nginx Proxy Manager writes it for a host that forces TLS, without its own folders.
const CONFIGURATION: &str = r#"
user www-data;
pid /run/proxy.pid;
error_log stderr;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:443 ssl;
        listen 127.0.0.1:80;
        server_name _;
        ssl_certificate /etc/proxy.pem;
        ssl_certificate_key /etc/proxy.key;
        location / {
            add_header X-Served-By $host;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Scheme $scheme;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_pass http://CONTAINER:80;
        }
    }
}
"#;

/// The proxy, and a visitor who trusts its certificate.
pub struct Proxy {
    visitor: reqwest::Client,
    trust: TlsTrust,
    _process: Child,
}

/// What a visitor got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: String,
    pub cookies: Vec<String>,
    pub body: String,
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Proxy {
    /// Starts it and waits until it listens.
    pub async fn start(place: &Place) -> Self {
        let names = [SITE, OWN, STRANGER].map(str::to_owned);
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        let root = place.folder.join("proxy");
        let write = |path: &str, text: &str| std::fs::write(root.join(path), text).unwrap();
        write("etc/proxy.pem", &pair.cert.pem());
        write("etc/proxy.key", &pair.signing_key.serialize_pem());
        write("etc/proxy.conf", &CONFIGURATION.replace("CONTAINER", ADDRESS));
        let process = Command::new("chroot")
            .arg(&root)
            .args(["/usr/sbin/nginx", "-c", "/etc/proxy.conf", "-g", "daemon off;"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let listens = async {
            while TcpStream::connect(address(443)).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens)
            .await
            .expect("the proxy does not listen");
        let trust = TlsTrust::CaBundle(pair.cert.pem());
        let visitor = [SITE, OWN, STRANGER]
            .iter()
            .fold(client_builder(&trust).unwrap(), |builder, name| {
                builder.resolve(name, address(443))
            })
            .build()
            .unwrap();
        Self {
            visitor,
            trust,
            _process: process,
        }
    }

    /// The operator's own last look at a site.
    pub async fn look(&self, host: &str) -> Page {
        let settings = EdgeSettings {
            addresses: EdgeAddresses {
                http: address(80),
                https: address(443),
            },
            trust: self.trust.clone(),
        };
        let edge = HttpEdge::new(settings, gate()).unwrap();
        edge.look(&host.parse().unwrap(), true).await.unwrap()
    }

    /// A visit.
    pub async fn get(&self, host: &str, path: &str, cookies: &[String]) -> Answer {
        let request = self.visitor.get(format!("https://{host}{path}"));
        answer(request.header(COOKIE, cookies.join("; "))).await
    }

    /// A log-in as the form sends it.
    pub async fn log_in(&self, host: &str, user: &str, password: &str) -> Answer {
        let form = [("log", user), ("pwd", password), ("testcookie", "1")];
        let request = self
            .visitor
            .post(format!("https://{host}/wp-login.php"))
            .form(&form);
        answer(request.header(COOKIE, "wordpress_test_cookie=WP%20Cookie%20check")).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let headers = response.headers();
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
    Answer {
        status: response.status().as_u16(),
        location: headers.get(LOCATION).map(text).unwrap_or_default(),
        cookies: headers.get_all(SET_COOKIE).iter().map(text).collect(),
        body: response.text().await.unwrap(),
    }
}
